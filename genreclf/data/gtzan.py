"""GTZAN (Tzanetakis and Cook 2002): found in a folder in any of its usual layouts, or fetched, checked and unpacked."""

import hashlib
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.file_download import http_get

from genreclf.errors import GenreclfError
from genreclf.progress import progress_bar

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
LAYOUTS = ("", "genres", "genres_original", "Data/genres_original")
HUB_ID, HUB_FILE = "marsyas/gtzan", "data/genres.tar.gz"
HUB_ANSWER_SECONDS = 5.0
ARCHIVE_SHA256 = "24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6"  # as torchaudio has it
MAX_UNPACKED_BYTES = 4 * 1024**3
MAX_MEMBERS = 20_000
NOTICE = "GTZAN has no stated licence: its music is others'; use it for research, and do not pass it on"
OTHER_WAY = "or get the archive elsewhere, unpack it, and give data.path its folder"


def gtzan_folder(folder: Path) -> Path:
    """The folder of the ten genres in `folder`; where there is none, the archive is fetched and unpacked there first.

    A download goes on where it broke off. Raises GenreclfError where the archive cannot be fetched, is not the known
    one, or would write anything but files and folders inside its own.
    """
    found = find_genres(folder)
    if found:
        return found
    print(NOTICE, file=sys.stderr)
    archive = _fetch(folder)
    _check(archive)
    unpack(archive, folder / "genres")
    archive.unlink()
    return folder / "genres"


def find_genres(folder: Path) -> Path | None:
    """The folder in `folder` that holds the ten genres' folders, in one of the usual layouts."""
    for layout in LAYOUTS:
        if all((folder / layout / genre).is_dir() for genre in GENRES):
            return folder / layout
    return None


def _fetch(folder: Path) -> Path:
    archive = folder / "genres.tar.gz"
    partial = archive.with_name(archive.name + ".partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        url = hf_hub_url(HUB_ID, HUB_FILE, repo_type="dataset")
        about = get_hf_file_metadata(url, timeout=HUB_ANSWER_SECONDS)
        # Not hf_hub_download: it begins anew at each call.
        with partial.open("ab") as file:
            if about.size and file.tell() > about.size:  # of another archive than the hub has now
                file.truncate(0)
                file.seek(0)
            http_get(about.location, file, resume_size=file.tell(), expected_size=about.size)
        return partial.replace(archive)
    except Exception as error:  # each cause (offline, refused, broken off, disk full) raises another family
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise GenreclfError(
            f"data=gtzan: {HUB_ID} cannot be fetched ({reason}); run the same command again to go on, {OTHER_WAY}"
        ) from error


def _check(archive: Path) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != ARCHIVE_SHA256:
        archive.unlink()
        raise GenreclfError(
            f"{archive}: is not the known archive (SHA-256 {digest[:12]}, expected {ARCHIVE_SHA256[:12]}), and was "
            f"deleted; run the same command again, {OTHER_WAY}"
        )


def unpack(archive: Path, folder: Path) -> None:
    """The files of a tar archive's one top folder -> `folder`, which appears only when it is whole.

    Raises GenreclfError, with nothing left behind, for a member that is no plain file or folder or lies outside, for
    more than the bounds above, and for an archive that cannot be read.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with tarfile.open(archive) as tar, progress_bar("unpacking", "files") as report:
            _unpack_members(tar, partial, report)
        partial.replace(folder)
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        raise GenreclfError(f"{archive}: cannot be unpacked ({error}); {OTHER_WAY.removeprefix('or ')}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpack_members(tar: tarfile.TarFile, folder: Path, report: Callable[[int, int], None]) -> None:
    size = 0
    for number, member in enumerate(tar, 1):
        size += member.size
        if number > MAX_MEMBERS or size > MAX_UNPACKED_BYTES:
            raise ValueError(f"larger than {MAX_MEMBERS:,} files or {MAX_UNPACKED_BYTES / 1024**3:g} GiB")
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise ValueError(f"{member.name!r} is no plain file inside its folder")
        inside = path.parts[1:]  # below the archive's top folder
        if not inside or path.name.startswith("._"):  # what macOS adds
            continue
        target = folder.joinpath(*inside)
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tar.extractfile(member) as source, target.open("xb") as file:
                shutil.copyfileobj(source, file)
        report(number, number)

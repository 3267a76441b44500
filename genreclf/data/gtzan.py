"""GTZAN (Tzanetakis and Cook 2002): found in a folder in one of its usual layouts, or downloaded and unpacked."""

import hashlib
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.file_download import http_get

from genreclf.errors import GenreclfError, reason
from genreclf.progress import progress_bar

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
LAYOUTS = ("", "genres", *(f"{folder}{kind}_original" for kind in ("genres", "images") for folder in ("", "Data/")))
HUB_ID, HUB_FILE = "marsyas/gtzan", "data/genres.tar.gz"
HUB_TIMEOUT_SECONDS = 5.0
ARCHIVE_SHA256 = "24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6"  # as in torchaudio
MAX_UNPACKED_BYTES = 4 * 1024**3
MAX_MEMBERS = 20_000
NOTICE = "GTZAN has no stated license and holds copyrighted music; use it for research only, and do not share it"
OTHER_WAY = "get the archive elsewhere, unpack it, and set data.path to its folder"


def gtzan_folder(folder: Path) -> Path:
    """The folder of the ten genres in `folder`; if there is none, the archive is downloaded and unpacked first.

    An interrupted download resumes. Raises GenreclfError if the archive cannot be had, is another, or is damaged.
    """
    found = find_genres(folder)
    if found:
        return found
    print(NOTICE, file=sys.stderr)
    archive = _fetch(folder)
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != ARCHIVE_SHA256:
        archive.unlink()
        raise GenreclfError(
            f"{archive}: SHA-256 {digest[:12]} differs from the known archive's {ARCHIVE_SHA256[:12]}; it was deleted; "
            f"run the same command again, or {OTHER_WAY}"
        )
    unpack(archive, folder / "genres")
    archive.unlink()
    return folder / "genres"


def find_genres(folder: Path) -> Path | None:
    """The folder that contains the ten genres' folders, if `folder` has one of the usual layouts."""
    layouts = (folder / layout for layout in LAYOUTS)
    return next((layout for layout in layouts if all((layout / genre).is_dir() for genre in GENRES)), None)


def _fetch(folder: Path) -> Path:
    archive = folder / "genres.tar.gz"
    partial = archive.with_name(archive.name + ".partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        url = hf_hub_url(HUB_ID, HUB_FILE, repo_type="dataset")
        about = get_hf_file_metadata(url, timeout=HUB_TIMEOUT_SECONDS)
        # Not hf_hub_download: it restarts the download at each call.
        with partial.open("ab") as file:
            if about.size and file.tell() > about.size:  # from another version of the archive
                file.truncate(0)
                file.seek(0)
            http_get(about.location, file, resume_size=file.tell(), expected_size=about.size)
        return partial.replace(archive)
    except Exception as error:  # each cause (offline, refused, interrupted, disk full) raises another class
        raise GenreclfError(
            f"data=gtzan: {HUB_ID} cannot be downloaded ({reason(error)}); "
            f"run the same command again to resume, or {OTHER_WAY}"
        ) from error


def unpack(archive: Path, folder: Path) -> None:
    """The content of a tar archive's top folder -> `folder`, which appears only when it is complete.

    Raises GenreclfError, and leaves nothing behind, for members that are not files or folders or lie outside, for more
    than the limits above, and for an archive that cannot be read.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with tarfile.open(archive) as tar, progress_bar("unpacking", "files") as report:
            tar.extractall(partial, filter=_member_filter(report))
        partial.replace(folder)
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        raise GenreclfError(f"{archive}: cannot be unpacked ({error}); {OTHER_WAY}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _member_filter(report: Callable[[int, int], None]) -> Callable[[tarfile.TarInfo, str], tarfile.TarInfo | None]:
    """tarfile's `data` filter, with limits on number and size, without links and without the top folder."""
    count = size = 0

    def check(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
        nonlocal count, size
        count, size = count + 1, size + member.size
        report(count, count)
        if count > MAX_MEMBERS or size > MAX_UNPACKED_BYTES:
            raise ValueError(f"larger than {MAX_MEMBERS:,} files or {MAX_UNPACKED_BYTES / 1024**3:g} GiB")
        if not (member.isfile() or member.isdir()):
            raise ValueError(f"{member.name!r} is not a file or folder")
        path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
        if not path.name or path.name.startswith("._"):  # the top folder, and files that macOS adds
            return None
        return tarfile.data_filter(member.replace(name=str(path), deep=False), folder)

    return check

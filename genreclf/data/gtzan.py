"""GTZAN (Tzanetakis and Cook 2002): finds it in a folder in its usual layouts, or downloads and unpacks it."""

import sys
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.file_download import http_get

from genreclf.data import archives
from genreclf.data.archives import Limits
from genreclf.errors import GenreclfError, reason

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
LAYOUTS = ("", "genres", *(f"{folder}{kind}_original" for kind in ("genres", "images") for folder in ("", "Data/")))
HUB_ID, HUB_FILE = "marsyas/gtzan", "data/genres.tar.gz"
HUB_TIMEOUT_SECONDS = 5.0
ARCHIVE_SHA256 = "24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6"  # as in torchaudio
LIMITS = Limits(files=20_000, bytes=4 * 1024**3)
NOTICE = "GTZAN has no stated licence and holds copyrighted music; use it for research only, and do not share it"
OTHER_WAY = "get the archive elsewhere, unpack it, and set data.path to its folder"


def gtzan_folder(folder: Path) -> Path:
    """Returns the folder of the ten genres in `folder`. If there is none, downloads and unpacks the archive first.

    An interrupted download resumes. Raises GenreclfError if the archive cannot be downloaded, has another checksum, or
    is damaged, or if a folder `genres` is incomplete.
    """
    found = find_genres(folder)
    if found:
        return found
    archives.check_vacant(folder / "genres", "data=gtzan")
    print(NOTICE, file=sys.stderr)
    archive = _fetch(folder)
    archives.check_digest(archive, "sha256", ARCHIVE_SHA256, OTHER_WAY)
    archives.unpack(archive, folder / "genres", LIMITS, OTHER_WAY)
    archive.unlink()
    return folder / "genres"


def find_genres(folder: Path) -> Path | None:
    """Returns the folder that contains the ten genres' folders, or None if `folder` has none of the usual layouts."""
    layouts = (folder / layout for layout in LAYOUTS)
    return next((layout for layout in layouts if all((layout / genre).is_dir() for genre in GENRES)), None)


def _fetch(folder: Path) -> Path:
    archive = folder / "genres.tar.gz"
    partial = archive.with_name(archive.name + ".partial")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        url = hf_hub_url(HUB_ID, HUB_FILE, repo_type="dataset")
        about = get_hf_file_metadata(url, timeout=HUB_TIMEOUT_SECONDS)
        # hf_hub_download would restart the download at each call.
        with partial.open("ab") as file:
            if about.size and file.tell() > about.size:  # from another version of the archive
                file.truncate(0)
                file.seek(0)
            http_get(about.location, file, resume_size=file.tell(), expected_size=about.size)
        return partial.replace(archive)
    except Exception as error:  # each cause (offline, refused, interrupted, disk full) raises a different class
        raise GenreclfError(
            f"data=gtzan: {HUB_ID} cannot be downloaded ({reason(error)}); "
            f"run the same command again to resume, or {OTHER_WAY}"
        ) from error

"""GTZAN (Tzanetakis and Cook 2002): finds it in a folder in its usual layouts, or downloads and unpacks it."""

import sys
from pathlib import Path
from typing import BinaryIO

from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.file_download import http_get

from genreclf.data.archives import Archive, Limits, obtain

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
LAYOUTS = ("", "genres", *(f"{folder}{kind}_original" for kind in ("genres", "images") for folder in ("", "Data/")))
HUB_ID, HUB_FILE = "marsyas/gtzan", "data/genres.tar.gz"
HUB_TIMEOUT_SECONDS = 5.0
ARCHIVE_SHA256 = "24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6"  # as in torchaudio
ARCHIVE_BYTES = 5 * 2**28  # 1.14 GiB, rounded up
LIMITS = Limits(files=20_000, bytes=4 * 1024**3)
NOTICE = "GTZAN has no stated licence and holds copyrighted music; use it for research only, and do not share it"
OTHER_WAY = "get the archive elsewhere, unpack it, and set data.path to its folder"


def gtzan_folder(folder: Path) -> Path:
    """Returns the folder of the ten genres in `folder`. If there is none, downloads and unpacks the archive first.

    Raises GenreclfError as `obtain` does.
    """
    found = find_genres(folder)
    if found:
        return found
    print(NOTICE, file=sys.stderr)
    url = hf_hub_url(HUB_ID, HUB_FILE, repo_type="dataset")
    archive = Archive(url, "sha256", ARCHIVE_SHA256, ARCHIVE_BYTES, LIMITS)
    obtain(archive, folder / "genres", "data=gtzan", OTHER_WAY, _resume)
    return folder / "genres"


def find_genres(folder: Path) -> Path | None:
    """Returns the folder that contains the ten genres' folders, or None if `folder` has none of the usual layouts."""
    layouts = (folder / layout for layout in LAYOUTS)
    return next((layout for layout in layouts if all((layout / genre).is_dir() for genre in GENRES)), None)


def _resume(url: str, file: BinaryIO) -> None:
    """Appends the rest of the archive to a file. (hf_hub_download would restart the download at each call.)"""
    about = get_hf_file_metadata(url, timeout=HUB_TIMEOUT_SECONDS)
    if about.size and file.tell() > about.size:  # from another version of the archive
        file.truncate(0)
        file.seek(0)
    http_get(about.location, file, resume_size=file.tell(), expected_size=about.size)

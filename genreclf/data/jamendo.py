"""MTG-Jamendo (Bogdanov et al. 2019): MP3 files named by number, with genre tags and five splits in its repository."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from genreclf.data.table import metadata_of
from genreclf.data.tracks import Layout, Track, has_numbered_folders, reading, table_rows

SPLITS = 5
PARTS = ("train", "validation", "test")
LICENSES = "audio_licenses.txt"
REPOSITORY = "mtg-jamendo-dataset"
AUDIO_FOLDERS = ("", "audio", "audio-low", "raw_30s", "raw_30s/audio", "raw_30s/audio-low")
SEVERAL, NO_GENRE = "tags of several genres", "no tag of a genre"
HOW_TO_GET = (  # with its own program: 156 to 508 GB
    f"does not contain MTG-Jamendo; clone https://github.com/MTG/{REPOSITORY} into it, and download the audio beside "
    "that with scripts/download/download.py --dataset raw_30s --type audio-low"
)
_PREFIX = "genre---"
_LICENSE = re.compile(r"Available under .+: (https?://\S+)")


def find(path: Path, subset: str) -> Layout | None:
    """Finds the data set: audio in `path` or a usual folder below it; the repository is `path`, in it or beside it."""
    audio = next((path / name for name in AUDIO_FOLDERS if has_numbered_folders(path / name, 2)), None)
    clones = (path, path / REPOSITORY, path.parent / REPOSITORY)
    tables = next((folder for folder in clones if _table(folder, 0, PARTS[0]).is_file()), None)
    return Layout(audio, tables) if audio and tables else None


def _table(tables: Path, split: int, part: str) -> Path:
    return tables / "data" / "splits" / f"split-{split}" / f"autotagging_genre-{part}.tsv"


def key(path: str) -> str:
    """Returns a clip's path in the tables: 41/241.mp3 for 41/241.low.mp3 or a converted 41/241.wav."""
    return re.sub(r"(\.low)?\.\w+$", ".mp3", path)


def tracks(layout: Layout, subset: str, split: int) -> dict[str, Track]:
    """Returns the tracks of split number `split` by path. Raises GenreclfError if a table cannot be read."""
    licenses = _licenses(layout.tables / LICENSES)
    files = ((part, _table(layout.tables, split, part)) for part in PARTS)
    return {path: track for part, file in files for path, track in _tracks(file, part, licenses)}


def _tracks(file: Path, part: str, licenses: dict[str, str]) -> Iterator[tuple[str, Track]]:
    """Yields the tracks of a table by path. Rows have different lengths: all columns from the sixth on are tags."""
    with reading(file):
        for row in table_rows(file, 5, "\t", csv.QUOTE_NONE):
            if row[0] == "TRACK_ID":
                continue
            _, artist, album, path, _, *tags = row
            genres = [tag.removeprefix(_PREFIX) for tag in tags if tag.startswith(_PREFIX)]
            one = genres[0] if len(genres) == 1 else ""
            cells = {"genre": one, "artist": artist, "album": album, "license": licenses.get(path, "")}
            left_out = "" if one else SEVERAL if genres else NO_GENRE
            yield path, Track(metadata_of(cells), part, left_out, tuple(genres))


def _licenses(file: Path) -> dict[str, str]:
    """Reads each track's licence by path. A track has three lines: path, title and artist, licence."""
    if not file.is_file():
        return {}
    found, path = {}, ""
    with reading(file):
        for line in file.read_text(encoding="utf-8").splitlines():
            if re.fullmatch(r"\d\d/\d+\.mp3", line.strip()):
                path = line.strip()
            elif stated := _LICENSE.match(line.strip()):
                found[path] = stated[1]
    return found

"""ISMIR04 genre (Cano et al. 2006): whole songs from Magnatune in three parts, each with a table without a header."""

import re
from collections.abc import Iterator
from pathlib import Path

from genreclf.data.table import metadata_of
from genreclf.data.tracks import Layout, Track, reading, table_rows

PARTS = {"training": "train", "development": "val", "evaluation": "test"}
ANONYMOUS = "development"  # its artists are numbers, so it is not known which of them are in the other parts
TABLE = "tracklist.csv"
LICENSE = "CC BY-NC-SA 1.0"
# It is not downloaded, because the checksums of its archives are not known.
HOW_TO_GET = (
    "does not contain ISMIR04; get it from http://ismir2004.ismir.net/genre_contest/, and give the folder that holds "
    f"audio/ and metadata/ with {', '.join(PARTS)} in both"
)


def find(path: Path, subset: str) -> Layout | None:
    """Finds the data set: `path`, or the folder ismir04_genre in it, contains the folders audio and metadata."""
    for folder in (path, path / "ismir04_genre"):
        tables = folder / "metadata"
        if (folder / "audio").is_dir() and all((tables / part / TABLE).is_file() for part in PARTS):
            return Layout(folder / "audio", tables)
    return None


def tracks(layout: Layout, subset: str, split: int) -> dict[str, Track]:
    """Returns the songs by path. Raises GenreclfError if a table cannot be read."""
    return {path: track for part in PARTS for path, track in _tracks(layout.tables / part / TABLE, part)}


def _tracks(file: Path, part: str) -> Iterator[tuple[str, Track]]:
    """Yields the songs of a table by path. It has six classes; folders may have the eight genres before some were
    merged (metal_punk).
    """
    with reading(file):
        for row in table_rows(file, 6):
            if row[0] == "class":
                continue
            genre, artist, album, title, _, path = row[:6]
            if part == ANONYMOUS:
                artist = f"{part} {artist}"
            cells = {"genre": genre, "artist": artist, "album": album, "title": title, "license": LICENSE}
            parts = [name for name in re.split(r"[/\\]", path) if name not in ("", ".")]
            yield "/".join([part, *parts]), Track(metadata_of(cells), PARTS[part])

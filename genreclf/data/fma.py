"""FMA (Defferrard et al. 2017): MP3 files named by number, and tracks.csv with two header rows and an index row."""

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from genreclf.data.archives import Archive, Limits, obtain
from genreclf.data.clip_name import clip_name
from genreclf.data.table import metadata_of
from genreclf.data.tracks import Layout, Track, has_numbered_folders, reading, table_rows

SUBSETS = ("small", "medium", "large")  # each contains the smaller ones
FULL = "full"  # the untrimmed files of the large subset
TRACKS, GENRES = "tracks.csv", "genres.csv"
SERVER = "https://os.unil.cloud.switch.ch/fma"
OTHER_WAY = "get fma_metadata.zip and fma_SUBSET.zip elsewhere, unpack them, and set data.path to their folder"
# The checksums are from the data set's README.
ARCHIVES = {
    "metadata": ("f0df49ffe5f2a6008d7dc83c6915b31835dfe733", 0.34),  # GiB
    "small": ("ade154f733639d52e35e32f5593efe5be76c6d70", 7.2),
    "medium": ("c67b69ea232021025fca9231fc1c7c1a063ab50b", 22),
    "large": ("497109f4dd721066b5ce5e5f250ec604dc78939e", 93),
}
MOST_FILES = 120_000  # the large subset has 106,574 tracks
NO_AUDIO, CUT_SHORT = "known to contain no audio", "known to be cut short"
NO_TOP_GENRE = "of several top genres, or none"
# Tracks without any audio, and tracks shorter than 30 s: issues 8 and 44 of the data set's repository
_SHORT = (
    *(1486, 5574, 65753, 80391, 98558, 98559, 98560, 98565, 98566, 98567, 98568, 98569, 98571),
    *(105247, 108924, 126981, 127336, 143992),
)
_FAULTS = {**dict.fromkeys((99134, 108925, 133297), NO_AUDIO), **dict.fromkeys(_SHORT, CUT_SHORT)}
# The columns that are read, by their two header cells, and their meanings in a table
_COLUMNS = {
    ("track", "genre_top"): "genre",
    ("artist", "name"): "artist",
    ("album", "title"): "album",
    ("track", "title"): "title",
    ("track", "license"): "license",
}
_SUBSET, _SPLIT, _ALL_GENRES = ("set", "subset"), ("set", "split"), ("track", "genres_all")


def find(path: Path, subset: str) -> Layout | None:
    """Finds the subset: `path` contains fma_metadata and fma_SUBSET (or a larger subset), or is the latter."""
    sizes = [*SUBSETS[SUBSETS.index(subset) :], FULL]
    audio = [folder for folder in (path, *(path / f"fma_{size}" for size in sizes)) if has_numbered_folders(folder, 3)]
    tables = _tables(path)
    return Layout(audio[0], tables) if audio and tables else None


def _tables(path: Path) -> Path | None:
    folders = (path / "fma_metadata", path, path.parent / "fma_metadata")
    return next((folder for folder in folders if (folder / TRACKS).is_file()), None)


def fetch(path: Path, subset: str) -> None:
    """Downloads the tables and the subset's audio, as far as `path` lacks them. Raises GenreclfError as `obtain`."""
    if _tables(path) is None:
        _obtain("metadata", path)
    if find(path, subset) is None:
        _obtain(subset, path)


def _obtain(what: str, path: Path) -> None:
    (digest, gib), name = ARCHIVES[what], f"fma_{what}"
    size = int(gib * 2**30)
    # The metadata are compressed to about a quarter; MP3 files do not get smaller.
    archive = Archive(f"{SERVER}/{name}.zip", "sha1", digest, size, Limits(MOST_FILES, 8 * size))
    obtain(archive, path / name, "data=fma", OTHER_WAY)


def key(path: str) -> str:
    """Returns a clip's path in the tables: 000/000002.mp3 for any file named 000002."""
    number = clip_name(path)
    return _path(number) if re.fullmatch(r"\d{6}", number) else path


def _path(number: str) -> str:
    return f"{number[:3]}/{number}.mp3"


def tracks(layout: Layout, subset: str, split: int) -> dict[str, Track]:
    """Returns the subset's tracks by path. Raises GenreclfError if the table cannot be read."""
    file = layout.tables / TRACKS
    status = file.stat()
    return _read(file, subset, status.st_mtime_ns, status.st_size)


def genre_names(layout: Layout) -> dict[str, str]:
    """Returns the genres' names by number. Raises GenreclfError if the table cannot be read."""
    file = layout.tables / GENRES
    with reading(file):
        return {row[0]: row[3].strip() for row in list(table_rows(file, 4))[1:]}  # genre_id, #tracks, parent, title


@functools.lru_cache(maxsize=2)  # 106,574 rows of 52 columns, which a run needs several times
def _read(file: Path, subset: str, *_: int) -> dict[str, Track]:
    wanted = SUBSETS[: SUBSETS.index(subset) + 1]
    with reading(file):
        header = [*islice(table_rows(file, 0), 2), [], []]
        number_of = _columns(header[0], header[1])
        rows = islice(table_rows(file, max(number_of.values()) + 1), 2, None)
        return dict(_tracks(rows, number_of, wanted))


def _columns(groups: Sequence[str], names: Sequence[str]) -> dict[tuple[str, str], int]:
    """Returns the index of each column that is read, from the two header rows."""
    numbers = {pair: number for number, pair in enumerate(zip(groups, names, strict=False))}
    needed = (*_COLUMNS, _SUBSET, _SPLIT, _ALL_GENRES)
    if missing := [pair for pair in needed if pair not in numbers]:
        raise ValueError(f"its two header rows have no column {' '.join(missing[0])}")
    return {pair: numbers[pair] for pair in needed}


def _tracks(
    rows: Iterable[Sequence[str]], number_of: dict[tuple[str, str], int], wanted: Sequence[str]
) -> Iterator[tuple[str, Track]]:
    for row in rows:
        if row[0] == "track_id" or row[number_of[_SUBSET]] not in wanted:  # track_id: the index row
            continue
        if not row[0].isdecimal():
            raise ValueError(f"{row[0]!r} is not the number of a track")
        number = int(row[0])
        cells = {meaning: row[number_of[pair]].strip() for pair, meaning in _COLUMNS.items()}
        left_out = _FAULTS.get(number) or ("" if cells["genre"] else NO_TOP_GENRE)
        cells["genre"] = "" if left_out else cells["genre"]
        genres = () if number in _FAULTS else tuple(re.findall(r"\d+", row[number_of[_ALL_GENRES]]))
        yield _path(f"{number:06d}"), Track(metadata_of(cells), row[number_of[_SPLIT]], left_out, genres)

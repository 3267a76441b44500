"""Opens stores, and defines their format: all clips' spectrograms in one memory-mapped array beside one table.

A store is a folder. NumPy and any CSV reader open its files:
    spectrograms.npy  (columns of all clips, 128) uint8, clip after clip; time first, so a segment is contiguous on disk
    sketches.npy, tokens.npy  the clips' fingerprints, clip after clip
    clips.csv         one row per clip
    recordings.csv    pairs of clips that hold the same recording
    store.json        settings that the store was made with; written last
"""

import csv
import functools
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import get_type_hints

import numpy as np

from genreclf.csv_text import csv_line
from genreclf.data.fingerprint import SKETCH_BANDS, Fingerprints, Match, borders
from genreclf.errors import explained
from genreclf.files import write_atomically
from genreclf.frontend.log_mel import N_BANDS

FORMAT = 7
ARRAY, SKETCHES, TOKENS = "spectrograms.npy", "sketches.npy", "tokens.npy"
TABLE, RECORDINGS, META = "clips.csv", "recordings.csv", "store.json"


@dataclass(frozen=True)
class Row:
    """A clip in the table."""

    path: str  # the file's path relative to the data folder, with forward slashes
    label: str  # the class
    columns: int  # number of the spectrogram's columns; 0 for a clip that is left out
    frames: int  # the clip's length in frames of 23.2 ms
    offset: int  # the clip's columns are offset : offset + columns of the array
    first_sound: int  # the first column after the silence at the beginning, counted from `offset`
    sound_columns: int  # number of columns from there to the silence at the end
    sound_frames: int  # number of frames that they cover
    steps: int  # number of the clip's rows in sketches.npy
    tokens: int  # number of the clip's rows in tokens.npy
    source_rate_hz: int  # sample rate of the audio file; 0 for a picture
    source_seconds: float  # length of the audio file, or of the music that the picture shows
    digest: str  # SHA-256 of the file; empty if it cannot be read
    group: str  # equal for clips of the same recording: the path of the first of them
    problem: str  # why the clip is left out (unreadable, no music), or a note on a clip that is used


_ROW_TYPES = get_type_hints(Row)


@dataclass(frozen=True)
class Store:
    """An opened store."""

    folder: Path
    rows: tuple[Row, ...]
    columns: np.ndarray  # (columns of all clips, 128) uint8, memory-mapped
    fingerprints: Fingerprints
    matches: tuple[Match, ...]  # pairs of clips that hold the same recording
    digest: str  # of the contents: equal wherever the same files have the same relative paths

    @functools.cached_property
    def number_of(self) -> dict[str, int]:
        """The clips' numbers by path."""
        return {row.path: clip for clip, row in enumerate(self.rows)}

    def spectrogram(self, clip: int) -> np.ndarray:
        """Returns one clip's spectrogram: (128, columns) uint8, row 0 the lowest band."""
        row = self.rows[clip]
        return self.columns[row.offset : row.offset + row.columns].T


def open_store(folder: Path) -> Store:
    """Opens a finished store. Raises GenreclfError if a file is missing or damaged, or the format differs."""
    faults = OSError, ValueError, LookupError, TypeError, csv.Error
    with explained(f"{folder}: incomplete or damaged", "delete the folder and retry", *faults):
        meta = json.loads((folder / META).read_text())
        if meta["format"] != FORMAT:
            raise ValueError(f"format {meta['format']}, this version reads {FORMAT}")
        rows = tuple(read_table(folder / TABLE))
        columns = _open_array(folder / ARRAY, np.uint8, N_BANDS, _checked_columns(rows))
        matches = tuple(_read_matches(folder / RECORDINGS, rows))
        return Store(folder, rows, columns, open_fingerprints(folder, rows), matches, meta["digest"])


def open_fingerprints(folder: Path, rows: Sequence[Row]) -> Fingerprints:
    """Opens the clips' fingerprints, memory-mapped. Raises ValueError if the arrays do not fit the table."""
    steps, tokens = borders(row.steps for row in rows), borders(row.tokens for row in rows)
    sketch_array = _open_array(folder / SKETCHES, np.uint8, SKETCH_BANDS, steps[-1])
    return Fingerprints(sketch_array, steps, _open_array(folder / TOKENS, np.uint32, 2, tokens[-1]), tokens)


def _open_array(path: Path, dtype: type[np.generic], width: int, length: int) -> np.ndarray:
    array = np.lib.format.open_memmap(path, mode="r")
    if array.dtype != dtype or array.shape != (length, width):
        needed = f"{dtype.__name__} {(int(length), width)}"
        raise ValueError(f"{path.name} is {array.dtype} {array.shape}, the table gives {needed}")
    return array


def _checked_columns(rows: Sequence[Row]) -> int:
    """Returns the number of columns of all clips.

    Raises ValueError unless the clips lie one after another and each of them covers some time.
    """
    end = 0
    for row in rows:
        sound = 0 <= row.first_sound <= row.columns - row.sound_columns and min(row.sound_columns, row.sound_frames) > 0
        if row.offset != end or row.columns < 0 or (row.columns and (row.frames < 1 or not sound)):
            raise ValueError(f"{TABLE}: the numbers of {row.path!r} do not fit")
        end += row.columns
    return end


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Writes clips.csv."""
    write_atomically(path, csv_line(_ROW_TYPES) + "".join(csv_line(astuple(row)) for row in rows))


def read_table(path: Path) -> list[Row]:
    """Reads the complete rows of clips.csv. A row that a kill cut short is left out, with everything after it."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    complete = text[: text.rfind("\n") + 1]
    while complete.count('"') % 2:  # a line break inside quotes, from a file name, does not end a row
        complete = complete[: complete.rfind("\n", 0, -1) + 1]
    table = csv.reader(io.StringIO(complete, newline=""))
    names = next(table, None)
    kinds = [(names.index(name), kind) for name, kind in _ROW_TYPES.items()] if names else []
    return [Row(*[kind(cells[number]) for number, kind in kinds]) for cells in table]


def write_matches(path: Path, rows: Sequence[Row], matches: Sequence[Match]) -> None:
    """Writes recordings.csv, which identifies clips by their paths."""
    head = csv_line(field.name for field in fields(Match))
    lines = (csv_line((rows[first].path, rows[second].path, *rest)) for first, second, *rest in map(astuple, matches))
    write_atomically(path, head + "".join(lines))


def _read_matches(path: Path, rows: Sequence[Row]) -> Iterator[Match]:
    clip = {row.path: number for number, row in enumerate(rows)}
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    if not text.endswith("\n"):
        raise ValueError(f"{path.name} is cut short")
    for pair in csv.DictReader(io.StringIO(text, newline="")):
        first, second, *numbers = (pair[field.name] for field in fields(Match))
        yield Match(clip[first], clip[second], *map(float, numbers))

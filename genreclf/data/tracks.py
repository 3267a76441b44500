"""Types for the location and the tracks of a public data set, and functions that read its tables."""

import csv
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genreclf.data.table import ClipMetadata
from genreclf.errors import explained

Rows = Iterator[list[str]]


@dataclass(frozen=True)
class Layout:
    """The location of a data set."""

    audio: Path  # folder of the clips
    tables: Path  # folder of the tables


@dataclass(frozen=True)
class Track:
    """Information on a clip from a data set's tables."""

    metadata: ClipMetadata  # without a genre if the clip is left out
    split: str = ""  # part of the published split, by the data set's name for it
    left_out: str = ""  # why the clip is left out
    genres: tuple[str, ...] = ()  # all genres, if there may be several: names, or the tables' numbers


def has_numbered_folders(folder: Path, digits: int) -> bool:
    """Returns whether `folder` contains folders named by numbers with this many digits, as in large data sets."""
    return folder.is_dir() and any(re.fullmatch(rf"\d{{{digits}}}", inside.name) for inside in folder.iterdir())


def table_rows(file: Path, columns: int, delimiter: str = ",", quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Rows:
    """Yields the rows of a table that are not blank. Raises ValueError if one has fewer than `columns` cells."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter, quoting=quoting)
        for row in reader:
            if not any(row):
                continue
            if len(row) < columns:
                raise ValueError(f"line {reader.line_num} has {len(row)} cells, not {columns}")
            yield row


def reading(file: Path) -> AbstractContextManager[None]:
    """Turns errors in reading a table into GenreclfError, which names the file."""
    fault = f"{file}: cannot be read as a table of the data set"
    return explained(fault, "get it again", OSError, csv.Error, ValueError, IndexError)

"""Where a public data set lies, and what its tables hold."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genreclf.data.table import ClipMetadata
from genreclf.errors import GenreclfError, reason

Rows = Iterator[list[str]]


@dataclass(frozen=True)
class Layout:
    """Where a data set lies."""

    audio: Path  # the clips' folder
    tables: Path  # the folder of its tables


@dataclass(frozen=True)
class Track:
    """What a data set's tables say of a clip."""

    metadata: ClipMetadata  # without a genre where the clip is left out
    split: str = ""  # the part of the published split, as the data set names it
    left_out: str = ""  # why
    genres: tuple[str, ...] = ()  # all of them, where it may have several; by name, or by the numbers of its tables


def table_rows(file: Path, columns: int, delimiter: str = ",", quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Rows:
    """The rows of a table that are not blank. Raises ValueError for one with fewer than `columns` cells."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter, quoting=quoting)
        for row in reader:
            if not any(row):
                continue
            if len(row) < columns:
                raise ValueError(f"line {reader.line_num} has {len(row)} cells, not {columns}")
            yield row


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Within it, a table that cannot be read or understood raises GenreclfError, which names the file."""
    try:
        yield
    except OSError as error:
        raise GenreclfError(f"{file}: cannot be read ({error.strerror}); get it again") from error
    except (csv.Error, UnicodeError, ValueError, IndexError) as error:
        raise GenreclfError(f"{file}: not the data set's table ({reason(error)}); get it again") from error

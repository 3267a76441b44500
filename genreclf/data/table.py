"""Metadata of clips from a CSV: genre, artist, title, group and fold."""

import csv
import functools
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from genreclf.data.split import gtzan_name
from genreclf.errors import GenreclfError

KEYS = ("path", "clip")
USEFUL = ("genre", "artist", "group", "fold")
NAMES_SHOWN = 3


@dataclass(frozen=True)
class ClipMetadata:
    """The table's cells for a clip; empty if unknown."""

    artist: str = ""
    group: str = ""  # clips of one group must stay in one split
    title: str = ""
    genre: str = ""
    fold: str = ""


@dataclass(frozen=True)
class Table:
    """The content of a CSV file."""

    file: Path
    key: str  # the column that identifies clips, one of KEYS
    rows: dict[str, ClipMetadata]  # by the value in that column
    has_genres: bool


def read_table(file: Path, paths: Sequence[str]) -> list[ClipMetadata]:
    """The metadata of each clip in `paths` (relative, with forward slashes), empty for clips without a row.

    The table has a column `path`, or `clip` (the file name without suffix, or GTZAN's name in any usual spelling), and
    at least one of `genre`, `artist`, `group` and `fold`. It may have `title`; other columns are ignored. Raises
    GenreclfError for a table that cannot be read, lacks these columns, has two rows for a clip or two clips for a row,
    or has a row for none of the clips.
    """
    table = _open(file)
    return [table.rows[name] if name else ClipMetadata() for name in _rows_of(table, paths)]


def read_genres(file: Path, paths: Sequence[str]) -> list[str] | None:
    """The genre of each clip in `paths`, empty for a clip to skip; None if the table has no column `genre`.

    Prints to standard error how many clips have no row or no genre, and how many rows have no clip. Raises what
    `read_table` raises.
    """
    table = _open(file)
    if not table.has_genres:
        return None
    rows = dict(zip(paths, _rows_of(table, paths), strict=True))
    matched = set(rows.values())
    genres = {path: table.rows[row].genre for path, row in rows.items() if row}
    _warn(file, "clips in data.path have no row and are skipped", [path for path in paths if path not in genres])
    _warn(file, "clips have no genre and are skipped", [path for path, genre in genres.items() if not genre])
    _warn(file, "rows match no audio file or picture in data.path", [row for row in table.rows if row not in matched])
    return [genres.get(path, "") for path in paths]


def _warn(file: Path, what: str, names: Sequence[str]) -> None:
    """Prints how many, and the first few."""
    if names:
        first = ", ".join(map(repr, names[:NAMES_SHOWN]))
        _warn_once(f"data.table={file}: {len(names)} {what} (first: {first})")


@functools.cache
def _warn_once(line: str) -> None:
    """Prints a line once per process: a training lists its clips several times."""
    print(line, file=sys.stderr)


def _open(file: Path) -> Table:
    lines, columns = _read(file)
    key = next((name for name in KEYS if name in columns), None)
    if key is None or not any(name in columns for name in USEFUL):
        raise GenreclfError(
            f"data.table={file}: has the columns {', '.join(columns) or 'none'}; "
            f"it needs path or clip, and {' or '.join(USEFUL)}, separated by commas"
        )
    rows: dict[str, ClipMetadata] = {}
    for line, row in lines:
        name = _normalized(row[key] or "")
        if not name:
            raise GenreclfError(f"data.table={file}: line {line} has no {key}; fill it in, or delete the line")
        if any(row.get(None, ())):
            raise GenreclfError(
                f"data.table={file}: line {line} has more cells than the first line; put cells with commas in quotes"
            )
        if name in rows:
            raise GenreclfError(f"data.table={file}: two rows for {key} {name!r}; delete one of them")
        rows[name] = ClipMetadata(
            **{field.name: _normalized(row.get(field.name) or "").strip() for field in fields(ClipMetadata)}
        )
    return Table(file, key, rows, "genre" in columns)


def _read(file: Path) -> tuple[list[tuple[int, dict[Any, Any]]], Sequence[str]]:
    """The rows that are not blank, each with its line number; surplus cells are under None. And the columns."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text)
            # Spreadsheets may write blank rows at the end.
            return [(reader.line_num, row) for row in reader if any(row.values())], reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GenreclfError(f"data.table={file}: cannot be read ({error}); give a CSV file in UTF-8") from error


def _normalized(text: str) -> str:
    """Unicode's composed form (NFC): file systems and spreadsheets write accents differently."""
    return unicodedata.normalize("NFC", text)


def _rows_of(table: Table, paths: Sequence[str]) -> list[str | None]:
    """The key of each clip's row; None for a clip without a row."""
    found: list[str | None] = []
    clip_of: dict[str, str] = {}
    for path in paths:
        rows = [name for name in _names(path, table.key) if name in table.rows]
        if len(rows) > 1:
            raise GenreclfError(
                f"data.table={table.file}: two rows for {path!r}: {rows[0]!r} and {rows[1]!r}; delete one of them"
            )
        found.append(rows[0] if rows else None)
        if rows and clip_of.setdefault(rows[0], path) != path:
            remedy = "use the column path" if table.key == "clip" else "rename one of them"
            raise GenreclfError(
                f"data.table={table.file}: {table.key} {rows[0]!r} matches {clip_of[rows[0]]!r} and {path!r}; {remedy}"
            )
    if not any(found):
        raise GenreclfError(
            f"data.table={table.file}: none of its {len(table.rows)} rows fits a clip in data.path; compare the names "
            f"(first row: {next(iter(table.rows), 'none')!r}, first clip: {next(iter(paths), 'none')!r})"
        )
    return found


def _names(path: str, key: str) -> Sequence[str]:
    """The names by which a table may identify a clip."""
    path = _normalized(path)
    return (path,) if key == "path" else tuple(dict.fromkeys((PurePosixPath(path).stem, gtzan_name(path))))

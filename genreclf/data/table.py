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
    GenreclfError for a table that cannot be read, lacks these columns, or does not fit the clips one to one.
    """
    table = _open(file)
    return [table.rows[name] if name else ClipMetadata() for name in _rows_of(table, paths)]


def read_genres(file: Path, paths: Sequence[str]) -> list[str] | None:
    """The genre of each clip in `paths`, empty for a clip to skip; None if the table has no column `genre`.

    Prints to standard error how many clips have no row or no genre, and how many rows have no clip. Raises as above.
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
    if names:
        first = ", ".join(map(repr, names[:NAMES_SHOWN]))
        _print_once(f"data.table={file}: {len(names)} {what} (first: {first})")


@functools.cache  # a training lists its clips several times
def _print_once(line: str) -> None:
    print(line, file=sys.stderr)


def _open(file: Path) -> Table:
    where = f"data.table={file}"
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text)
            columns = reader.fieldnames or []
            # Spreadsheets may write blank rows at the end. Surplus cells are under None.
            lines: list[tuple[int, dict[Any, Any]]] = [(reader.line_num, row) for row in reader if any(row.values())]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GenreclfError(f"{where}: cannot be read ({error}); give a CSV file in UTF-8") from error
    key = next((name for name in KEYS if name in columns), None)
    if key is None or not any(name in columns for name in USEFUL):
        need = f"it needs path or clip, and {' or '.join(USEFUL)}, separated by commas"
        raise GenreclfError(f"{where}: has the columns {', '.join(columns) or 'none'}; {need}")
    rows: dict[str, ClipMetadata] = {}
    for line, row in lines:
        name = _normalized(row[key] or "")
        if not name:
            raise GenreclfError(f"{where}: line {line} has no {key}; fill it in, or delete the line")
        if any(row.get(None, ())):
            fault = f"line {line} has more cells than the first line"
            raise GenreclfError(f"{where}: {fault}; put cells with commas in quotes")
        if name in rows:
            raise GenreclfError(f"{where}: two rows for {key} {name!r}; delete one of them")
        cells = {field.name: _normalized(row.get(field.name) or "").strip() for field in fields(ClipMetadata)}
        rows[name] = ClipMetadata(**cells)
    return Table(file, key, rows, "genre" in columns)


def _normalized(text: str) -> str:
    """Unicode's composed form (NFC): file systems and spreadsheets write accents differently."""
    return unicodedata.normalize("NFC", text)


def _rows_of(table: Table, paths: Sequence[str]) -> list[str | None]:
    """The key of each clip's row; None for a clip without a row."""
    where = f"data.table={table.file}"
    found: list[str | None] = []
    clip_of: dict[str, str] = {}
    for path in paths:
        names = [_normalized(path)]
        if table.key == "clip":
            names = [PurePosixPath(names[0]).stem, gtzan_name(names[0])]
        rows = [name for name in dict.fromkeys(names) if name in table.rows]
        if len(rows) > 1:
            raise GenreclfError(f"{where}: two rows for {path!r}: {rows[0]!r} and {rows[1]!r}; delete one of them")
        found.append(rows[0] if rows else None)
        if rows and clip_of.setdefault(rows[0], path) != path:
            remedy = "use the column path" if table.key == "clip" else "rename one of them"
            both = f"{clip_of[rows[0]]!r} and {path!r}"
            raise GenreclfError(f"{where}: {table.key} {rows[0]!r} matches {both}; {remedy}")
    if not any(found):
        firsts = f"first row: {next(iter(table.rows), 'none')!r}, first clip: {next(iter(paths), 'none')!r}"
        raise GenreclfError(
            f"{where}: none of its {len(table.rows)} rows fits a clip in data.path; compare the names ({firsts})"
        )
    return found

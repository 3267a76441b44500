"""What a CSV says of the clips beside their files: genres, artists and titles, and groups of its own."""

import csv
import functools
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath

from genreclf.data.split import gtzan_name
from genreclf.errors import GenreclfError

KEYS = ("path", "clip")
USEFUL = ("genre", "artist", "group", "fold")
NAMES_TOLD = 3


@dataclass(frozen=True)
class ClipMetadata:
    """What is known of a clip; empty where it is not."""

    artist: str = ""
    group: str = ""
    title: str = ""
    genre: str = ""
    fold: str = ""


@dataclass(frozen=True)
class Table:
    """A CSV that was read: the facts by what stands in the column `key`, which is one of KEYS."""

    file: Path
    key: str
    facts: dict[str, ClipMetadata]
    has_genres: bool


def read_table(file: Path, paths: Sequence[str]) -> list[ClipMetadata]:
    """The facts of each clip of `paths` (relative, with forward slashes), empty ones for clips that have no row.

    The table has a column `path`, equal to a clip's, or `clip`, its file's name without suffix (or GTZAN's name,
    however the file spells it), and `genre`, `artist`, `group` or `fold`; also `title`, and others are left alone.
    Raises GenreclfError for a table that cannot be read, lacks these columns, has two rows for a clip or two clips for
    a row, or knows none of the clips.
    """
    table = _open(file)
    return [table.facts[name] if name else ClipMetadata() for name in _rows_of(table, paths)]


def read_genres(file: Path, paths: Sequence[str]) -> list[str] | None:
    """The genre of each clip of `paths`, empty for one to leave out; None for a table that has no column `genre`.

    Tells on standard error how many clips have no row, which rows no clip, and which no genre. Raises what
    `read_table` does.
    """
    table = _open(file)
    if not table.has_genres:
        return None
    rows = dict(zip(paths, _rows_of(table, paths), strict=True))
    named = set(rows.values())
    genres = {path: table.facts[row].genre for path, row in rows.items() if row}
    _tell(file, "clips in data.path have no row and are left out", [path for path in paths if path not in genres])
    _tell(file, "clips have no genre and are left out", [path for path, genre in genres.items() if not genre])
    _tell(file, "rows are of no audio file or picture in data.path", [row for row in table.facts if row not in named])
    return [genres.get(path, "") for path in paths]


def _tell(file: Path, what: str, names: Sequence[str]) -> None:
    """How many, and the first few."""
    if names:
        first = ", ".join(map(repr, names[:NAMES_TOLD]))
        _tell_once(f"data.table={file}: {len(names)} {what} (first: {first})")


@functools.cache
def _tell_once(line: str) -> None:
    """A training lists its clips more than once."""
    print(line, file=sys.stderr)


def _open(file: Path) -> Table:
    lines, columns = _read(file)
    key = next((name for name in KEYS if name in columns), None)
    if key is None or not any(name in columns for name in USEFUL):
        raise GenreclfError(
            f"data.table={file}: has the columns {', '.join(columns) or 'none'}; "
            f"it needs path or clip, and {' or '.join(USEFUL)}, separated by commas"
        )
    facts: dict[str, ClipMetadata] = {}
    for line, row in lines:
        name = _composed(row[key] or "")
        if not name:
            raise GenreclfError(f"data.table={file}: line {line} has no {key}; name the clip, or delete the line")
        if any(row.get(None, ())):
            raise GenreclfError(
                f"data.table={file}: line {line} has more cells than the first line; put those with commas in quotes"
            )
        if name in facts:
            raise GenreclfError(f"data.table={file}: two rows for {key} {name!r}; leave one of them")
        facts[name] = ClipMetadata(
            **{field.name: _composed(row.get(field.name) or "").strip() for field in fields(ClipMetadata)}
        )
    return Table(file, key, facts, "genre" in columns)


def _read(file: Path) -> tuple[list[tuple[int, dict[str, str | None]]], Sequence[str]]:
    """The rows that are not blank, each with its last line's number, and the columns."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text)
            # Spreadsheets write blank rows at the end.
            return [(reader.line_num, row) for row in reader if any(row.values())], reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GenreclfError(f"data.table={file}: cannot be read ({error}); give a CSV file in UTF-8") from error


def _composed(text: str) -> str:
    """One form of accents: file systems and spreadsheets do not agree in it."""
    return unicodedata.normalize("NFC", text)


def _rows_of(table: Table, paths: Sequence[str]) -> list[str | None]:
    """What stands in the key's column of each clip's row; None for a clip that has none."""
    found: list[str | None] = []
    clip_of: dict[str, str] = {}
    for path in paths:
        rows = [name for name in _names(path, table.key) if name in table.facts]
        if len(rows) > 1:
            raise GenreclfError(
                f"data.table={table.file}: two rows for {path!r}: {rows[0]!r} and {rows[1]!r}; leave one of them"
            )
        found.append(rows[0] if rows else None)
        if rows and clip_of.setdefault(rows[0], path) != path:
            mend = "name the clips by path" if table.key == "clip" else "rename one of them"
            raise GenreclfError(
                f"data.table={table.file}: {table.key} {rows[0]!r} is {clip_of[rows[0]]!r} and {path!r}; {mend}"
            )
    if not any(found):
        raise GenreclfError(
            f"data.table={table.file}: none of its {len(table.facts)} rows is of a clip in data.path (first row: "
            f"{next(iter(table.facts), 'none')!r}, first clip: {next(iter(paths), 'none')!r})"
        )
    return found


def _names(path: str, key: str) -> Sequence[str]:
    """What a table may call a clip."""
    path = _composed(path)
    return (path,) if key == "path" else tuple(dict.fromkeys((PurePosixPath(path).stem, gtzan_name(path))))

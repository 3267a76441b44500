"""Reads metadata of clips from a table (CSV): genre, artist, title, group, fold and licence."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

from genreclf.csv_text import CsvText, read_csv_text
from genreclf.data.artists import UNKNOWN, is_no_artist
from genreclf.data.clip_name import clip_name, path_among, path_parts
from genreclf.data.columns import Columns, read_header
from genreclf.data.notices import print_once
from genreclf.errors import GenreclfError
from genreclf.grouping import grouped
from genreclf.inference.task import MULTICLASS
from genreclf.tags.plan import split_genres
from genreclf.text import first_names, normalize_name, unescape_bytes, unescape_formula

# Names that mean a missing value elsewhere, but may be real in such a column: the class of out-of-scope music
_WORDS = {"genre": ("none", "unknown", "unbekannt"), "album": (), "group": (), "fold": ()}
_used: ContextVar[tuple[str, ...]] = ContextVar("used", default=())  # columns, see `columns_in_use`


@dataclass(frozen=True)
class ClipMetadata:
    """A clip's cells in a table, "" if unknown."""

    artist: str = ""
    group: str = ""  # clips of one group must stay in one split; the album if there is neither group nor artist
    title: str = ""
    genre: str = ""
    fold: str = ""
    license: str = ""  # of the recording


@dataclass(frozen=True)
class Table:
    """The content of a table."""

    file: Path
    columns: Columns
    cells: dict[str, tuple[str, ...]]  # of all columns, by the value in the column that identifies clips

    @property
    def where(self) -> str:
        """The beginning of messages about the table."""
        return f"data.table={self.file}"

    def metadata(self, name: str, task: str) -> ClipMetadata:
        """Returns the metadata in the row of this name."""
        cells = self.cells[name]
        found = metadata_of({meaning: cells[number] for meaning, number in self.columns.number_of.items()})
        return replace(found, genre=self.genre(name, task)) if self.columns.plan else found

    def genre(self, name: str, task: str) -> str:
        """Returns the genre in the row of this name, "" if it is unknown."""
        number = self.columns.number_of.get("genre")
        cell = "" if number is None else self.cells[name][number]
        genre = "" if _is_unknown(cell, "genre") else cell
        return next(iter(split_genres(genre)), "") if self.columns.plan and task == MULTICLASS else genre


def read_table(file: Path, paths: Sequence[str], task: str = MULTICLASS) -> list[ClipMetadata]:
    """Reads the metadata of each clip in `paths` (relative, with forward slashes); empty for clips without a row.

    In a plan of `genreclf tag`, the genre is in the column `correct`, which a person has filled in: the first of
    several, or with the task MULTILABEL all of them.

    The table is separated by commas, semicolons, tabs or bars, in UTF-8, UTF-16 or Windows-1252. One column identifies
    the clips by a path, whose last parts may be sufficient, or by a name. At least one contains information on them;
    `columns.NAMES` lists all names. Prints on standard error which columns have another name or are ignored, and
    whether the table is in Windows-1252. Raises GenreclfError if the table cannot be read, lacks these columns, or does
    not match the clips one to one.
    """
    table = _open(file)
    return [table.metadata(name, task) if name else ClipMetadata() for name in _rows_of(table, paths)]


def read_genres(
    file: Path, paths: Sequence[str], otherwise: str = "are skipped", task: str = MULTICLASS
) -> list[str] | None:
    """Reads the genre of each clip in `paths`, "" for a clip without one. Returns None if the table has no genres.

    Prints on standard error how many clips have no row or no genre, what happens to them (`otherwise`), and how many
    rows have no clip. Raises GenreclfError as `read_table` does, and for a cell that is a list.
    """
    table = _open(file)
    rows = dict(zip(paths, _rows_of(table, paths), strict=True))
    has_genres = "genre" in table.columns.number_of
    skipped = f" and {otherwise}" if has_genres else ""
    matched = set(rows.values())
    _report(table, f"clips in data.path have no row{skipped}", [path for path, row in rows.items() if not row])
    genres = {path: table.genre(row, task) for path, row in rows.items() if row}
    if table.columns.plan and not any(genres.values()):
        column = table.columns.names[table.columns.number_of["genre"]]
        remedy = "write the correct genres of some files there"
        raise GenreclfError(f"{table.where}: its column {column!r} is empty; {remedy}")
    if lists := [genre for genre in genres.values() if re.fullmatch(r"[\[({].*[\])}]", genre)]:
        remedy = "write several genres as rock;pop, with task=multilabel"
        raise GenreclfError(f"{table.where}: {lists[0]!r} is a list, not the name of a genre; {remedy}")
    if has_genres:
        _report(table, f"clips have no genre and {otherwise}", [path for path, genre in genres.items() if not genre])
    _report(
        table, "rows match no audio file or picture in data.path", [row for row in table.cells if row not in matched]
    )
    return [genres.get(path, "") for path in paths] if has_genres else None


def read_column(file: Path, paths: Sequence[str], name: str) -> list[str]:
    """Reads each clip's cell in the column `name` (see `Columns.find`); "" for a clip without a row.

    Raises GenreclfError as `read_table` and `check_column` do.
    """
    table = _open(file)
    number = _column(table.where, table.columns, name)
    return [table.cells[row][number] if row else "" for row in _rows_of(table, paths)]


def check_column(file: Path, name: str) -> int:
    """Returns the index of the column `name`. Raises GenreclfError, which lists all columns, unless just one fits."""
    where = f"data.table={file}"
    return _column(where, read_header(read_csv_text(file, where)), name)


def _column(where: str, columns: Columns, name: str) -> int:
    found = columns.find(name)
    if len(found) != 1:
        fault = f"has {len(found)} columns {name!r}" if found else f"has no column {name!r}"
        raise GenreclfError(f"{where}: {fault}; its columns: {', '.join(map(repr, columns.names))}")
    return found[0]


@contextmanager
def columns_in_use(names: Sequence[str]) -> Iterator[None]:
    """Marks columns that the caller reads with `read_column`, so that they are not reported as ignored."""
    token = _used.set(tuple(names))
    try:
        yield
    finally:
        _used.reset(token)


def _report(table: Table, what: str, names: Sequence[str]) -> None:
    if names:
        print_once(f"{table.where}: {len(names)} {what} (first: {first_names(names)})")


def _open(file: Path) -> Table:
    where = f"data.table={file}"
    text = read_csv_text(file, where)
    columns, cells = _parsed(text)
    for note in filter(None, (text.note, columns.note(_used.get()))):
        print_once(f"{where}: {note}")
    return Table(file, columns, cells)


@lru_cache(maxsize=1)  # a run reads its table several times
def _parsed(text: CsvText) -> tuple[Columns, dict[str, tuple[str, ...]]]:
    """Returns the columns of a table, and `Table.cells`."""
    columns, where = read_header(text), text.where
    cells: dict[str, tuple[str, ...]] = {}
    for line, row in text.rows(columns.delimiter):
        name, of_row = _cells(row, columns, where, line)
        before = cells.setdefault(name, of_row)
        if before != of_row:  # an identical row is harmless
            column = next(column for column in range(len(before)) if before[column] != of_row[column])
            both = f"with {columns.names[column]} {before[column]!r} and, in line {line}, {of_row[column]!r}"
            raise GenreclfError(f"{where}: two rows for {columns.key_name} {name!r}, {both}; delete one of them")
    return columns, cells


def _cells(row: Sequence[str], columns: Columns, where: str, line: int) -> tuple[str, tuple[str, ...]]:
    """Returns the clip's name in a row, and the row's cells. Raises GenreclfError, which begins with `where`."""
    cells = [unicodedata.normalize("NFC", cell) for cell in row] + [""] * (len(columns.names) - len(row))
    cells = list(map(unescape_formula, cells)) if columns.plan else cells
    name = cells[columns.number_of[columns.key]]
    if not name.strip():
        raise GenreclfError(f"{where}: line {line} has no {columns.key_name}; fill it in, or delete the line")
    if any(cells[len(columns.names) :]):
        remedy = f"put cells that contain {columns.delimiter!r} in quotes, with no space before these"
        raise GenreclfError(f"{where}: line {line} has more cells than the first line; {remedy}")
    return unescape_bytes(name) if columns.plan else name, tuple(map(str.strip, cells[: len(columns.names)]))


def metadata_of(cells: dict[str, str]) -> ClipMetadata:
    """Makes the metadata from a row's cells, given by the meaning of their columns."""
    known = {
        meaning: "" if _is_unknown(cell, meaning) else cell
        for meaning, cell in cells.items()
        if meaning not in ("path", "clip")
    }
    album = known.pop("album", "")
    # Songs of one album are rarely by different artists. If the artist is known, it is the better key.
    if album and not known.get("artist") and not known.get("group"):
        known["group"] = f"album {album}"
    return ClipMetadata(**known)


def overridden(row: ClipMetadata, given: ClipMetadata) -> ClipMetadata:
    """Replaces a row's cells by those of `given` that are not empty."""
    cells = {field.name: getattr(given, field.name) for field in fields(given)}
    return replace(row, **{name: cell for name, cell in cells.items() if cell})


@lru_cache(maxsize=2**12)  # most columns have the same cells again and again
def _is_unknown(cell: str, meaning: str) -> bool:
    if meaning == "artist":
        return is_no_artist(cell)
    if meaning not in _WORDS:
        return False
    plain = normalize_name(cell)
    return plain in UNKNOWN and plain not in _WORDS[meaning] if plain else not cell.strip("-?")


def _rows_of(table: Table, paths: Sequence[str]) -> list[str | None]:
    """Returns the key of each clip's row, or None for a clip without a row."""
    clips = [unicodedata.normalize("NFC", path) for path in paths]
    for form in _forms(table.columns.key, clips, table.cells):
        rows = grouped((form(name), name) for name in table.cells)
        found = [rows.get(form(clip), []) for clip in clips]
        if any(found):
            _check_one_to_one(table, paths, found)
            return [names[0] if names else None for names in found]
    if not table.cells:
        raise GenreclfError(f"{table.where}: has no rows below its header; add one for each clip")
    firsts = f"first row: {next(iter(table.cells))!r}, first clip: {next(iter(paths), 'none')!r}"
    fault = f"none of its {len(table.cells)} rows fits a clip in data.path"
    raise GenreclfError(f"{table.where}: {fault}; compare the names ({firsts})")


def _forms(key: str, clips: Sequence[str], names: Iterable[str]) -> Iterator[Callable[[str], str]]:
    """Yields ways to compare the table's names with the clips', strictest first. The first that fits will be used."""
    yield path_among(clips)
    depth = max((len(path_parts(name)) for name in (*clips, *names)), default=1)
    tails: list[Callable[[str], str]] = [_tail(count) for count in range(depth - 1, 0, -1)]
    yield from [*tails, clip_name] if key == "path" else [clip_name, *tails]
    yield _number


def _tail(count: int) -> Callable[[str], str]:
    """Returns a function that keeps at most `count` parts of a path: a table's paths may start at another folder."""
    return lambda name: "/".join(path_parts(name)[-count:])


def _number(name: str) -> str:
    """Returns the number that is a file's name: tables contain 2, or 2.0, for 000002.mp3."""
    stem = clip_name(name)
    number = re.fullmatch(r"0*(\d+?)(\.0+)?", stem)
    return number[1] if number else stem


def _check_one_to_one(table: Table, paths: Sequence[str], found: Sequence[Sequence[str]]) -> None:
    clip_of: dict[str, str] = {}
    for path, names in zip(paths, found, strict=True):
        if len(names) > 1:
            fault = f"two rows for {path!r}: {names[0]!r} and {names[1]!r}"
            raise GenreclfError(f"{table.where}: {fault}; delete one of them")
        if names and clip_of.setdefault(names[0], path) != path:
            fault = f"{table.columns.key_name} {names[0]!r} matches {clip_of[names[0]]!r} and {path!r}"
            remedy = "give each clip's whole path below data.path in a column path, or rename one"
            raise GenreclfError(f"{table.where}: {fault}; {remedy}")

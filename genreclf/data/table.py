"""Metadata of clips from a table (CSV): genre, artist, title, group, fold and licence."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from pathlib import Path

from genreclf.csv_text import read_csv_text
from genreclf.data.columns import Columns, read_header
from genreclf.data.notices import tell_once
from genreclf.data.split import gtzan_name
from genreclf.errors import GenreclfError
from genreclf.frontend.clip import is_clip
from genreclf.inference.task import MULTICLASS
from genreclf.tags.plan import split_genres
from genreclf.text import first_names, normalize_name, unescape_bytes, unescape_formula

# What tables write where they know no value; without case, spaces and punctuation, so "n/a", "N.A." and "<NA>" are one.
_UNKNOWN = ("na", "nan", "nil", "none", "null", "unknown", "unbekannt", "tba", "tbd")
_NO_ARTIST = (
    *("", *_UNKNOWN),
    *("unknownartist", "unknownartists", "artistunknown", "noartist", "anonymous", "unknownperformer", "unknownband"),
    *("va", "various", "variousartist", "variousartists", "multipleartists", "diverse", "verschiedene"),
    *("unbekannterkünstler", "unbekannterinterpret", "artistadesconocido", "variosartistas", "artisteinconnu"),
    *("artistesdivers", "artistasconosciuto", "artistivari"),
)
_used: ContextVar[tuple[str, ...]] = ContextVar("used", default=())  # columns, see `columns_in_use`


@dataclass(frozen=True)
class ClipMetadata:
    """The table's cells for a clip; empty if unknown."""

    artist: str = ""
    group: str = ""  # clips of one group must stay in one split; without one and an artist, the album
    title: str = ""
    genre: str = ""
    fold: str = ""
    license: str = ""  # of the recording


@dataclass(frozen=True)
class Table:
    """The content of a table."""

    file: Path
    columns: Columns
    rows: dict[str, ClipMetadata]  # by the value in the column that identifies clips
    cells: dict[str, tuple[str, ...]]  # of all columns, by the same value

    @property
    def where(self) -> str:
        """How messages about it begin."""
        return f"data.table={self.file}"


def read_table(file: Path, paths: Sequence[str], task: str = MULTICLASS) -> list[ClipMetadata]:
    """The metadata of each clip in `paths` (relative, with forward slashes), empty for clips without a row.

    Of a plan of `genreclf tag`, the genre is that in its column `correct`, which a person has filled in: the first of
    several, or with the task MULTILABEL all of them.

    The table is separated by commas, semicolons, tabs or bars, in UTF-8, UTF-16 or Windows-1252. One column identifies
    the clips: a path, of which the last parts may suffice, or a name. At least one says something about them;
    `columns.NAMES` has the names of all. Prints to standard error which columns are taken under another name or passed
    over, and that it takes Windows-1252. Raises GenreclfError for a table that cannot be read, lacks these columns, or
    does not fit the clips one to one.
    """
    table = _open(file, task)
    return [table.rows[name] if name else ClipMetadata() for name in _rows_of(table, paths)]


def read_genres(
    file: Path, paths: Sequence[str], otherwise: str = "are skipped", task: str = MULTICLASS
) -> list[str] | None:
    """The genre of each clip in `paths`, empty for a clip without one; None if the table has no genres.

    Prints to standard error how many clips have no row or no genre, what happens to them (`otherwise`), and how many
    rows have no clip. Raises as above.
    """
    table = _open(file, task)
    rows = dict(zip(paths, _rows_of(table, paths), strict=True))
    has_genres = "genre" in table.columns.number_of
    skipped = f" and {otherwise}" if has_genres else ""
    matched = set(rows.values())
    _tell(table, f"clips in data.path have no row{skipped}", [path for path, row in rows.items() if not row])
    genres = {path: table.rows[row].genre for path, row in rows.items() if row}
    if table.columns.plan and not any(genres.values()):
        column = table.columns.names[table.columns.number_of["genre"]]
        raise GenreclfError(
            f"{table.where}: its column {column!r} is empty; write the correct genres of some files there"
        )
    if has_genres:
        _tell(table, f"clips have no genre and {otherwise}", [path for path, genre in genres.items() if not genre])
    _tell(table, "rows match no audio file or picture in data.path", [row for row in table.rows if row not in matched])
    return [genres.get(path, "") for path in paths] if has_genres else None


def read_column(file: Path, paths: Sequence[str], name: str) -> list[str]:
    """The cell of each clip in `paths` in the column `name` (see `Columns.find`); empty for a clip without a row.

    Raises GenreclfError as `read_table` and `check_column` do.
    """
    table, number = _open(file), check_column(file, name)
    return [table.cells[row][number] if row else "" for row in _rows_of(table, paths)]


def check_column(file: Path, name: str) -> int:
    """The number of the column `name`, from 0. Raises GenreclfError, which names those there are, unless it is one."""
    columns = _open(file).columns
    found = columns.find(name)
    if len(found) != 1:
        fault = f"has {len(found)} columns {name!r}" if found else f"has no column {name!r}"
        raise GenreclfError(f"data.table={file}: {fault}; its columns: {', '.join(map(repr, columns.names))}")
    return found[0]


@contextmanager
def columns_in_use(names: Sequence[str]) -> Iterator[None]:
    """Within it, columns of these names are not reported as ignored: the caller reads them with `read_column`."""
    token = _used.set(tuple(names))
    try:
        yield
    finally:
        _used.reset(token)


def _tell(table: Table, what: str, names: Sequence[str]) -> None:
    if names:
        tell_once(f"{table.where}: {len(names)} {what} (first: {first_names(names)})")


def _open(file: Path, task: str = MULTICLASS) -> Table:
    where = f"data.table={file}"
    text = read_csv_text(file, where)
    columns = read_header(text)
    rows: dict[str, ClipMetadata] = {}
    of_row: dict[str, tuple[str, ...]] = {}
    for line, row in text.rows(columns.delimiter):
        cells = [unicodedata.normalize("NFC", cell) for cell in row] + [""] * (len(columns.names) - len(row))
        cells = list(map(unescape_formula, cells)) if columns.plan else cells
        number = columns.number_of[columns.key]
        name = unescape_bytes(cells[number]) if columns.plan else cells[number]
        if not name:
            raise GenreclfError(f"{where}: line {line} has no {columns.names[number]}; fill it in, or delete the line")
        if any(cells[len(columns.names) :]):
            fault = f"line {line} has more cells than the first line"
            raise GenreclfError(f"{where}: {fault}; put cells that contain {columns.delimiter!r} in quotes")
        if name in rows:
            raise GenreclfError(f"{where}: two rows for {columns.names[number]} {name!r}; delete one of them")
        of_row[name] = tuple(map(str.strip, cells))
        rows[name] = metadata_of({meaning: of_row[name][at] for meaning, at in columns.number_of.items()})
        if columns.plan and task == MULTICLASS:
            rows[name] = replace(rows[name], genre=next(iter(split_genres(rows[name].genre)), ""))
    for told in filter(None, (text.note, columns.told(_used.get()))):
        tell_once(f"{where}: {told}")
    return Table(file, columns, rows, of_row)


def metadata_of(cells: dict[str, str]) -> ClipMetadata:
    """The metadata that a row has with these cells, by the meaning of their columns."""
    known = {
        meaning: "" if _stands_for_none(cell, meaning) else cell
        for meaning, cell in cells.items()
        if meaning not in ("path", "clip")
    }
    album = known.pop("album", "")
    # Songs of one album are rarely by different artists; where the artist is known, it says more.
    if album and not known.get("artist") and not known.get("group"):
        known["group"] = f"album {album}"
    return ClipMetadata(**known)


def overridden(row: ClipMetadata, given: ClipMetadata) -> ClipMetadata:
    """The row with the cells that the other one gives."""
    cells = {field.name: getattr(given, field.name) for field in fields(given)}
    return replace(row, **{name: cell for name, cell in cells.items() if cell})


def _stands_for_none(cell: str, meaning: str) -> bool:
    plain = normalize_name(cell)
    if meaning == "artist":
        return plain in _NO_ARTIST
    return meaning in ("album", "group") and (plain in _UNKNOWN if plain else not cell.strip("-?"))


def _rows_of(table: Table, paths: Sequence[str]) -> list[str | None]:
    """The key of each clip's row; None for a clip without a row."""
    paths_read = [unicodedata.normalize("NFC", path) for path in paths]
    for form in _forms(table.columns.key, [*paths_read, *table.rows]):
        rows: dict[str, list[str]] = defaultdict(list)
        for name in table.rows:
            rows[form(name)].append(name)
        found = [rows.get(form(path), []) for path in paths_read]
        if any(found):
            _check_one_to_one(table, paths, found)
            return [names[0] if names else None for names in found]
    firsts = f"first row: {next(iter(table.rows), 'none')!r}, first clip: {next(iter(paths), 'none')!r}"
    fault = f"none of its {len(table.rows)} rows fits a clip in data.path"
    raise GenreclfError(f"{table.where}: {fault}; compare the names ({firsts})")


def _forms(key: str, names: Sequence[str]) -> list[Callable[[str], str]]:
    """The ways to compare the table's names with those of clips, the strictest first; the first that fits is taken."""
    depth = max((len(_parts(name)) for name in names), default=1)
    tails: list[Callable[[str], str]] = [_tail(count) for count in range(depth, 0, -1)]
    looser = [*tails, _stem] if key == "path" else [_stem, *tails]
    return [str, *looser, _number]


def _parts(name: str) -> list[str]:
    """The parts of a path of any system, without case."""
    return [part.strip() for part in re.split(r"[/\\]", name.casefold()) if part.strip() not in ("", ".")]


def _tail(count: int) -> Callable[[str], str]:
    """Takes the last `count` parts of a path, or all: a table may hold paths from another folder than data.path."""
    return lambda name: "/".join(_parts(name)[-count:])


def _stem(name: str) -> str:
    """A file's name without folder and suffix; for GTZAN's in any usual spelling, `blues.00000`."""
    last = re.split(r"[/\\]", name.strip())[-1]
    known = gtzan_name(last)
    return last.rpartition(".")[0] if known == last and is_clip(last) else known


def _number(name: str) -> str:
    """The number that a file's name is: tables write 2 for 000002.mp3."""
    stem = _stem(name)
    return stem.lstrip("0") if stem.isdecimal() else stem


def _check_one_to_one(table: Table, paths: Sequence[str], found: Sequence[Sequence[str]]) -> None:
    clip_of: dict[str, str] = {}
    for path, names in zip(paths, found, strict=True):
        if len(names) > 1:
            fault = f"two rows for {path!r}: {names[0]!r} and {names[1]!r}"
            raise GenreclfError(f"{table.where}: {fault}; delete one of them")
        if names and clip_of.setdefault(names[0], path) != path:
            column = table.columns.names[table.columns.number_of[table.columns.key]]
            fault = f"{column} {names[0]!r} matches {clip_of[names[0]]!r} and {path!r}"
            raise GenreclfError(
                f"{table.where}: {fault}; give each clip's whole path below data.path in a column path, or rename one"
            )

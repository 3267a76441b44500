"""The plan of `genreclf tag`: a CSV file that people edit, with the genre to write to each file."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genreclf.csv_text import CsvText, csv_line, read_csv_text
from genreclf.errors import GenreclfError
from genreclf.files import write_atomically
from genreclf.text import escape_bytes, escape_formula, one_line, unescape_bytes, unescape_formula, utf8

WRITE, KEEP, SKIP = "write", "keep", "skip"
ACTIONS = (WRITE, KEEP, SKIP)
COLUMNS = ("path", "action", "genre", "probability", "known", "present", "correct", "note", "modified")
_TEXT = ("genre", "present", "correct", "note", "modified")
_NEEDED = ("path", "action", "genre", "present")
SEPARATOR = ";"  # between several genres in one cell


@dataclass(frozen=True)
class PlanRow:
    """What would happen to one file, and a person's correction of it."""

    path: str
    action: str  # WRITE, KEEP or SKIP
    genre: str  # the predicted genres, joined by "; "; empty if the model gives none
    probability: float | None  # sum over these genres, or their lowest if multi-label; None in a plan that was read
    known: float | None  # probability that the music is in scope; None also if the model does not estimate it
    present: str  # the genres in the file's tags, joined by "; "
    correct: str = ""  # the genre that a person wants
    note: str = ""
    modified: str = ""  # the file's modification time, in whole seconds since 1970
    reason: str = ""  # why the action is KEEP or SKIP, for a summary; not in the plan's CSV

    @property
    def wanted(self) -> tuple[str, ...]:
        """The genres to write; empty if the file should not change."""
        return split_genres(self.correct) or (split_genres(self.genre) if self.action == WRITE else ())


def join_genres(genres: Iterable[str]) -> str:
    """Joins several genres into one cell."""
    return f"{SEPARATOR} ".join(genres)


def split_genres(cell: str) -> tuple[str, ...]:
    """Splits one cell into genres."""
    return tuple(filter(None, map(str.strip, cell.split(SEPARATOR))))


def modified_seconds(path: Path) -> str:
    """Returns a file's modification time for a plan; empty if the file does not exist."""
    try:
        return str(int(path.stat().st_mtime))
    except OSError:
        return ""


def write_plan(rows: Iterable[PlanRow], file: Path) -> None:
    """Writes a plan in UTF-8. Raises OSError if that fails."""
    lines = [COLUMNS, *([cells[column] for column in COLUMNS] for cells in map(_cells, rows))]
    write_atomically(file, "".join(map(csv_line, lines)))


def append_rows(rows: Iterable[PlanRow], file: Path) -> None:
    """Appends rows to a plan with the columns and delimiter that it has now, and flushes them to disk.

    Raises GenreclfError if the file is not a plan or not in UTF-8, and OSError if writing fails.
    """
    content = read_csv_text(file, str(file))
    delimiter, names = _header(content)
    if content.text not in file.read_bytes().decode("utf-8-sig", errors="replace"):
        raise GenreclfError(f"{file}: not in UTF-8, so no rows can be added; save it as CSV in UTF-8")
    line_end = "\r\n" if "\r\n" in content.text else "\n"
    filled = ([cells.get(name, "") for name in names] for cells in map(_cells, rows))
    lines = "".join(csv_line(cells, delimiter, line_end) for cells in filled)
    with file.open("ab") as out:
        out.write((lines if content.text.endswith("\n") else line_end + lines).encode())
        out.flush()
        os.fsync(out.fileno())


def read_plan(file: Path) -> list[PlanRow]:
    """Reads a plan, also one that a spreadsheet has saved. Raises GenreclfError if the file is not a plan."""
    content = read_csv_text(file, str(file))
    delimiter, names = _header(content)
    if content.note:
        print(one_line(f"genreclf: {file}: {content.note}"), file=sys.stderr)
    rows = []
    for line, cells in content.rows(delimiter):
        row = dict(zip(names, cells, strict=False))
        action = row["action"].strip().lower() if len(cells) > names.index("action") else ""
        if action not in ACTIONS:
            raise GenreclfError(f"{file}: line {line}: action {action!r}: expected {', '.join(ACTIONS)}; correct it")
        if not row["path"]:
            raise GenreclfError(f"{file}: line {line}: no path; give one, or delete the line")
        text = {name: unescape_formula(row.get(name, "")) for name in _TEXT}
        path = unescape_bytes(unescape_formula(row["path"]))
        rows.append(PlanRow(path, action, probability=None, known=None, **text))
    return rows


def _header(content: CsvText) -> tuple[str, list[str]]:
    """Returns the delimiter and the names of the columns."""
    delimiter = content.delimiter(lambda name: name.strip().lower() in _NEEDED)
    names = [name.strip().lower() for name in content.header(delimiter)]
    if any(names.count(name) != 1 for name in _NEEDED):
        needed = ", ".join(_NEEDED)
        fault = f"not a plan: its first line lacks the columns {needed}"
        raise GenreclfError(f"{content.where}: {fault}; give that of --plan")
    return delimiter, names


def _cells(row: PlanRow) -> Mapping[str, Any]:
    shares = {"probability": row.probability, "known": row.known}
    return {
        "path": escape_formula(escape_bytes(row.path)),
        "action": row.action,
        **{name: "" if value is None else f"{value:.4f}" for name, value in shares.items()},
        **{name: escape_formula(utf8(getattr(row, name))) for name in _TEXT},
    }

"""Stores the results of a long job, a line per file, so that it can resume after an interruption."""

import json
from pathlib import Path
from typing import Any

from genreclf.errors import GenreclfError, explained, remedy
from genreclf.files import check_ends, stamp
from genreclf.frontend.object_store import Location, StorePath
from genreclf.inference.results import Row


class Journal:
    """Rows by path, stored as JSON Lines in `file`, which is created if it is missing.

    A row is valid as long as the file's size and modification time and the `model` (a digest) are the same. Rows of
    other models stay in the journal. An incomplete line, left by a killed process, is ignored. Raises GenreclfError if
    `file` is not a journal or cannot be written.
    """

    def __init__(self, file: Path, model: str) -> None:
        self.file, self.model = file, model
        self.stamps: dict[str, list[int | str]] = {}
        self._append(b"")  # creates a missing file
        with explained(f"--journal {file}: cannot be read", "choose another file", OSError):
            lines = [line for line in check_ends(file).read_bytes().splitlines() if line.strip()]
        entries = [entry for line in lines if (entry := _entry(line)) is not None]
        if lines and not entries:
            raise GenreclfError(f"--journal {file}: not a journal of this command; choose another file")
        self.rows = {entry["path"]: (entry["stamp"], entry["row"]) for entry in entries if entry["model"] == model}

    def find(self, path: Location) -> Row | None:
        """Returns the row of a file that could be read and has not changed since. Call it before `add`."""
        self.stamps[str(path)] = _stamp(path)
        before, row = self.rows.get(str(path), (None, {}))
        return row if before == self.stamps[str(path)] and row.get("problem") == "" else None

    def add(self, path: Location, row: Row) -> None:
        """Appends a row to the journal."""
        line = {"path": str(path), "stamp": self.stamps[str(path)], "model": self.model, "row": row}
        # A newline before each line, too: part of a line that a killed process left must not spoil the next one.
        self._append(b"\n" + json.dumps(line).encode() + b"\n")

    def _append(self, content: bytes) -> None:
        try:
            with self.file.open("ab", buffering=0) as file:
                file.write(content)
        except OSError as error:
            fault = f"--journal {self.file}: {error.strerror}"
            raise GenreclfError(f"{fault}; {remedy(error)}") from error


def _stamp(path: Location) -> list[int | str]:
    """Returns the `stamp` of a file, [0, 0] if it is missing, or that of an object."""
    return path.stamp if isinstance(path, StorePath) else list(stamp(path) or (0, 0))


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    keys = {"path": str, "stamp": list, "model": str, "row": dict}
    fits = isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in keys.items())
    return entry if fits else None

"""What was answered so far: a file with a line a clip, so that a run that was killed anywhere goes on where it was."""

import json
import os
from pathlib import Path
from typing import Any

from genreclf.errors import GenreclfError

Row = dict[str, Any]


class Journal:
    """Rows by path, in JSON Lines at `file`, which is made where it is missing; `model` names who answers.

    A row holds for a file as long as its size, its time of change and the model are what they were. Rows of others stay
    in the file. A line that was cut off by a kill is passed over. Raises GenreclfError for a file that is no journal.
    """

    def __init__(self, file: Path, model: str) -> None:
        self.file, self.model = file, model
        self.rows: dict[str, tuple[list[int], Row]] = {}
        self.stamps: dict[str, list[int]] = {}
        try:
            self._read()
            self.handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise GenreclfError(f"--journal {file}: {error.strerror}; choose another file") from error

    def known(self, path: Path) -> Row | None:
        """The row of a file that has not changed since; ask before the file is read, and `add` what came of it."""
        self.stamps[str(path)] = stamp_of(path)
        stamp, row = self.rows.get(str(path), (None, None))
        return row if stamp == self.stamps[str(path)] else None

    def add(self, path: Path, row: Row) -> None:
        """Keeps a row: it is on its way to the disk, whole, when this returns."""
        line = {"path": str(path), "stamp": self.stamps[str(path)], "model": self.model, "row": row}
        # A newline before each line, too: what a kill left of the last one must not spoil this one.
        os.write(self.handle, b"\n" + json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """Nothing can be added any more."""
        os.close(self.handle)

    def _read(self) -> None:
        if not self.file.exists():
            return
        lines = [line for line in self.file.read_bytes().splitlines() if line.strip()]
        entries = [entry for line in lines if (entry := _entry(line)) is not None]
        if lines and not entries:
            raise GenreclfError(f"--journal {self.file}: is no journal of this command; choose another file")
        self.rows = {entry["path"]: (entry["stamp"], entry["row"]) for entry in entries if entry["model"] == self.model}


def stamp_of(path: Path) -> list[int]:
    """Size in bytes and time of change in nanoseconds; [0, 0] of a file that is not there."""
    try:
        found = path.stat()
    except OSError:
        return [0, 0]
    return [found.st_size, found.st_mtime_ns]


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    keys = {"path": str, "stamp": list, "model": str, "row": dict}
    fits = isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in keys.items())
    return entry if fits else None

"""The log of `genreclf tag --apply`: each file's previous genre, which `--undo` restores."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from genreclf.errors import GenreclfError, explained
from genreclf.files import check_ends
from genreclf.tags.byte_patch import BytePatch, from_json, to_json
from genreclf.tags.file_tags import GenreTag


class LogError(GenreclfError):
    """Raised if the log cannot be written; no more files may be changed."""


class Change(NamedTuple):
    """A change to one file."""

    path: str  # absolute
    before: GenreTag
    after: tuple[str, ...]  # the genres that were written
    patch: BytePatch | None = None  # restores the file's previous bytes; None if there are too many


class GenreLog:
    """A log of changes as JSON Lines in `file`, which is created if it is missing.

    Raises GenreclfError if the file is not such a log or cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        if file.exists():
            read_log(file)  # refuses other files
        self._append(b"")

    def add(self, change: Change) -> None:
        """Adds a change and flushes it to disk."""
        before = {"genres": list(change.before.values), "id3v1": change.before.id3v1}
        line = {"path": change.path, "before": before, "after": list(change.after)}
        line |= {"bytes": to_json(change.patch)} if change.patch else {}
        # A newline before each line, too: part of a line that a killed process left must not spoil the next one.
        self._append(b"\n" + json.dumps(line).encode() + b"\n")

    def _append(self, content: bytes) -> None:
        try:
            with self.file.open("ab") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            fault = f"cannot be written ({error.strerror}), so nothing more is changed"
            raise LogError(f"--log {self.file}: {fault}; choose another file") from error


def read_log(file: Path) -> list[Change]:
    """Reads the changes in a log, in order. Raises GenreclfError if the file is not a log or cannot be read."""
    with explained(f"{file}: cannot be read", "give the log that --apply wrote", OSError):
        lines = [line for line in check_ends(file).read_bytes().splitlines() if line.strip()]
    changes = [change for line in lines if (change := _change(line)) is not None]
    if lines and not changes:
        raise GenreclfError(f"{file}: not a log of genreclf tag; give the log that --apply wrote")
    return changes


def _change(line: bytes) -> Change | None:
    """Reads the change on a line; None for part of a line, left by a killed process."""
    try:
        values = json.loads(line)
        before = GenreTag(_words(values["before"]["genres"]), values["before"]["id3v1"])
        patch = from_json(values["bytes"]) if "bytes" in values else None
        return Change(str(values["path"]), before, _words(values["after"]), patch)
    except (ValueError, KeyError, TypeError):
        return None


def _words(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(map(str, values))

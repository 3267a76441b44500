"""The log of `genreclf tag --apply`: what each file's genre was before, from which `--undo` restores it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from genreclf.errors import GenreclfError
from genreclf.files import check_ends
from genreclf.tags.byte_patch import BytePatch, from_json, to_json
from genreclf.tags.file_tags import GenreTag


class LogError(GenreclfError):
    """A log that cannot be written: nothing more may be changed."""


class Change(NamedTuple):
    """A change of one file."""

    path: str  # absolute
    before: GenreTag
    after: tuple[str, ...]  # the genres that were written
    patch: BytePatch | None = None  # the file's bytes from before; None where they are too many


class GenreLog:
    """A log to which changes are added: JSON Lines in `file`, which is created if it is missing.

    Raises GenreclfError for a file that is not such a log or cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        if file.exists():
            read_log(file)  # refuses other files
        self._append(b"")

    def add(self, change: Change) -> None:
        """Adds a change; it is on the disk when this returns."""
        before = {"genres": list(change.before.values), "id3v1": change.before.id3v1}
        line = {"path": change.path, "before": before, "after": list(change.after)}
        line |= {"bytes": to_json(change.patch)} if change.patch else {}
        # A newline before each line as well: what a killed process left of a line must not spoil the next.
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
    """The changes in a log, in their order. Raises GenreclfError for another file, or one that cannot be read."""
    try:
        lines = [line for line in check_ends(file).read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise GenreclfError(f"{file}: cannot be read ({error.strerror}); give the log that --apply wrote") from error
    changes = [change for line in lines if (change := _change(line)) is not None]
    if lines and not changes:
        raise GenreclfError(f"{file}: not a log of genreclf tag; give the log that --apply wrote")
    return changes


def _change(line: bytes) -> Change | None:
    """The change on a line; None for what a killed process left of one."""
    try:
        values = json.loads(line)
        before = GenreTag(_words(values["before"]["genres"]), values["before"]["id3v1"])
        patch = from_json(values["bytes"]) if "bytes" in values else None
        return Change(str(values["path"]), before, _words(values["after"]), patch)
    except (ValueError, KeyError, TypeError):
        return None


def _words(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(map(str, values))

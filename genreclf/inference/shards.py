"""Predicts a long list of files in shards, with independent processes that share a folder.

The folder contains `manifest.json`, which the first process writes, and a folder per shard: with its journal at first,
and with its rows in the end. With separate folders, no process removes files that another one is writing.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genreclf.errors import GenreclfError
from genreclf.files import exclusive, replacement, write_once
from genreclf.frontend.object_store import Location
from genreclf.inference.array_task import Numbering, part_of, ranges
from genreclf.inference.journal import Journal
from genreclf.inference.predicted_rows import Contents, Engine, journaled
from genreclf.inference.results import Row

_MANIFEST, _JOURNAL, _ROWS = "manifest.json", "journal", "rows.jsonl"


@dataclass(frozen=True)
class Manifest:
    """The settings and files common to all shards, which are numbered from 1."""

    count: int  # of the shards
    numbering: Numbering  # of the first job array's tasks
    digest: str  # of the model, its settings and `contents`, see `rows_digest`
    contents: Contents
    classes: tuple[str, ...]
    weights_sha256: str  # of the model
    working_folder: str  # to which relative names in `files` refer; empty if there are none
    files: tuple[str, ...]

    def part(self, number: int) -> slice:
        """Returns a shard's slice of `files`."""
        return part_of(len(self.files), number, self.count)


@dataclass(frozen=True)
class Shards:
    """The shards of a manifest, in their folder."""

    folder: Path
    manifest: Manifest

    def run(self, number: int, paths: Sequence[Location], engine: Engine) -> tuple[int, int]:
        """Predicts the `paths` of a shard, resuming after a kill. Finishes it unless a failure may be temporary.

        Returns the number of files with a problem, and how many of them should be tried again. Raises GenreclfError if
        another process is working on the same shard.
        """
        shard = self._shard(number)
        shard.mkdir(exist_ok=True)
        journal, problems, passing = shard / _JOURNAL, 0, 0
        with exclusive(journal, f"{journal}: another process works on this shard; wait for it, or stop it"):
            with suppress(_UnfinishedError), replacement(shard / _ROWS) as temporary, temporary.open("w") as file:
                for result in journaled(paths, engine, Journal(journal, self.manifest.digest)):
                    file.write(json.dumps(result.row) + "\n")
                    problems += bool(result.row["problem"])
                    passing += not result.lasting
                if passing:
                    raise _UnfinishedError
            if not passing:
                journal.unlink()
        return problems, passing

    def is_finished(self, number: int) -> bool:
        """Returns whether all files of a shard have their rows."""
        return (self._shard(number) / _ROWS).is_file()

    def missing(self) -> list[int]:
        """Returns the numbers of the shards that are not finished."""
        return [number for number in range(1, self.manifest.count + 1) if not self.is_finished(number)]

    def missing_tasks(self) -> str:
        """Returns the job array's unfinished tasks in the format of `sbatch --array=`; empty if there are none."""
        return ranges(map(self.manifest.numbering.task, self.missing()))

    def merged(self) -> Iterator[Row]:
        """Yields the rows of all files, in order. Raises GenreclfError if shards are missing or damaged."""
        if missing := self.missing():
            fault = f"shards {ranges(missing)} of {self.manifest.count}: not finished"
            raise GenreclfError(f"{self.folder}: {fault}; run them (sbatch --array={self.missing_tasks()}), then merge")
        for number in range(1, self.manifest.count + 1):
            yield from self._rows(number)

    def _rows(self, number: int) -> Iterator[Row]:
        file, names = self._shard(number) / _ROWS, iter(self.manifest.files[self.manifest.part(number)])
        damaged = GenreclfError(f"{file}: damaged; delete it, and run shard {number} again")
        with file.open() as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise damaged from error
                if not isinstance(row, dict) or row.get("path") != next(names, None):
                    raise damaged
                yield row
        if next(names, None) is not None:
            raise damaged

    def _shard(self, number: int) -> Path:
        return self.folder / f"shard-{number:0{len(str(self.manifest.count))}}-of-{self.manifest.count}"


class _UnfinishedError(Exception):
    """Raised so that unfinished rows are not renamed into place."""


def has_shards(folder: Path) -> bool:
    """Returns whether a process has begun shards in this folder."""
    return (folder / _MANIFEST).is_file()


def begin_shards(folder: Path, manifest: Manifest) -> Shards:
    """Writes the manifest if there is none.

    Raises GenreclfError if the existing one has other files, another number of shards, another model or other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_once(folder / _MANIFEST, json.dumps(asdict(manifest)))
    shards = open_shards(folder)
    _check_same(folder, shards.manifest, manifest)
    return shards


def open_shards(folder: Path) -> Shards:
    """Opens the shards that a process has begun. Raises GenreclfError if there are none or the manifest is damaged."""
    file = folder / _MANIFEST
    try:
        return Shards(folder, _manifest(json.loads(file.read_bytes())))
    except FileNotFoundError as error:
        raise GenreclfError(f"{file}: does not exist; run a shard first, or give the folder of the shards") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise GenreclfError(f"{file}: damaged, or of another version; choose another folder") from error


def _manifest(content: dict[str, Any]) -> Manifest:
    numbering, contents = Numbering(**content.pop("numbering")), Contents(**content.pop("contents"))
    classes, files = tuple(content.pop("classes")), tuple(content.pop("files"))
    return Manifest(numbering=numbering, contents=contents, classes=classes, files=files, **content)


def _check_same(folder: Path, found: Manifest, wanted: Manifest) -> None:
    if found.count != wanted.count:
        fault = f"begun with {found.count} shards, not {wanted.count}; continue with {found.count}"
    elif found.digest != wanted.digest:
        fault = "begun with another model or other settings; give the same"
    elif found.files != wanted.files:
        new = "".join(f", such as {name}" for name in sorted(set(wanted.files) - set(found.files))[:1])
        begun = f"begun with {len(found.files)} files, and these are {len(wanted.files)}{new}"
        fault = f"{begun}; leave FILE out to continue with the former"
    elif found.working_folder != wanted.working_folder:
        fault = f"begun in {found.working_folder}; run it there"
    else:
        return
    raise GenreclfError(f"{folder}: {fault}, or choose another folder")

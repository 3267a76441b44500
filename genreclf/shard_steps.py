"""The steps of --shards: run a shard, print the missing ones, and merge them."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from genreclf.command_options import SOME_FILES_FAILED, load, print_default_model
from genreclf.errors import GenreclfError
from genreclf.frontend.object_store import Location, StorePath
from genreclf.inference.array_task import Numbering, array_task
from genreclf.inference.predicted_rows import Contents, rows_digest
from genreclf.inference.predictor import Predictor
from genreclf.inference.results import Row
from genreclf.inference.shards import Manifest, begin_shards, has_shards, open_shards
from genreclf.library_options import engine_of, find_locations
from genreclf.text import one_line


def shard_step(options: argparse.Namespace, contents: Contents, write: Callable[[Iterator[Row], Manifest], int]) -> int:
    """Runs the step that the options name, and returns the exit code. `write` writes the rows of all shards.

    Raises GenreclfError if the shards to merge have other contents.
    """
    if not (options.missing or options.merge):
        return _run(options, contents)
    shards = open_shards(options.shards)
    if options.missing:
        if tasks := shards.missing_tasks():
            print(tasks)
        return 0
    for name, wanted in vars(contents).items():
        if wanted and not getattr(shards.manifest.contents, name):
            remedy = f"give the options with which they were run (without {name}), or run them again"
            raise GenreclfError(f"{options.shards}: its shards have no {name}; {remedy}")
    return write(shards.merged(), shards.manifest)


def _run(options: argparse.Namespace, contents: Contents) -> int:
    """Predicts a shard. Returns 0, or 1 if it must be run again or a folder could not be read."""
    begun = open_shards(options.shards).manifest if has_shards(options.shards) else None
    number, count, numbering = _chosen(options, begun)
    paths, unreadable_folders = _locations(options, begun)
    predictor = load(options)
    print_default_model(options)
    shards = begin_shards(options.shards, _new_manifest(predictor, contents, paths, count, numbering))
    name = one_line(f"genreclf: {options.shards}: shard {number} of {count}")
    if shards.is_finished(number):
        print(f"{name} is already finished", file=sys.stderr)
        return 0
    part = paths[shards.manifest.part(number)]
    with engine_of(options, predictor, contents) as engine:
        problems, passing = shards.run(number, part, engine)
    if passing:
        print(f"{name}: {passing} of {len(part)} files failed, perhaps temporarily; run it again", file=sys.stderr)
    else:
        print(f"{name} is finished: {len(part)} files, {problems} of them could not be read", file=sys.stderr)
    return SOME_FILES_FAILED if passing or unreadable_folders else 0


def _chosen(options: argparse.Namespace, begun: Manifest | None) -> tuple[int, int, Numbering]:
    """Returns the number of the shard, the number of shards, and the numbering of the job array."""
    if options.shard:
        return *options.shard, Numbering()
    task = array_task(os.environ)
    if task is None:
        which = "give --shard I/N, --merge or --missing, or run it in a SLURM job array"
        raise GenreclfError(f"--shards {options.shards}: {which}")
    # A second array, with only the failed tasks, has fewer tasks than there are shards.
    count, numbering = (begun.count, begun.numbering) if begun else (task.shards(), task.numbering)
    return numbering.shard(task.task, count), count, numbering


def _locations(options: argparse.Namespace, begun: Manifest | None) -> tuple[Sequence[Location], int]:
    """Returns the given files, or those of the begun shards, and the number of folders that could not be read."""
    if options.paths:
        return find_locations(options.paths)
    if begun is None:
        raise GenreclfError(f"{options.shards}: no shard has begun here; give FILE")
    return [StorePath(name) if "://" in name else Path(name) for name in begun.files], 0


def _new_manifest(
    predictor: Predictor, contents: Contents, paths: Sequence[Location], count: int, numbering: Numbering
) -> Manifest:
    is_relative = any(isinstance(path, Path) and not path.is_absolute() for path in paths)
    return Manifest(
        count=count,
        numbering=numbering,
        digest=rows_digest(predictor, contents),
        contents=contents,
        classes=tuple(predictor.info.classes),
        weights_sha256=predictor.model.weights_sha256,
        working_folder=str(Path.cwd()) if is_relative else "",
        files=tuple(map(str, paths)),
    )

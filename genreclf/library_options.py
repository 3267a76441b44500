"""Options that `predict` and `embed` share: files on disks and in object stores, a journal, shards, a Ray cluster."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from genreclf.command_options import (
    Parser,
    add_journal_option,
    check_contents,
    find_files,
    positive,
    predictor_settings,
)
from genreclf.cores import cores
from genreclf.files import user_path
from genreclf.frontend.folder import contents_of
from genreclf.frontend.object_store import Location, StorePath, location, objects_below
from genreclf.inference.predicted_rows import Contents, Engine, predicted_rows, thread_rows
from genreclf.inference.predictor import Predictor
from genreclf.inference.results import Row


def add_library_options(parser: argparse.ArgumentParser) -> None:
    """Adds FILE..., --workers, --journal, --ray, --shards, --shard, --merge and --missing."""
    meaning = "a file, a folder to search for files, or the URL of an object or a prefix, such as s3://bucket/music"
    parser.add_argument("paths", nargs="*", type=location, metavar="FILE", help=meaning)
    workers = "threads (default: all cores); with --ray, actors of one thread (default: all CPUs of the cluster)"
    parser.add_argument("--workers", type=positive, metavar="N", help=workers)
    add_journal_option(parser)
    address = "local (this machine), auto (the cluster that it belongs to), or HOST:PORT"
    parser.add_argument("--ray", metavar="ADDRESS", help=f"predict on a Ray cluster: {address}")
    group = parser.add_argument_group("a long list in shards, such as the tasks of a job array")
    group.add_argument("--shards", type=user_path, metavar="FOLDER", help="the folder that all shards write to")
    task = "predict part I of N, I from 1 to N (default: the task of the SLURM job array)"
    group.add_argument("--shard", type=_shard, metavar="I/N", help=task)
    group.add_argument("--merge", action="store_true", help="give the merged result of all shards")
    missing = "print the tasks that are not finished, for sbatch --array="
    group.add_argument("--missing", action="store_true", help=missing)


def check_library_options(parser: Parser, options: argparse.Namespace, outputs: Sequence[str]) -> None:
    """Raises GenreclfError for options that exclude each other. `outputs` are the names of the output options."""
    steps = [f"--{name}" for name in ("shard", "merge", "missing") if getattr(options, name)]
    if not options.paths and not options.shards:
        parser.error("FILE: missing; give a file, a folder or a URL")
    if steps and not options.shards:
        parser.error(f"{steps[0]}: give --shards FOLDER")
    if len(steps) > 1:
        parser.error(f"{steps[1]}: not with {steps[0]}")
    if (options.merge or options.missing) and options.paths:
        parser.error(f"{options.paths[0]}: not with {steps[0]}, which takes the files of the shards; leave it out")
    if options.shards and options.journal:
        parser.error("--journal: not with --shards, which keep their own; leave it out")
    given = [name for name in outputs if getattr(options, name) != parser.get_default(name)]
    if options.shards and not options.merge and given:
        parser.error(f"--{given[0]}: a shard writes to its folder; give it with --merge")


def find_locations(paths: Sequence[Location]) -> tuple[list[Location], int]:
    """Like `find_files`, but the paths may include URLs."""
    found = [(_stored_clips(path), 0) if isinstance(path, StorePath) else find_files([path]) for path in paths]
    return [file for files, _ in found for file in files], sum(unreadable for _, unreadable in found)


def _stored_clips(prefix: StorePath) -> list[StorePath]:
    objects = objects_below(prefix)
    if "" in objects:  # the URL of an object
        return [objects[""]]
    contents = contents_of(objects)
    check_contents(prefix, contents)
    return [objects[name] for name in contents.clips]


def library_rows(
    options: argparse.Namespace, predictor: Predictor, contents: Contents, paths: Sequence[Location], bar: bool = True
) -> Iterator[Row]:
    """Yields the rows of all files, in order, and with `bar` shows a progress bar."""
    with engine_of(options, predictor, contents) as engine:
        yield from predicted_rows(paths, predictor, contents, engine, options.journal, bar)


def engine_of(options: argparse.Namespace, predictor: Predictor, contents: Contents) -> AbstractContextManager[Engine]:
    """Returns the engine that predicts the files: threads, or a Ray cluster while the `with` block runs."""
    if options.ray is None:
        return nullcontext(partial(thread_rows, predictor, options.workers or cores(), contents))
    from genreclf.inference.ray_engine import ray_engine  # Ray is large, and slow to import
    from genreclf.inference.ray_pool import Cluster

    cluster = Cluster("--ray ", options.ray)
    return ray_engine(cluster, predictor_settings(options), predictor.digest, contents, options.workers)


def _shard(word: str) -> tuple[int, int]:
    """Parses I/N, as an argparse type."""
    from genreclf.inference.array_task import read_shard  # imported only for shards

    try:
        return read_shard(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error

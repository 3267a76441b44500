"""Computes the spectrograms of a data set ahead of training: python -m genreclf.prepare data=folder data.path=DIR."""

import os
import sys
from collections import Counter
from functools import partial
from typing import Any

from genreclf.config import build
from genreclf.data.build_store import Engine, prepared_store, read_in_threads
from genreclf.data.data_config import DataConfig
from genreclf.data.findings import notes
from genreclf.data.store import ARRAY
from genreclf.errors import GenreclfError
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.hydra_command import run_command
from genreclf.inference.array_task import array_task, read_shard
from genreclf.text import one_line


def prepare(config: dict[str, Any], overrides: list[str]) -> None:
    """Builds the store of `data` if it does not exist. Prints its contents and the files that could not be read."""
    data, engine = build(DataConfig, config["data"], "data"), _engine(config["ray"])
    store = prepared_store(data, _shard(config["shard"]), engine)
    for row in store.rows:
        if not row.columns:
            print(one_line(f"skipped {row.path}: {row.problem}"), file=sys.stderr)
    readable = [row for row in store.rows if row.columns]
    hours = sum(row.frames for row in readable) / FRAME_RATE_HZ / 3600
    counts = Counter(row.label for row in readable)
    skipped = len(store.rows) - len(readable)
    print(f"{len(readable)} clips of {len(counts)} classes, {hours:.1f} hours; {skipped} skipped")
    print(one_line(", ".join(f"{label} {count}" for label, count in sorted(counts.items()))))
    for note in notes(store.rows):
        print(one_line(note))
    duplicates = len(readable) - len({row.group for row in readable})
    if duplicates:
        copies = len(readable) - len({row.digest for row in readable})
        print(f"{duplicates} contain the same recording as another clip ({copies} are equal files)")
    print(one_line(f"{store.folder}: {(store.folder / ARRAY).stat().st_size / 1e6:.1f} MB"))


def _engine(ray: object) -> Engine:
    """Returns the engine that reads the clips: threads of this process, or the Ray cluster at the address `ray`."""
    if ray is None:
        return read_in_threads
    from genreclf.data.ray_clips import read_on_ray  # Ray is large, and slow to import
    from genreclf.inference.ray_pool import Cluster

    return read_on_ray(Cluster("ray=", str(ray)))


def _shard(word: object) -> tuple[int, int]:
    """Returns the shard (I, N) to read, for I/N, "slurm" (this task of its job array), or None (all clips)."""
    if word is None:
        return 1, 1
    try:
        task = array_task(os.environ) if word == "slurm" else None
        return (task.shard(), task.shards()) if task else read_shard(str(word))
    except ValueError as error:
        raise GenreclfError(f"shard={error}, or slurm in a job array") from error


main = partial(run_command, "prepare", prepare)

if __name__ == "__main__":
    sys.exit(main())

"""The spectrograms of a data set, made ahead: python -m genreclf.prepare data=folder data.path=DIR."""

import sys
from collections import Counter
from typing import Any

from genreclf.config import build
from genreclf.data.sources import DataConfig
from genreclf.data.store import ARRAY, open_store, prepared_store
from genreclf.errors import one_line
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.hydra_command import run_command


def prepare(config: dict[str, Any], overrides: list[str]) -> None:
    """Builds the store of `data`, if it is not there; prints what it holds, and the files that could not be read."""
    store = open_store(prepared_store(build(DataConfig, config["data"], "data")))
    for row in store.rows:
        if not row.columns:
            print(one_line(f"left out {row.path}: {row.problem}"), file=sys.stderr)
    read = [row for row in store.rows if row.columns]
    hours = sum(row.frames for row in read) / FRAME_RATE_HZ / 3600
    again, copies = (len(read) - len(set(each)) for each in ([row.group for row in read], [row.digest for row in read]))
    counts = Counter(row.label for row in read)
    print(f"{len(read)} clips of {len(counts)} classes, {hours:.1f} hours; {len(store.rows) - len(read)} left out")
    print(one_line(", ".join(f"{label} {count}" for label, count in sorted(counts.items()))))
    if again:
        print(f"{again} hold the same recording as another ({copies} byte for byte): a split keeps them together")
    print(f"{store.folder}: {(store.folder / ARRAY).stat().st_size / 1e6:.1f} MB")


def main() -> None:
    """The command line."""
    run_command("prepare", prepare)


if __name__ == "__main__":
    main()

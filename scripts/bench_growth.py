"""Measures how the cost of a data set grows with its clips: CPU seconds, wall time and peak memory of each step.

python scripts/bench_growth.py               1,000 and 10,000 clips
python scripts/bench_growth.py 1000 100000   other numbers, the first the smallest
python scripts/bench_growth.py --without-predicting 100000    predicting takes nine tenths of the time

The clips are pictures of 10 s, random but smooth in time. One in ten is a copy of another. Each number of clips is
measured in a separate process. The exponent is of the number of clips: 1 is linear, 2 quadratic.
"""

import argparse
import math
import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from costs import Cost, cost_of, load
from rich.console import Console
from rich.table import Table

from genreclf.config import build, config_folder
from genreclf.data.build_store import build_store
from genreclf.data.data_config import DataConfig
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.fingerprint import find_matches
from genreclf.data.membership import membership
from genreclf.data.sources import list_sources
from genreclf.data.split import SplitConfig
from genreclf.data.store import open_fingerprints
from genreclf.frontend.picture import write_picture
from genreclf.inference.library import predict_files
from genreclf.inference.predictor import load_predictor
from genreclf.inference.task import MULTICLASS

GENRES, COLUMNS, SECONDS, BATCH = 10, 129, 10.0, 16
COPIES = 10  # one clip in this many is a copy
LEAST_SECONDS = 0.01  # the least CPU time from which an exponent is computed
Costs = dict[str, Cost]


def settings(group: str, name: str) -> dict:
    return yaml.safe_load((config_folder() / group / f"{name}.yaml").read_text())


def write_clips(folder: Path, clips: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(clips):
        if number % COPIES != COPIES - 1:
            steps = rng.normal(0, 9, (128, COLUMNS)).cumsum(axis=1)
            levels = (steps + np.linspace(200, 60, 128)[:, None]).clip(0, 255).astype(np.uint8)
        place = folder / f"genre{number % GENRES}" / f"{number:06d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        write_picture(place, levels)


def costs(clips: int, predicting: bool) -> Costs:
    """Returns the costs of each step, in order."""
    found: Costs = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        music, cache = folder / "music", folder / "cache"
        write_clips(music, clips)
        values = {**settings("data", "folder"), "path": music, "cache": cache, "picture_seconds": SECONDS}
        values["task"] = MULTICLASS
        data, split = build(DataConfig, values, "data"), build(SplitConfig, settings("split", "hashed"), "split")

        def step(what: str, work: Callable[[], object]) -> None:
            found[what] = cost_of(work)

        step("prepare", lambda: build_store(music, list_sources(music), cache, SECONDS))
        store = build_store(music, list_sources(music), cache, SECONDS)
        assert len({row.group for row in store.rows}) <= clips - clips // COPIES
        step("open the store again", lambda: build_store(music, list_sources(music), cache, SECONDS))
        step("find duplicate recordings", lambda: find_matches(open_fingerprints(store.folder, store.rows)))
        step("split", lambda: membership(store.rows, data, split))
        predictor = load_predictor("a", device="cpu")
        module = SpectrogramDataModule(data, split, predictor.info.view, None, BATCH, 0, 0)
        module.setup()
        step("batches of one epoch", lambda: sum(1 for _ in module.train_dataloader()))
        paths = sorted(music.rglob("*.png"))
        if predicting:
            step("predict", lambda: sum(1 for _ in predict_files(predictor, paths, 2)))
    return found


def main(sizes: list[int], predicting: bool) -> None:
    table = Table("step", "clips", "CPU s", "wall s", "CPU ms per clip", "exponent", "peak, MiB")
    spawned = multiprocessing.get_context("spawn")
    before: tuple[int, Costs] | None = None
    for clips in sizes:
        with spawned.Pool(1) as pool:
            found = pool.apply(costs, (clips, predicting))
        for what, cost in found.items():
            exponent = ""
            if before is not None and before[1][what].cpu > LEAST_SECONDS:
                exponent = f"{math.log(cost.cpu / before[1][what].cpu) / math.log(clips / before[0]):.2f}"
            row = [what, f"{clips:,}", f"{cost.cpu:.2f}", f"{cost.wall:.2f}", f"{cost.cpu / clips * 1e3:.2f}"]
            table.add_row(*row, exponent, f"{cost.peak:.0f}")
            print("  ".join([*row, exponent, f"{cost.peak:.0f}"]), file=sys.stderr)
        before = clips, found
    table.title = load()
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=[1_000, 10_000], metavar="CLIPS")
    parser.add_argument("--without-predicting", action="store_true")
    options = parser.parse_args()
    main(options.sizes, not options.without_predicting)

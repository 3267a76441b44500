"""Measures the gain from a second process in training: python scripts/bench_processes.py [a b].

Trains each model on the demo music with one process and with two, one thread each, alternating, and prints the
seconds of an epoch and the efficiency: the time of one process divided by twice that of two. Needs two idle cores.
"""

import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

EPOCHS = 3  # the first one is not counted
TURNS = 3
QUICK = (
    "data.demo_clips_per_style=40",
    "split=all",
    "temperature=1",
    "logger=none",
    "trainer.accelerator=cpu",
    "seed=0",
)


def epoch_seconds(model: str, processes: int, folder: Path) -> float:
    """Returns the median over all epochs except the first."""
    words = [f"model={model}", f"trainer.devices={processes}", f"trainer.max_epochs={EPOCHS}", f"run={folder}"]
    command = [sys.executable, "-m", "genreclf.train", *words, *QUICK]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    with (folder / "metrics.csv").open() as file:
        return statistics.median(float(row["seconds"]) for row in list(csv.DictReader(file))[1:])


def main(models: list[str]) -> None:
    print("model  one process  two processes  efficiency (1 is ideal)")
    for model in models:
        seconds: dict[int, list[float]] = {1: [], 2: []}
        with tempfile.TemporaryDirectory() as folder:
            for turn in range(TURNS):
                for processes, found in seconds.items():
                    found.append(epoch_seconds(model, processes, Path(folder) / f"{processes}-{turn}"))
        one, two = (statistics.median(found) for found in seconds.values())
        print(f"{model:<6} {one:9.2f} s {two:12.2f} s  {one / (2 * two):.2f}")


if __name__ == "__main__":
    main(sys.argv[1:] or ["a", "b"])

"""Measures how prediction grows with workers: the throughput of two against that of one, of the same run.

python scripts/bench_shards.py                    on rendered music
python scripts/bench_shards.py --music FOLDER     on your MP3 files
python scripts/bench_shards.py --ray              also the actors of a local Ray cluster

A worker has one core and one thread, so the machine needs two idle cores: the load averages tell. The aim is 1.8.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench_library import render
from costs import load

from genreclf.frontend.band_axis import ANY_AXIS
from genreclf.inference.predicted_rows import Contents
from genreclf.inference.predictor import load_predictor

ROUNDS = 3
AIM = 1.8
COPIES = 4  # of each song: the start of a process, some 0.5 s, must not count


def by_shards(songs: Sequence[Path], workers: int) -> float:
    """Seconds for all songs, by a process per shard, each on a core of its own."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        processes = []
        for number in range(1, workers + 1):
            words = [*map(str, songs), "--model", "a", "--device", "cpu", "--workers", "1"]
            shard = ["--shards", folder, "--shard", f"{number}/{workers}"]
            core = {cores[(number - 1) % len(cores)]}
            command = ["taskset", "-c", str(*core), sys.executable, "-m", "genreclf.predict", *words, *shard]
            processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        if any(process.wait() for process in processes):
            raise SystemExit("a shard failed; run genreclf predict on these songs to see why")
        return time.perf_counter() - started


def by_ray(songs: Sequence[Path], workers: int) -> float:
    """Seconds per song, from the first row to the last: actors need seconds to start."""
    from genreclf.inference.ray_engine import ray_engine

    settings = ("a", "none", "cpu", ANY_AXIS, None)
    with ray_engine("local", settings, load_predictor(*settings).digest, Contents(), workers) as engine:
        times = [time.perf_counter() for _ in engine(songs)]
    return (times[-1] - times[workers]) / (len(times) - workers)


def copies(songs: Sequence[Path], folder: Path) -> list[Path]:
    """Each song under several names: a file that is named twice is predicted once."""
    links = [folder / f"copy-{number}-{song.name}" for number in range(COPIES) for song in songs]
    for number, link in enumerate(links):
        link.symlink_to(songs[number % len(songs)].absolute())
    return links


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", type=Path)
    parser.add_argument("--ray", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        music = options.music or Path(folder)
        if options.music is None:
            render(music)
        songs = copies(sorted(music.glob("*.mp3")), Path(folder))
        for way in [by_shards, *([by_ray] if options.ray else [])]:
            pairs = [(way(songs, 1), way(songs, 2)) for _ in range(ROUNDS)]
            ratio = statistics.median(one / two for one, two in pairs)
            print(f"{way.__name__}: two workers against one: {ratio:.2f} (aim {AIM}); load averages {load()}")


if __name__ == "__main__":
    main()

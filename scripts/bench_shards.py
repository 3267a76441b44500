"""Measures how throughput on a library scales with workers: two workers against one, in the same run.

python scripts/bench_shards.py                    predict in shards
python scripts/bench_shards.py ray prepare        predict and prepare with the actors of a local Ray cluster
python scripts/bench_shards.py --music FOLDER     on your MP3 files instead of rendered music

A worker has one core and one thread, so the machine needs two idle cores (see the load averages). The target is 1.8.
Each of the three takes two minutes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench_library import render
from costs import load

from genreclf.data.clip_reader import ClipReader
from genreclf.data.sources import Source
from genreclf.frontend.band_axis import ANY_AXIS
from genreclf.inference.predicted_rows import Contents
from genreclf.inference.predictor import load_predictor

ROUNDS = 3
AIM = 1.8
COPIES = 3  # of each song, so that the start of a process, about 0.5 s, does not matter


def by_shards(songs: Sequence[Path], workers: int) -> float:
    """Returns the seconds for all songs, with one process per shard, each on a separate core."""
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
    """Returns the seconds per song of actors that predict."""
    from genreclf.inference.ray_engine import ray_engine
    from genreclf.inference.ray_pool import Cluster

    cluster, settings = Cluster("--ray ", "local"), ("a", "none", "cpu", ANY_AXIS, None)
    with ray_engine(cluster, settings, load_predictor(*settings).digest, Contents(), workers) as engine:
        return seconds_each(engine(songs))


def by_ray_prepare(songs: Sequence[Path], workers: int) -> float:
    """Returns the seconds per song of actors that compute spectrograms."""
    from genreclf.data.ray_clips import read_on_ray
    from genreclf.inference.ray_pool import Cluster

    reader = ClipReader(songs[0].parent, 30.0, ANY_AXIS, frozenset())
    engine = read_on_ray(Cluster("ray=", "local"), workers)
    return seconds_each(engine(reader, [Source(song.name, "") for song in songs]))


def seconds_each(results: Iterable[object]) -> float:
    """Returns the seconds per result without the first quarter, in which the actors start."""
    times = [time.perf_counter() for _ in results]
    quarter = len(times) // 4
    return (times[-1] - times[quarter - 1]) / (len(times) - quarter)


def copies(songs: Sequence[Path], folder: Path) -> list[Path]:
    """Returns each song under several names, because a file that is named twice is predicted once."""
    links = [folder / f"copy-{number}-{song.name}" for number in range(COPIES) for song in songs]
    for number, link in enumerate(links):
        link.symlink_to(songs[number % len(songs)].absolute())
    return links


WAYS = {"shards": by_shards, "ray": by_ray, "prepare": by_ray_prepare}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", choices=WAYS, default=["shards"])
    parser.add_argument("--music", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        music = options.music or Path(folder)
        if options.music is None:
            render(music)
        songs = copies(sorted(music.glob("*.mp3")), Path(folder))
        for name in options.ways:
            pairs = [(WAYS[name](songs, 1), WAYS[name](songs, 2)) for _ in range(ROUNDS)]
            ratio = statistics.median(one / two for one, two in pairs)
            seconds = ", ".join(f"{one:.2f} and {two:.2f} s" for one, two in pairs)
            print(f"{name}: two workers against one: {ratio:.2f} (aim {AIM}; {seconds}); {load()}", flush=True)


if __name__ == "__main__":
    main()

"""Measures the search for duplicate recordings: seconds and memory for a thousand to a hundred thousand clips.

python scripts/bench_recordings.py [CLIPS]

The clips are 30 s of rendered music with shuffled bands, at different speeds. One in a hundred is the previous clip
without its first 5 s, which the search must find. Clips of the same music at nearly the same speed also match.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from genreclf.data.build_store import AppendableNpy
from genreclf.data.demo import write_demo
from genreclf.data.fingerprint import SKETCH_BANDS, Fingerprints, borders, find_matches, fingerprint
from genreclf.frontend.audio import read_audio
from genreclf.frontend.log_mel import log_mel
from genreclf.progress import progress_bar

FRAMES = 1_292
COPY_FRAMES = 215
CHUNK = 100
Chunk = list[tuple[np.ndarray, np.ndarray, int]]
_music: list[np.ndarray] = []  # sent to each worker once


def rendered(folder: Path) -> list[np.ndarray]:
    write_demo(folder, 20, 10.0, 0, None)
    return [log_mel(read_audio(path).waveform) for path in sorted(folder.rglob("*.wav"))]


def chunk_of(number: int) -> Chunk:
    """Returns a hundred fingerprints, the last one of a copy of the clip before."""
    rng = np.random.default_rng(number)
    sources = rng.integers(len(_music), size=CHUNK - 1).tolist()
    clips = [shuffled(_music[source], rng) for source in sources]
    clips.append(clips[-1][:, COPY_FRAMES:])
    prints = [fingerprint(levels, levels.shape[1]) for levels in clips]
    return [(one.sketch, one.tokens, source) for one, source in zip(prints, [*sources, sources[-1]], strict=True)]


def shuffled(levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    time_line = np.arange(FRAMES) * rng.uniform(0.7, 1.4) + rng.integers(levels.shape[1])
    bands = levels.reshape(SKETCH_BANDS, -1, levels.shape[1])[rng.permutation(SKETCH_BANDS)].reshape(levels.shape)
    return bands[:, time_line.astype(int) % levels.shape[1]]


def library(folder: Path, clips: int) -> tuple[Fingerprints, list[int]]:
    """Returns the fingerprints on disk, as in a store, and the rendered clip of each."""
    music = rendered(folder / "music")
    steps, tokens, sources = [], [], []
    with (
        AppendableNpy(folder / "sketches.npy", np.uint8, SKETCH_BANDS, 0) as sketch_file,
        AppendableNpy(folder / "tokens.npy", np.uint32, 2, 0) as token_file,
        multiprocessing.Pool(initializer=_music.extend, initargs=(music,)) as pool,
        progress_bar("making fingerprints", "clips") as report,
    ):
        for chunk in pool.imap(chunk_of, range(clips // CHUNK)):
            for sketch, marks, source in chunk:
                sources.append(source)
                sketch_file.append(sketch)
                token_file.append(marks)
                steps.append(len(sketch))
                tokens.append(len(marks))
            report(len(steps), clips)
    arrays = [np.load(folder / name, mmap_mode="r") for name in ("sketches.npy", "tokens.npy")]
    return Fingerprints(arrays[0], borders(steps), arrays[1], borders(tokens)), sources


def first_of(whole: Fingerprints, clips: int) -> Fingerprints:
    steps, tokens = whole.sketch_borders[: clips + 1], whole.token_borders[: clips + 1]
    return Fingerprints(whole.sketches[: steps[-1]], steps, whole.tokens[: tokens[-1]], tokens)


def main(clips: int) -> None:
    table = Table("clips", "seconds", "us per clip", "copies found", "same music", "false", "peak memory, GiB")
    with tempfile.TemporaryDirectory() as folder:
        whole, sources = library(Path(folder), clips)
        for count in [size for size in (1_000, 3_000, 10_000, 30_000, 100_000) if size <= clips]:
            start = time.perf_counter()
            pairs = {(match.first, match.second) for match in find_matches(first_of(whole, count))}
            seconds = time.perf_counter() - start
            planted = {(clip - 1, clip) for clip in range(CHUNK - 1, count, CHUNK)}
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
            false = {pair for pair in pairs if sources[pair[0]] != sources[pair[1]]}
            found = f"{len(pairs & planted)} of {len(planted)}"
            row = [f"{count:,}", f"{seconds:.1f}", f"{seconds / count * 1e6:.0f}", found]
            row += [str(len(pairs - planted - false)), str(len(false)), f"{peak:.2f}"]
            table.add_row(*row)
            print("  ".join(row), file=sys.stderr)
    Console().print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

"""Measures prediction without a service: CPU seconds and wall time, as ratios to a baseline of the same run.

python scripts/bench_library.py                    all parts, on rendered music
python scripts/bench_library.py library first      some of: library, first, busy, stages
python scripts/bench_library.py --music FOLDER     on your MP3 files

The torch way uses the same decoder, the torch front end in one thread per core, and the net in torch. "One thread"
keeps torch's threads from spinning, which costs more than the work itself on a busy machine.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr
from costs import Cost, cost_of, load
from rich.console import Console
from rich.table import Table

from genreclf.data.demo import write_demo
from genreclf.frontend.audio import read_audio
from genreclf.frontend.clip import read_clip
from genreclf.frontend.log_mel import log_mel
from genreclf.inference.predictor import load_predictor
from genreclf.inference.run_folder import PRETRAINED, pretrained_names

ROUNDS = 3
SONGS, SONG_SECONDS = 6, 240
BUSY = 4  # processes that only compute
IMPORTS = "import numpy, onnxruntime"
HERE = [sys.executable, str(Path(__file__))]
Row = tuple[str, ...]


def render(folder: Path) -> None:
    """Renders stereo MP3 files at 44.1 kHz."""
    write_demo(folder / "demo", SONGS, 10.0, 0, None)
    for number, path in enumerate(sorted((folder / "demo").rglob("*.wav"))[:SONGS]):
        audio = read_audio(path).waveform
        left = soxr.resample(audio, 22_050, 44_100, quality="HQ")
        stereo = np.stack([left, 0.8 * np.roll(left, 20)], axis=1)
        repeated = np.tile(stereo, (SONG_SECONDS // 10, 1))
        soundfile.write(folder / f"{number}.mp3", np.clip(repeated, -1, 1), 44_100, format="MP3")


def by_torch(model: str, threads: int | None, paths: Sequence[Path]) -> None:
    import torch  # imported only in processes that run the torch way

    from genreclf.evaluation.torch_model import TorchModel
    from genreclf.exporters.bundle import load_bundle
    from genreclf.exporters.torch_log_mel import LogMelSpectrogram
    from genreclf.frontend.clip import Clip
    from genreclf.inference.predictor import Predictor

    if threads:
        torch.set_num_threads(threads)
    front_end, predictor = LogMelSpectrogram(), Predictor(TorchModel(load_bundle(PRETRAINED / model), "cpu"))

    def read(path: Path) -> Clip:
        audio = read_audio(path)
        levels = front_end(torch.from_numpy(audio.waveform)[None])[0].numpy()  # (1, 128, frames) -> (128, frames)
        return Clip(levels, levels.shape[1], audio.source_rate_hz, audio.source_seconds, audio.problem)

    # One thread per clip is faster than several threads within a clip. The setting is per thread.
    with ThreadPoolExecutor(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for clip in pool.map(read, paths):
            predictor.predict(clip)


def called(*words: object) -> None:
    subprocess.run([*map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def predict(model: str, paths: Sequence[Path], workers: int = 0) -> Callable[[], None]:
    threads = ["--workers", workers] if workers else []
    return lambda: called(
        sys.executable, "-m", "genreclf", "predict", *paths, "--model", model, "--device", "cpu", *threads
    )


def medians(ways: dict[str, Callable[[], None]], rounds: int = ROUNDS) -> dict[str, Cost]:
    """Returns the median cost of each way, alternating, after one warm-up round."""
    found: dict[str, list[Cost]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            cost = cost_of(way)
            if number:
                found[name].append(cost)
    return {
        name: Cost(*(statistics.median(getattr(cost, key) for cost in costs) for key in ("wall", "cpu", "peak")))
        for name, costs in found.items()
    }


def row(what: str, ours: Cost, other: Cost, aim: str, scale: float = 1.0) -> Row:
    figures = [f"{scale * cost.cpu:.2f} ({scale * cost.wall:.2f})" for cost in (ours, other)]
    return what, *figures, f"{ours.cpu / other.cpu:.2f} ({ours.wall / other.wall:.2f})", aim, load()


def library(songs: list[Path]) -> Iterator[Row]:
    """Measures CPU seconds for an hour of music, including the start of the process."""
    hours = sum(read_clip(song, 30.0).source_seconds for song in songs) / 3600
    for model in pretrained_names():
        ways = {
            "ours": predict(model, songs),
            "torch": lambda model=model: called(*HERE, "--by-torch", model, *songs),  # type: ignore[misc]  # no default
            "one thread": lambda model=model: called(*HERE, "--by-torch", model, "--one-thread", *songs),  # type: ignore[misc]
        }
        costs = medians(ways)
        yield row(f"{model}: an hour of MP3, against torch", costs["ours"], costs["torch"], "0.7", 1 / hours)
        yield row(f"{model}: the same, torch in one thread", costs["ours"], costs["one thread"], "-", 1 / hours)


def first(songs: list[Path]) -> Iterator[Row]:
    """Measures the first prediction of a new process, for 30 s of music, against importing NumPy and onnxruntime."""
    with tempfile.TemporaryDirectory() as folder:
        waveform = read_audio(songs[0]).waveform[: 30 * 22_050]
        paths = [Path(folder) / name for name in ("song.wav", "song.mp3")]
        for path in paths:
            soundfile.write(path, waveform, 22_050, format=path.suffix[1:].upper())
        for model in pretrained_names():
            for path in paths:
                ways = {"ours": predict(model, [path]), "imports": lambda: called(sys.executable, "-c", IMPORTS)}
                costs = medians(ways, 5)
                what = f"{model}: first answer, {path.suffix[1:]}, against `{IMPORTS}`"
                yield row(what, costs["ours"], costs["imports"], "0.35 s")


def busy(songs: list[Path]) -> Iterator[Row]:
    """Measures two threads against one, while other processes keep all cores busy."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    try:
        costs = medians({"two": predict("a", songs, 2), "one": predict("a", songs, 1)}, 2)
    finally:
        for other in others:
            other.kill()
            other.wait()
    yield row(f"a: two threads against one, beside {BUSY} busy processes", costs["two"], costs["one"], "1 (wall)")


def stages(songs: list[Path]) -> Iterator[Row]:
    """Measures the CPU seconds of each stage for an hour of music; the baseline is the total."""
    predictor = load_predictor("a", device="cpu")
    audio, clip = read_audio(songs[0]), read_clip(songs[0], 30.0)
    scale = 3600 / audio.source_seconds
    works: dict[str, Callable[[], object]] = {
        "whole": lambda: predictor.predict_file(songs[0]),
        "decode, mix, resample": lambda: read_audio(songs[0]),
        "spectrogram": lambda: log_mel(audio.waveform),
        "net": lambda: predictor.predict(clip),
    }
    costs = medians(works)  # type: ignore[arg-type]  # what they return does not matter
    for name in list(works)[1:]:
        yield row(f"a: {name}, an hour", costs[name], costs["whole"], "-", scale)


PARTS = {"library": library, "first": first, "busy": busy, "stages": stages}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="PART")
    parser.add_argument("--music", type=Path)
    parser.add_argument(
        "--by-torch", metavar="MODEL", help="predict the files PART... by torch; for this script itself"
    )
    parser.add_argument("--one-thread", action="store_true")
    options = parser.parse_args()
    if options.by_torch:
        return by_torch(options.by_torch, 1 if options.one_thread else None, [Path(word) for word in options.words])
    if unknown := [name for name in options.words if name not in PARTS]:
        parser.error(f"{unknown[0]}: unknown; known: {', '.join(PARTS)}")
    # As for a user, whose bytecode is written once. Compiling the package again takes 0.04 s of a first prediction.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    title = "CPU seconds, in brackets wall time"
    table = Table("what", "ours", "baseline", "ratio", "aim", "load averages", title=title)
    with tempfile.TemporaryDirectory() as folder:
        music = options.music or Path(folder)
        if options.music is None:
            render(music)
        for name in options.words or PARTS:
            for line in PARTS[name](sorted(music.glob("*.mp3"))):
                table.add_row(*line)
                print("  ".join(line), file=sys.stderr)
    Console().print(table)
    return None


if __name__ == "__main__":
    main()

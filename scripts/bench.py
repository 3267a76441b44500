"""Measures speed and memory against baselines; each ratio is the median over pairs of alternating runs.

scripts/bench               all parts
scripts/bench prepare step  some of: memory, prepare, step, parts, loop, processes
"""

import csv
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import librosa
import lightning as L
import numpy as np
import torch
from bench_gpu import PARTS as PARTS_OF_A_STEP
from bench_gpu import Step, profiled, settings, write_pictures
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from genreclf.config import build
from genreclf.data.augment import AugmentConfig
from genreclf.data.build_store import build_store
from genreclf.data.datamodule import to_images
from genreclf.data.demo import write_demo
from genreclf.data.segment_batches import Batch
from genreclf.data.sources import list_sources
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig
from genreclf.training.memory import keep_freed_memory
from genreclf.training.module import GenreModule
from genreclf.training.optim_config import OptimConfig

ROUNDS = 5
BATCH = 16


def paired(ours: Callable[[], None], baseline: Callable[[], None], rounds: int = ROUNDS) -> tuple[float, float, float]:
    """Returns the median seconds of both, and the median ratio baseline / ours, after one warm-up of each."""
    times = []
    for number in range(rounds + 1):
        pair = []
        for run in (ours, baseline):
            start = time.perf_counter()
            run()
            pair.append(time.perf_counter() - start)
        if number:
            times.append(pair)
    mine, other = zip(*times, strict=True)
    return statistics.median(mine), statistics.median(other), statistics.median(b / a for a, b in times)


def prepare() -> Iterator[tuple[str, ...]]:
    """Measures audio to spectrograms: our store, against librosa and Pillow one clip after another."""
    with tempfile.TemporaryDirectory() as folder:
        music = Path(folder) / "music"
        write_demo(music, 4, 30.0, 0, None)
        sources = list_sources(music)
        cache = iter(range(1000))

        def ours() -> None:
            store = build_store(music, sources, Path(folder) / f"cache{next(cache)}", 30.0)
            assert (store.folder / "spectrograms.npy").stat().st_size > 0

        def baseline() -> None:
            for source in sources:
                levels = librosa_levels(music / source.path)
                Image.fromarray(levels[::-1]).save(Path(folder) / "picture.png")

        store = build_store(music, sources, Path(folder) / "check", 30.0)
        for clip, source in enumerate(sources):
            theirs = librosa_levels(music / source.path).astype(int)
            assert np.abs(store.spectrogram(clip).astype(int) - theirs).max() <= 1
        mine, other, ratio = paired(ours, baseline, 3)
    yield "prepare, s a clip", f"{mine / len(sources):.3f}", f"{other / len(sources):.3f}", f"{ratio:.1f}x", "3x"


def librosa_levels(path: Path) -> np.ndarray:
    wave, rate = librosa.load(path, sr=22_050)
    power = librosa.feature.melspectrogram(y=wave, sr=rate, n_fft=2048, hop_length=512, n_mels=128)
    decibels = librosa.power_to_db(power, ref=np.max)
    return np.round((decibels - decibels.min()) / np.ptp(decibels) * 255).astype(np.uint8)


def net_of(name: str) -> GenreClassifier:
    return GenreClassifier(build(ModelConfig, {**settings(f"model={name}")["model"]["net"], "num_classes": 10}, "net"))


def step_of(net: GenreClassifier, images: Callable[[], torch.Tensor]) -> Callable[[], None]:
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), 1e-4)
    target = torch.arange(BATCH) % 10

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images())[0], target).backward()
        optimizer.step()

    return step


def plain_net(name: str) -> GenreClassifier:
    """Returns the same net in a straightforward form: NCHW and float32 throughout."""
    net = net_of(name).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's stubs

    def plain(levels: torch.Tensor) -> torch.Tensor:
        scaled = levels / 255 + net.scaling.noise_std * torch.randn(levels.shape)
        return (scaled - net.scaling.mean) / net.scaling.std

    net.scaling.forward = plain
    return net


def host_augmented(images: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Augments (B, 128, 256) uint8 to (B, 3, 128, 256) like the original: image by image in NumPy."""
    done = []
    for image in images:
        x = np.repeat(image[None].astype(np.float32) / 255, 3, 0) + rng.uniform(-0.15, 0.15)
        mean = x.mean((1, 2), keepdims=True)
        x = (x - mean) * rng.uniform(0.85, 1.15) + mean
        if rng.random() < 0.5:
            x = x[:, :, ::-1]
        x = x.copy()
        for axis, size in ((2, 256), (1, 128)):
            if rng.random() < 0.5:
                width = round(rng.uniform(0.02, 0.08) * size)
                start = rng.integers(size - width + 1)
                x[(slice(None),) * axis + (slice(start, start + width),)] = 0
        done.append(np.clip(x, 0, 1) * 255)
    return torch.from_numpy(np.stack(done))


def step() -> Iterator[tuple[str, ...]]:
    """Measures one training step with augmentation, batch size 16, on the CPU: the original nets and ours."""
    augmentation = build(AugmentConfig, settings("augment=original")["augment"], "augment")
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (BATCH, 128, 256), dtype=np.uint8)
    batch: Batch = {
        "segments": torch.from_numpy(levels.transpose(0, 2, 1).copy()),  # (B, 256, 128), time first as in the store
        "target": torch.zeros(BATCH),
        "clip": torch.zeros(BATCH),
    }
    for name, plain, floor in (
        ("a_original", "a_original", "2x"),
        ("b_original", "b_original", "1.3x"),
        ("a", "a_original", "-"),
        ("b", "b_original", "-"),
    ):
        ours = step_of(net_of(name), lambda: to_images(batch, augmentation)["image"])
        baseline = step_of(plain_net(plain), lambda: host_augmented(levels, rng))
        mine, other, ratio = paired(ours, baseline, 3)
        figures = f"{BATCH / mine:.1f}", f"{BATCH / other:.1f}", f"{ratio:.2f}x"
        yield f"training step, {name} against {plain}, images/s", *figures, floor


def parts() -> Iterator[tuple[str, ...]]:
    """Measures the parts of a step with 32 clips, in both precisions, with the memory settings of training."""
    keep_freed_memory()
    for name in ("a", "b", "b_scratch"):
        for precision in ("32-true", "bf16-mixed"):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
                cost = profiled(Step(name))
            figures = " + ".join(f"{cost[f'host, {part}, ms']:.0f}" for part in PARTS_OF_A_STEP)
            yield f"{name}, {precision}: {' + '.join(PARTS_OF_A_STEP)}, ms", figures, "-", "-", "-"


def loop() -> Iterator[tuple[str, ...]]:
    """Measures Lightning's loop against a plain loop over the same steps of Model B."""
    images = torch.randint(0, 256, (BATCH, 3, 128, 256), dtype=torch.uint8)
    batches = [{"image": images, "target": torch.arange(BATCH) % 10, "clip": torch.arange(BATCH)}] * 8
    values = settings("model=b")
    net = build(ModelConfig, {**values["model"]["net"], "num_classes": 10}, "model.net")
    optim = build(OptimConfig, values["optim"], "optim")
    module = GenreModule(net, optim, [str(i) for i in range(10)], 0, 0, [0.1] * 10)
    bare = step_of(net_of("b"), lambda: images)

    def ours() -> None:
        quiet: dict[str, Any] = {
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
        }
        trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False, limit_val_batches=0, **quiet)
        loader: DataLoader[Any] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # any sequence will do
        trainer.fit(module, loader)  # Lightning takes a list for several loaders

    def baseline() -> None:
        for _ in batches:
            bare()

    mine, other, ratio = paired(ours, baseline, 3)
    figures = f"{8 * BATCH / mine:.1f}", f"{8 * BATCH / other:.1f}", f"{ratio:.2f}x"
    yield "training loop B, images/s", *figures, "0.95x"


def memory() -> Iterator[tuple[str, ...]]:
    """Measures the peak resident memory of preparing 709 pictures, and of one epoch of Model A on them."""
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder) / "music", 709)
        words = ["data=folder", f"data.path={folder}/music", f"run={folder}/run", "trainer.max_epochs=1", "model=a"]
        environment = {**os.environ, "GENRECLF_CACHE": f"{folder}/cache"}
        quick = ["+trainer.limit_train_batches=4", "+trainer.limit_val_batches=2"]
        command = [sys.executable, "-m", "genreclf.train", *words, *quick]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    yield "peak memory, 709 clips, GiB", f"{peak:.2f}", "-", "-", "under 4"


def processes() -> Iterator[tuple[str, ...]]:
    """Measures an epoch of training in two processes, one thread each, against one process. Needs two idle cores."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [[epoch_seconds(count, Path(folder) / f"{turn}-{count}") for count in (2, 1)] for turn in range(3)]
    two, one = (statistics.median(column) for column in zip(*runs, strict=True))
    yield "an epoch of A in two processes, s", f"{two:.2f}", f"{one:.2f}", f"{one / two:.2f}x", "1.8x"


def epoch_seconds(count: int, run: Path) -> float:
    """Returns the seconds of an epoch on the demo music after the first one, which starts the processes."""
    words = ["model=a", f"trainer.devices={count}", "trainer.max_epochs=3", f"run={run}", "logger=none"]
    words += ["data.demo_clips_per_style=40", "split=all", "temperature=1", "trainer.accelerator=cpu", "seed=0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "genreclf.train", *words], env=environment, check=True, capture_output=True)
    _, *epochs = csv.DictReader((run / "metrics.csv").read_text().splitlines())
    return statistics.median(float(epoch["seconds"]) for epoch in epochs)


PARTS = {
    "memory": memory,
    "prepare": prepare,
    "step": step,
    "parts": parts,
    "loop": loop,
    "processes": processes,
}


def main(names: list[str]) -> None:
    table = Table("what", "ours", "baseline", "ratio", "floor", title=f"{torch.get_num_threads()} threads")
    for name in names or PARTS:
        if name not in PARTS:
            sys.exit(f"scripts/bench: {name}: unknown; known: {', '.join(PARTS)}")
        for row in PARTS[name]():
            table.add_row(*row)
            print("  ".join(row), file=sys.stderr)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])

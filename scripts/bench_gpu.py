"""Measures training steps on a GPU: python scripts/bench_gpu.py [a b b_scratch]. Takes less than three minutes.

Per model, it prints the launches, waits and host time of a step, the milliseconds of plain and recorded steps, and the
seconds of a whole training run of a few epochs on generated clips. Without a GPU it prints only the operation counts.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from genreclf.config import build, config_folder
from genreclf.data.augment import AugmentConfig
from genreclf.data.datamodule import to_images
from genreclf.data.demo import STYLES
from genreclf.data.segment_batches import Batch
from genreclf.frontend.picture import write_picture
from genreclf.nets.config import ModelConfig
from genreclf.training.module import GenreModule
from genreclf.training.optim_config import OptimConfig
from genreclf.training.recorded_steps import RecordedStep

BATCH, PROFILED, TIMED = 32, 8, 50
CLIPS, EPOCHS = 509, 20
PARTS = ("augment", "forward", "backward", "optimizer")
READS = ("aten::item", "aten::_local_scalar_dense", "aten::nonzero")
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def settings(*overrides: str) -> dict[str, Any]:
    """Returns the groups of a training's configuration that describe a step."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        composed = compose("train", [*overrides, "run=none"])
        return {key: OmegaConf.to_container(composed[key], resolve=True) for key in ("model", "augment", "optim")}


class Step:
    """A plain training step of a model on random segments on the device."""

    def __init__(self, name: str) -> None:
        values = settings(f"model={name}")
        net = build(ModelConfig, {**values["model"]["net"], "num_classes": 10}, "model.net")
        self.augmentation = build(AugmentConfig, values["augment"], "augment")
        optim = build(OptimConfig, values["optim"], "optim")
        torch.manual_seed(0)
        module = GenreModule(net, optim, list(STYLES), self.augmentation.consistency, 0, [0.1] * 10)
        self.module, self.optimizer = module.to(device).train(), module._optimizer()
        self.recordable: Any = lambda batch: self.module.outputs(to_images(batch, self.augmentation))
        segments = torch.randint(0, 256, (BATCH, 256, 128), dtype=torch.uint8, device=device)
        self.batch: Batch = {
            "segments": segments,
            "target": torch.arange(BATCH, device=device) % 10,
            "clip": torch.arange(BATCH, device=device),
        }

    def __call__(self) -> None:
        with record_function("augment"):
            batch = to_images(self.batch, self.augmentation)
        with record_function("forward"):
            loss, *_ = self.module.outputs(batch)
        with record_function("backward"):
            loss.backward()
        with record_function("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad()


def milliseconds(step: Any, count: int) -> float:
    """Returns the milliseconds of one call, after three warm-up calls."""
    for _ in range(3):
        step()
    synchronize()
    start = time.perf_counter()
    for _ in range(count):
        step()
    synchronize()
    return (time.perf_counter() - start) / count * 1e3


def synchronize() -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def profiled(step: Step) -> dict[str, float]:
    """Returns counts and milliseconds of one step."""
    step()
    synchronize()
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=activities) as seen:
        for _ in range(PROFILED):
            step()
        synchronize()
    events = seen.key_averages()

    def total(*names: str) -> float:
        return sum(event.count for event in events if event.key.startswith(names)) / PROFILED

    kernels = [event for event in events if event.key not in PARTS]
    host = {event.key: event.cpu_time_total for event in events if event.device_type == DeviceType.CPU}
    return {
        "kernel launches": total("cudaLaunchKernel", "cuLaunchKernel"),
        "operations, nested ones included": total("aten::"),
        "values read back": total(*READS),
        "cudaStreamSynchronize": total("cudaStreamSynchronize"),
        "GPU busy, ms": sum(event.self_device_time_total for event in kernels) / PROFILED / 1e3,
        **{f"host, {part}, ms": host[part] / PROFILED / 1e3 for part in PARTS},
    }


def recorded(step: Step) -> float:
    """Returns the milliseconds of a step as a CUDA graph."""
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        for _ in range(3):
            step()
        repeated = RecordedStep(step.recordable, step.optimizer, step.batch)
        return milliseconds(lambda: repeated(step.batch), TIMED)


def write_pictures(folder: Path, clips: int) -> None:
    """Writes pictures of random levels, in a folder for each of ten genres."""
    rng = np.random.default_rng(0)
    for number in range(clips):
        place = folder / STYLES[number % 10] / f"{number:05d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        write_picture(place, rng.integers(0, 256, (128, 387), dtype=np.uint8))


def whole_command(name: str) -> float:
    """Returns the seconds of a run of EPOCHS epochs on CLIPS pictures, including the start of Python and all files."""
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder) / "music", CLIPS)
        words = [f"model={name}", "data=folder", f"data.path={folder}/music", f"cache={folder}/cache", "logger=none"]
        words += ["split=all", "temperature=1", f"trainer.max_epochs={EPOCHS}", "model.weights=none"]
        command = [sys.executable, "-m", "genreclf.train", *words]
        subprocess.run([*command, "trainer.max_epochs=1", f"run={folder}/first"], check=True, capture_output=True)
        start = time.perf_counter()
        subprocess.run([*command, f"run={folder}/run"], check=True, capture_output=True)
        return time.perf_counter() - start


def main(names: list[str]) -> None:
    table = Table(
        "a training step", *names, title=f"{torch.cuda.get_device_name() if device.type == 'cuda' else 'CPU'}"
    )
    columns = []
    for name in names:
        step = Step(name)
        column = profiled(step)
        if device.type == "cuda":
            column["plain, ms"] = milliseconds(step, TIMED)
            column["recorded, ms"] = recorded(step)
            column[f"genreclf train, {EPOCHS} epochs of {CLIPS} clips, s"] = whole_command(name)
        columns.append(column)
    for row in columns[0]:
        table.add_row(row, *(f"{column[row]:.1f}" for column in columns))
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:] or ["a", "b", "b_scratch"])

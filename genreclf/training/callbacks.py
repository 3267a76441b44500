"""Callbacks of a training run: the epoch log, the running average, checkpoints, early stopping."""

import csv
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from torch import Tensor

from genreclf.files import write_atomically
from genreclf.inference.run_folder import BEST_CHECKPOINT, LAST_CHECKPOINT
from genreclf.training.clip_metrics import BEST, TRAIN_METRICS, VAL_METRICS
from genreclf.training.optim_config import OptimConfig
from genreclf.training.processes import average_statistics


class EpochLog(Callback):
    """Writes one row per epoch to a CSV file, passes it to `report`, and prints a line on standard error.

    The validation columns are empty for an epoch without validation (trainer.check_val_every_n_epoch). The metrics
    depend on the task.
    """

    def __init__(self, path: Path, report: Callable[[dict[str, float]], None], task: str) -> None:
        self.path, self.report = path, report
        self.training, self.all_metrics = TRAIN_METRICS[task], (*TRAIN_METRICS[task], *VAL_METRICS[task])
        self.columns = ("epoch", *self.all_metrics, "learning_rate", "seconds")

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Starts the file; a resumed run keeps the rows of finished epochs."""
        if not trainer.is_global_zero:
            return
        rows = [row for row in epoch_rows(self.path) if int(row["epoch"]) <= trainer.current_epoch]
        text = io.StringIO()
        table = csv.DictWriter(text, self.columns, lineterminator="\n")
        table.writeheader()
        table.writerows(row for row in rows if row.keys() == {*self.columns})
        write_atomically(self.path, text.getvalue())

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:  # noqa: D102
        self.started = time.monotonic()
        self.metrics = self.training

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Logs validation metrics from now on: until here, the trainer has those of an earlier epoch."""
        self.metrics = self.all_metrics

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:  # noqa: D102
        if not trainer.is_global_zero:
            return
        epoch, seconds = trainer.current_epoch + 1, time.monotonic() - self.started
        values = {name: float(trainer.callback_metrics[name]) for name in self.metrics}
        row = {"epoch": epoch, **values, "learning_rate": trainer.optimizers[0].param_groups[0]["lr"]}
        row["seconds"] = round(seconds, 2)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)
        self.report(row)
        shown = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
        print(f"epoch {epoch}/{trainer.max_epochs}  {shown}  {seconds:.1f} s", file=sys.stderr)


def epoch_rows(file: Path) -> list[dict[str, str]]:
    """Returns the rows of a run's metrics.csv by column, in which a cell is a number, or empty if not measured.

    Other lines are left out: those that a killed process left incomplete, or that somebody has edited.
    """
    if not file.is_file():
        return []
    with file.open(newline="", errors="replace") as lines:
        rows = list(csv.DictReader(lines))
    return [row for row in rows if str(row.get("epoch")).isdecimal() and all(map(_is_number, row.values()))]


def _is_number(cell: object) -> bool:
    try:
        float(str(cell) or 0)
    except ValueError:
        return False
    return True


class RunningAverage(WeightAveraging):
    """An exponential moving average of weights and buffers, which keeps the share `decay` of itself at each step.

    Step n keeps at most n / (n + 10), as in TensorFlow, so that the random initial weights lose their influence.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self._pairs: list[tuple[Tensor, Tensor]] = []  # each average and the averaged tensor

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Creates the average on the training device.

        Lightning moves the module there only after this hook. With an average on the host, each step would wait for a
        copy of all weights.
        """
        module.to(trainer.strategy.root_device)
        self._pairs = []
        super().setup(trainer, module, stage)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        """Updates the average after each optimizer step."""
        if trainer.global_step > self._latest_update_step:
            self._latest_update_step = trainer.global_step
            self._update(module, trainer.global_step - 1)
        if trainer.is_last_batch and self._average_model is not None:  # before the validation
            average_statistics(self._average_model)

    @torch.no_grad()
    def _update(self, module: L.LightningModule, before: int) -> None:
        """Updates the average after `before` earlier updates, in one operation and without reading from the device."""
        assert self._average_model is not None
        if not self._pairs:
            # The state dict leaves out constants such as the teachers' vectors.
            pairs = zip(self._average_model.module.state_dict().values(), module.state_dict().values(), strict=True)
            self._pairs = [(average, value) for average, value in pairs if average.is_floating_point()]
        averages, values = map(list, zip(*self._pairs, strict=True))
        torch._foreach_lerp_(averages, values, 1 - min(self.decay, before / (before + 10)))
        self._average_model.n_averaged += 1


def checkpoints(folder: Path, optim: OptimConfig, task: str) -> list[Callback]:
    """Returns the callbacks for checkpoints and, if `optim` asks for them, early stopping and the running average.

    They write `best.ckpt` at the highest validation score (BEST), and `last.ckpt` after each epoch. With `ema_decay`,
    the running average is validated and kept, and the checkpoints also contain the weights. `last.ckpt` is written
    after the other callbacks have run, and contains their state.
    """
    best: dict[str, Any] = {"monitor": f"val/{BEST[task]}", "mode": "max"}
    common: dict[str, Any] = {"dirpath": folder, "enable_version_counter": False, "save_top_k": 1}
    callbacks: list[Callback] = []
    if optim.ema_decay is not None:
        callbacks.append(RunningAverage(optim.ema_decay))
    if optim.checkpoint == "best":
        name = Path(BEST_CHECKPOINT).stem
        callbacks.append(ModelCheckpoint(filename=name, save_on_train_epoch_end=False, **best, **common))
    if optim.early_stopping is not None:
        callbacks.append(EarlyStopping(patience=optim.early_stopping, check_on_train_epoch_end=False, **best))
    name = Path(LAST_CHECKPOINT).stem
    return [*callbacks, ModelCheckpoint(filename=name, monitor=None, save_on_train_epoch_end=True, **common)]

"""What happens beside the training: the log of epochs, checkpoints, early stopping."""

import csv
import sys
import time
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from genreclf.training.module import OptimConfig

FIGURES = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")
COLUMNS = ("epoch", *FIGURES, "learning_rate", "seconds")


class EpochLog(Callback):
    """A row an epoch in a CSV file, and a line on standard error: what a log keeps of a progress bar."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """A resumed run keeps the rows of the epochs that it does not repeat."""
        rows = []
        if self.path.is_file() and trainer.current_epoch:
            with self.path.open(newline="") as file:
                rows = [row for row in csv.reader(file) if row[0].isdigit() and int(row[0]) <= trainer.current_epoch]
        with self.path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:  # noqa: D102
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:  # noqa: D102
        epoch, seconds = trainer.current_epoch + 1, time.monotonic() - self.started
        values = [float(trainer.callback_metrics[name]) for name in FIGURES]
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow([epoch, *values, rate, round(seconds, 2)])
        figures = "  ".join(f"{name} {value:.3f}" for name, value in zip(FIGURES, values, strict=True))
        print(f"epoch {epoch}/{trainer.max_epochs}  {figures}  {seconds:.1f} s", file=sys.stderr)


def checkpoints(folder: str, optim: OptimConfig) -> list[Callback]:
    """`best.ckpt` at the highest validation accuracy, early stopping if asked for, `last.ckpt` after each epoch.

    The last comes last, so that it holds the state of the others.
    """
    common = {"dirpath": folder, "enable_version_counter": False, "save_on_train_epoch_end": True}
    callbacks: list[Callback] = []
    if optim.keep == "best":
        callbacks.append(ModelCheckpoint(filename="best", monitor="val/accuracy", mode="max", save_top_k=1, **common))
    if optim.early_stopping is not None:
        stopping = EarlyStopping(
            "val/accuracy", patience=optim.early_stopping, mode="max", check_on_train_epoch_end=True
        )
        callbacks.append(stopping)
    return [*callbacks, ModelCheckpoint(filename="last", monitor=None, save_top_k=1, **common)]

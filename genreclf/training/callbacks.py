"""What happens beside the training: checkpoints, early stopping, a line an epoch, and a word when it is broken off."""

import sys
import time

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from genreclf.training.module import OptimConfig


class EpochLine(Callback):
    """One line an epoch on standard error: what a log file keeps of a progress bar."""

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:  # noqa: D102
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:  # noqa: D102
        figures = "  ".join(
            f"{name} {float(trainer.callback_metrics[name]):.3f}"
            for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy")
            if name in trainer.callback_metrics
        )
        seconds = time.monotonic() - self.started
        print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {figures}  {seconds:.1f} s", file=sys.stderr)


def checkpoints(folder: str, optim: OptimConfig) -> list[Callback]:
    """`last.ckpt` after each epoch, `best.ckpt` at the highest validation accuracy, early stopping if asked for."""
    common = {"dirpath": folder, "enable_version_counter": False, "save_on_train_epoch_end": True}
    callbacks: list[Callback] = [ModelCheckpoint(filename="last", monitor=None, save_top_k=1, **common)]
    if optim.keep == "best":
        callbacks.append(ModelCheckpoint(filename="best", monitor="val/accuracy", mode="max", save_top_k=1, **common))
    if optim.early_stopping is not None:
        callbacks.append(EarlyStopping("val/accuracy", patience=optim.early_stopping, mode="max"))
    return callbacks

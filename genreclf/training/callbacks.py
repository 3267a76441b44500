"""What happens beside the training: the log of epochs, checkpoints, early stopping."""

import csv
import sys
import time
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from genreclf.training.module import OptimConfig

FIGURES = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")
COLUMNS = ("epoch", *FIGURES, "learning_rate", "seconds")


class EpochLog(Callback):
    """A row an epoch in a CSV file, and a line on standard error: what a log keeps of a progress bar.

    The figures of validation are empty for an epoch without one (trainer.check_val_every_n_epoch).
    """

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
        self.figures = [name for name in FIGURES if name.startswith("train/")]

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Only now are the figures of validation this epoch's; the trainer keeps them through epochs without one."""
        self.figures = list(FIGURES)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:  # noqa: D102
        epoch, seconds = trainer.current_epoch + 1, time.monotonic() - self.started
        values = {name: float(trainer.callback_metrics[name]) for name in self.figures}
        row = {"epoch": epoch, **values, "learning_rate": trainer.optimizers[0].param_groups[0]["lr"]}
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow({**row, "seconds": round(seconds, 2)})
        figures = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
        print(f"epoch {epoch}/{trainer.max_epochs}  {figures}  {seconds:.1f} s", file=sys.stderr)


class RunningAverage(WeightAveraging):
    """Keeps an average of weights and buffers, of which the share `decay` stays at each step, less among the first.

    The first n steps keep n / (n + 10) at most (as TensorFlow's does), so that random weights are soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=self._average)
        self.decay = decay

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Begins the average where training will be.

        Lightning moves the module only after this hook. Made of one that still lies on the host, the average would stay
        there, and each step would wait for all weights to be copied off the device.
        """
        module.to(trainer.strategy.root_device)
        super().setup(trainer, module, stage)

    def _average(self, averages: list[Tensor], weights: list[Tensor], steps: Tensor) -> None:
        before = float(steps)
        get_ema_multi_avg_fn(min(self.decay, before / (before + 10)))(averages, weights, steps)


def checkpoints(folder: str, optim: OptimConfig) -> list[Callback]:
    """`best.ckpt` at the highest validation accuracy, early stopping if asked for, `last.ckpt` after each epoch.

    With `ema_decay`, what is validated and kept is the running average; the checkpoints hold the weights, too. Best and
    stopping act on each validation, which is over when the epoch ends: the last holds their state, too.
    """
    best = {"monitor": "val/accuracy", "mode": "max"}
    common = {"dirpath": folder, "enable_version_counter": False, "save_top_k": 1}
    callbacks: list[Callback] = []
    if optim.ema_decay is not None:
        callbacks.append(RunningAverage(optim.ema_decay))
    if optim.keep == "best":
        callbacks.append(ModelCheckpoint(filename="best", save_on_train_epoch_end=False, **best, **common))
    if optim.early_stopping is not None:
        callbacks.append(EarlyStopping(patience=optim.early_stopping, check_on_train_epoch_end=False, **best))
    return [*callbacks, ModelCheckpoint(filename="last", monitor=None, save_on_train_epoch_end=True, **common)]

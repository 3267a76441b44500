"""Stops a training run that is less promising than others."""

from collections.abc import Callable

import lightning as L
from lightning.pytorch.callbacks import Callback


class Pruned(Exception):
    """A training run was stopped because others are better."""


class Pruning(Callback):
    """Calls `worse` after each validated epoch, with the epoch, counted from 1, and the value of `metric`.

    Raises Pruned if it returns True.
    """

    def __init__(self, metric: str, worse: Callable[[int, float], bool]) -> None:
        self.metric, self.worse, self.validated = metric, worse, False

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Notes that the metric is of this epoch from now on."""
        self.validated = True

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:  # noqa: D102
        if not self.validated:
            return
        self.validated = False
        epoch = trainer.current_epoch + 1
        if self.worse(epoch, float(trainer.callback_metrics[self.metric])):
            raise Pruned(f"stopped after epoch {epoch}: others are better")

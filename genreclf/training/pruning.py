"""Stops a training that is not promising compared with others."""

from collections.abc import Callable

import lightning as L
from lightning.pytorch.callbacks import Callback


class Pruned(Exception):
    """A training was stopped because others are better."""


class Pruning(Callback):
    """After each epoch with a validation, asks `worse` with the epoch, counted from 1, and a metric of the epoch.

    Raises Pruned where the answer is yes.
    """

    def __init__(self, metric: str, worse: Callable[[int, float], bool]) -> None:
        self.metric, self.worse, self.validated = metric, worse, False

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Only now the metric is this epoch's."""
        self.validated = True

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:  # noqa: D102
        if not self.validated:
            return
        self.validated = False
        epoch = trainer.current_epoch + 1
        if self.worse(epoch, float(trainer.callback_metrics[self.metric])):
            raise Pruned(f"stopped after epoch {epoch}: others are better")

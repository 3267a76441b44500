"""Accuracy of training segments, counted on the device."""

import torch
from torch import Tensor
from torchmetrics import Metric

from genreclf.data.datamodule import NONE


class SegmentAccuracy(Metric):
    """The share of segments with a class whose class is predicted. `update` reads nothing from the device.

    (torchmetrics' accuracy selects the segments with a class, so each step would wait for their number.)
    """

    full_state_update = False
    correct: Tensor
    known: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("correct", "known"):
            self.add_state(name, torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Adds (B, classes) logits with (B,) targets, which are NONE for segments without a class."""
        self.correct += (logits.argmax(1) == target).sum()
        self.known += (target != NONE).sum()

    def compute(self) -> Tensor:
        """Returns the accuracy, () in [0, 1]; 0 if no segment has a class."""
        return self.correct / self.known.clamp(min=1)

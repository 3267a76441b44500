"""The accuracy of training segments, counted on the device."""

import torch
from torch import Tensor
from torchmetrics import Metric

from genreclf.data.datamodule import NONE


class SegmentAccuracy(Metric):
    """The share of the segments of known class whose class is predicted; `update` reads nothing back from the device.

    (torchmetrics' accuracy selects the known ones, and each step would wait for their number.)
    """

    full_state_update = False
    correct: Tensor
    known: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("correct", "known"):
            self.add_state(name, torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Adds (B, classes) logits with (B,) targets, NONE for segments of no class."""
        self.correct += (logits.argmax(1) == target).sum()
        self.known += (target != NONE).sum()

    def compute(self) -> Tensor:
        """() in [0, 1]; 0 without a segment of known class."""
        return self.correct / self.known.clamp(min=1)

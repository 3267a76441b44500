"""Metrics of clips, from the predictions of their segments."""

import numpy as np
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from genreclf.frontend.segments import mean_by_clip

_LEAST_PROBABILITY = 1e-12


class ClipScores(Metric):
    """Collects segments over batches and devices; `compute` scores clips, once per epoch."""

    full_state_update = False
    probabilities: list[Tensor]
    target: list[Tensor]
    clip: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("probabilities", "target", "clip"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, target: Tensor, clip: Tensor) -> None:
        """Adds (B, classes) probabilities with (B,) targets and (B,) clip numbers."""
        self.probabilities.append(probabilities)
        self.target.append(target)
        self.clip.append(clip)

    def compute(self) -> dict[str, float]:
        """`accuracy` in [0, 1] and `loss`, the mean negative log-likelihood in nats, of clips."""
        states = (self.probabilities, self.target, self.clip)
        probabilities, target, clip = (dim_zero_cat(state).float().cpu().numpy() for state in states)
        means, numbers = mean_by_clip(probabilities, clip)
        _, first = np.unique(clip, return_index=True)  # a segment of each clip, in the order of `numbers`
        target = target[first].astype(int)
        likelihood = np.maximum(means[np.arange(len(numbers)), target], _LEAST_PROBABILITY)
        return {"accuracy": float((means.argmax(1) == target).mean()), "loss": float(-np.log(likelihood).mean())}

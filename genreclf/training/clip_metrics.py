"""Metrics of an epoch: of training segments, and of validation clips, from the predictions for their segments."""

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multilabel_auroc, multilabel_average_precision
from torchmetrics.utilities import dim_zero_cat

from genreclf.data.datamodule import NONE
from genreclf.frontend.segments import mean_by_clip
from genreclf.inference.task import MULTICLASS, MULTILABEL

_LEAST_PROBABILITY = 1e-12
# By task: the metrics logged per epoch, and the validation score that selects the best epoch.
TRAIN_METRICS = {MULTICLASS: ("train/loss", "train/accuracy"), MULTILABEL: ("train/loss",)}
VAL_METRICS = {
    MULTICLASS: ("val/loss", "val/accuracy"),
    MULTILABEL: ("val/loss", "val/mean_average_precision", "val/roc_auc"),
}
BEST = {MULTICLASS: "accuracy", MULTILABEL: "mean_average_precision"}


class ClipScores(Metric):
    """Collects segments over batches and devices, and scores the clips once per epoch."""

    full_state_update = False
    probabilities: list[Tensor]
    target: list[Tensor]
    clip: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("probabilities", "target", "clip"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, target: Tensor, clip: Tensor) -> None:
        """Adds (B, classes) probabilities with (B,) or (B, classes) targets and (B,) clip numbers."""
        self.probabilities.append(probabilities)
        self.target.append(target)
        self.clip.append(clip)

    def compute(self) -> dict[str, float]:
        """Returns the `accuracy` of clips in [0, 1] and their `loss`, the mean negative log-likelihood in nats."""
        means, target = self._clips()
        target = target.astype(int)
        likelihood = np.maximum(means[np.arange(len(means)), target], _LEAST_PROBABILITY)
        return {"accuracy": float((means.argmax(1) == target).mean()), "loss": float(-np.log(likelihood).mean())}

    def _clips(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns (clips, classes) mean probabilities and the target of each clip."""
        states = (self.probabilities, self.target, self.clip)
        probabilities, target, clip = (dim_zero_cat(state).float().cpu().numpy() for state in states)
        means, _ = mean_by_clip(probabilities, clip)
        _, first = np.unique(clip, return_index=True)  # a segment of each clip, in the same order
        return means, target[first]


class MultilabelClipScores(ClipScores):
    """The same for clips with several genres."""

    def compute(self) -> dict[str, float]:
        """Returns the `mean_average_precision`, `roc_auc` and `loss` of clips.

        The first two are in [0, 1], means over the genres that some clips have and some do not. `loss` is the mean
        binary cross-entropy in nats.
        """
        means, target = self._clips()
        likelihood = np.maximum(np.where(target > 0, means, 1 - means), _LEAST_PROBABILITY)
        scored = (target.min(0) < 1) & (target.max(0) > 0)
        found = {"loss": float(-np.log(likelihood).mean())}
        of_scored = torch.from_numpy(means[:, scored]).float(), torch.from_numpy(target[:, scored]).long()
        for name, metric in (("mean_average_precision", multilabel_average_precision), ("roc_auc", multilabel_auroc)):
            found[name] = float(metric(*of_scored, num_labels=int(scored.sum()))) if scored.any() else 0.0
        return found


CLIP_SCORES: dict[str, type[ClipScores]] = {MULTICLASS: ClipScores, MULTILABEL: MultilabelClipScores}


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

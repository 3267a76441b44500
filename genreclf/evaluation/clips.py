"""Segments -> clips: a clip's probabilities are the mean over its segments."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class ClipProbabilities(Metric):
    """Collects segments' probabilities over batches and devices; `compute` gives one row a clip."""

    full_state_update = False

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        for name in ("probabilities", "target", "clip"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, target: Tensor, clip: Tensor) -> None:
        """Adds (B, classes) probabilities with (B,) targets and (B,) clip numbers."""
        self.probabilities.append(probabilities)
        self.target.append(target)
        self.clip.append(clip)

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        """(clips, classes) mean probabilities, (clips,) targets and (clips,) clip numbers, in order of clip number."""
        return mean_by_clip(dim_zero_cat(self.probabilities), dim_zero_cat(self.target), dim_zero_cat(self.clip))


def mean_by_clip(probabilities: Tensor, target: Tensor, clip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(S, classes), (S,), (S,) of segments -> (clips, classes) means, (clips,) targets, (clips,) clip numbers."""
    numbers, place, count = clip.unique(return_inverse=True, return_counts=True)
    total = torch.zeros(len(numbers), probabilities.shape[1], dtype=torch.float64, device=probabilities.device)
    total.index_add_(0, place, probabilities.double())
    clip_target = torch.empty_like(numbers).scatter_(0, place, target)
    return (total / count[:, None]).float(), clip_target, numbers

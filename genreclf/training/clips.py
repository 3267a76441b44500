"""Segments -> clips: a clip's probabilities are the mean over its segments."""

import torch
from torch import Tensor
from torch.nn.functional import nll_loss
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class ClipScores(Metric):
    """Collects segments' probabilities over batches and devices; `compute` scores clips, not segments."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for name in ("probabilities", "target", "clip"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, target: Tensor, clip: Tensor) -> None:
        """Adds (B, classes) probabilities with (B,) targets and (B,) clip numbers."""
        self.probabilities.append(probabilities)
        self.target.append(target)
        self.clip.append(clip)

    def compute(self) -> dict[str, Tensor]:
        """`accuracy` in [0, 1] and `loss`, the log-loss in nats with p kept above 1e-12."""
        segments = [dim_zero_cat(state) for state in (self.probabilities, self.target, self.clip)]
        probabilities, target, _ = mean_by_clip(*segments)
        accuracy = (probabilities.argmax(1) == target).float().mean()
        return {"accuracy": accuracy, "loss": nll_loss(probabilities.clamp(min=1e-12).log(), target)}


def mean_by_clip(probabilities: Tensor, target: Tensor, clip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(S, classes), (S,), (S,) of segments -> (clips, classes) means, (clips,) targets, (clips,) clip numbers."""
    numbers, place, count = clip.unique(return_inverse=True, return_counts=True)
    total = torch.zeros(len(numbers), probabilities.shape[1], dtype=torch.float64, device=probabilities.device)
    total.index_add_(0, place, probabilities.double())
    clip_target = torch.empty_like(numbers).scatter_(0, place, target)
    return (total / count[:, None]).float(), clip_target, numbers

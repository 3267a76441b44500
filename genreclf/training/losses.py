"""What a training minimises: the genre's cross-entropy, the divergence between views, and the distance to teachers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from genreclf.data.datamodule import NONE


class GenreLoss(nn.Module):
    """(B, classes) logits and (B,) targets -> (B,) cross-entropies, label-smoothed.

    `shares` are those of the classes in training. The logarithm of a class's share is added to its logit, in the loss
    alone: the logits themselves then stand for a uniform mix of classes (logit adjustment: Menon et al. 2021, Long-tail
    learning via logit adjustment). None adds nothing: the logits stand for the mix in training.

    An example whose target is NONE costs `none_weight` times the cross-entropy against equal probabilities (outlier
    exposure: Hendrycks et al. 2019).
    """

    log_shares: Tensor

    def __init__(self, num_classes: int, label_smoothing: float, shares: Sequence[float] | None, none_weight: float):
        super().__init__()
        self.label_smoothing, self.none_weight = label_smoothing, none_weight
        shares = [1.0] * num_classes if shares is None else shares
        self.register_buffer("log_shares", torch.tensor(shares).log(), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:  # noqa: D102 - see the class
        known = functional.cross_entropy(
            logits + self.log_shares, target.clamp(min=0), reduction="none", label_smoothing=self.label_smoothing
        )
        none = -logits.log_softmax(1).mean(1)  # (B,)
        return torch.where(target == NONE, self.none_weight * none, known)


class TeacherLoss(nn.Module):
    """(B, features) contexts and (B,) clips -> (B,) mean squared errors of a linear prediction of the clips' vectors.

    `vectors` is (clips, K), NaN in the rows of clips that no teacher has heard: their error is 0. Of unit variance, so
    the error of a constant prediction is 1.
    """

    vectors: Tensor
    known: Tensor

    def __init__(self, features: int, vectors: Tensor) -> None:
        super().__init__()
        self.head = nn.Linear(features, vectors.shape[1])
        # Not in checkpoints: also on resume, they come from the teacher's file.
        self.register_buffer("known", vectors.isfinite().all(1), persistent=False)  # (clips,)
        self.register_buffer("vectors", vectors.nan_to_num(), persistent=False)

    def forward(self, context: Tensor, clip: Tensor) -> Tensor:  # noqa: D102 - see the class
        errors = (self.head(context).float() - self.vectors[clip]).square().mean(1)
        return errors * self.known[clip]


def divergence(logits: Tensor, views: int) -> Tensor:
    """The mean Jensen-Shannon divergence, in nats, between the predictions for each segment's views.

    `logits` is (views * B, classes), one view of all segments after the other (as in AugMix: Hendrycks et al. 2020).
    """
    log_p = logits.unflatten(0, (views, -1)).log_softmax(2)  # (views * B, classes) -> (views, B, classes)
    log_mean = log_p.logsumexp(0) - math.log(views)  # (B, classes)
    return (log_p.exp() * (log_p - log_mean)).sum(2).mean()

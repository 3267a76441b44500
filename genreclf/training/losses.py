"""What a training minimises: the genre's cross-entropy, the divergence between views, and the distance to teachers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from genreclf.data.datamodule import NONE


class GenreLoss(nn.Module):
    """(B, classes) logits and (B,) targets -> (B,) cross-entropies, label-smoothed.

    `mix` has a weight for each class, whose logarithm is added to its logit, in the loss alone. With the shares of the
    classes in training, the logits themselves stand for a uniform mix of classes; with equal weights, for that of the
    training (logit adjustment: Menon et al. 2021, Long-tail learning via logit adjustment).

    An example whose target is NONE costs `none_weight` times the cross-entropy against equal probabilities (outlier
    exposure: Hendrycks et al. 2019).
    """

    log_mix: Tensor

    def __init__(self, label_smoothing: float, mix: Sequence[float], none_weight: float) -> None:
        super().__init__()
        self.label_smoothing, self.none_weight = label_smoothing, none_weight
        self.register_buffer("log_mix", torch.tensor(mix).log(), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:  # noqa: D102 - see the class
        known = functional.cross_entropy(
            logits + self.log_mix, target.clamp(min=0), reduction="none", label_smoothing=self.label_smoothing
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

"""What a training minimises: the genre's cross-entropy, the divergence between views, and the distance to teachers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits


class GenreLoss(nn.Module):
    """The mean cross-entropy of logits and label-smoothed classes.

    `mix` has a weight for each class, whose logarithm is added to its logit, in the loss alone. With the shares of the
    classes in training, the logits themselves stand for a uniform mix of classes; with equal weights, for that of the
    training (logit adjustment: Menon et al. 2021, Long-tail learning via logit adjustment).

    The best answer for an example whose target is NONE is equal probabilities, with the weight `none_weight` (outlier
    exposure: Hendrycks et al. 2019).
    """

    log_mix: Tensor
    wanted: Tensor

    def __init__(self, label_smoothing: float, mix: Sequence[float], none_weight: float) -> None:
        super().__init__()
        weights = torch.tensor(mix)
        classes = len(weights)
        smoothed = (1 - label_smoothing) * torch.eye(classes) + label_smoothing / classes
        none = none_weight * weights / weights.sum()  # equal logits and the mix give these probabilities
        self.register_buffer("log_mix", weights.log(), persistent=False)
        # (classes + 1, classes) the probabilities wanted for each target; for NONE, which is -1, the last row
        self.register_buffer("wanted", torch.cat([smoothed, none[None]]), persistent=False)

    def forward(self, logits: Tensor, target: Tensor, other: Tensor | None = None, lam: Tensor | None = None) -> Tensor:
        """(..., B, classes) logits and (B,) targets -> the mean.

        With mixup, each example also has the target of example `other`, (B,); the weight of its own is `lam`, (B,).
        """
        wanted = self.wanted[target]  # (B, classes)
        if other is not None and lam is not None:
            wanted = wanted[other].lerp(wanted, lam[:, None])
        return -(wanted * (logits + self.log_mix).log_softmax(-1)).sum(-1).mean()


class MultilabelLoss(nn.Module):
    """The mean binary cross-entropy of logits and the genres of each example, over examples and genres.

    A part of each target, `label_smoothing`, is the genre's share of the training clips (Szegedy et al. 2016, with that
    distribution in place of a uniform one): the mean probabilities then stay unbiased, those of rare genres too.
    """

    shares: Tensor
    log_mix: Tensor

    def __init__(self, label_smoothing: float, shares: Sequence[float]) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.register_buffer("shares", torch.tensor(shares), persistent=False)  # (classes,)
        self.register_buffer("log_mix", torch.zeros(len(shares)), persistent=False)  # the logits stand for themselves

    def forward(self, logits: Tensor, target: Tensor, other: Tensor | None = None, lam: Tensor | None = None) -> Tensor:
        """(..., B, classes) logits and (B, classes) targets, 0 or 1 -> the mean; `other` and `lam` as above."""
        wanted = target.lerp(self.shares, self.label_smoothing)  # (B, classes)
        if other is not None and lam is not None:
            wanted = wanted[other].lerp(wanted, lam[:, None])
        return binary_cross_entropy_with_logits(logits, wanted.expand_as(logits))


class TeacherLoss(nn.Module):
    """The mean squared error of a linear prediction of the clips' vectors.

    `vectors` is (clips, K), NaN in the rows of clips without a teacher's vector: their error is 0. Of unit variance, so
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

    def forward(self, context: Tensor, clip: Tensor, other: Tensor | None = None, lam: Tensor | None = None) -> Tensor:
        """(B, features) contexts and (B,) clips -> the mean; `other` and `lam` as for `GenreLoss`."""
        said = self.head(context).float()  # (B, K)
        errors = self._errors(said, clip)
        if other is not None and lam is not None:
            errors = self._errors(said, clip[other]).lerp(errors, lam)
        return errors.mean()

    def _errors(self, said: Tensor, clip: Tensor) -> Tensor:
        return (said - self.vectors[clip]).square().mean(1) * self.known[clip]


def divergence(logits: Tensor, views: int) -> Tensor:
    """The mean Jensen-Shannon divergence, in nats, between the predictions for each segment's views.

    `logits` is (..., views * B, classes), one view of all segments after the other (as in AugMix: Hendrycks et al.
    2020).
    """
    log_p = logits.unflatten(-2, (views, -1)).log_softmax(-1)  # (..., views * B, C) -> (..., views, B, C)
    log_mean = log_p.logsumexp(-3, keepdim=True) - math.log(views)  # (..., 1, B, C)
    return (log_p.exp() * (log_p - log_mean)).sum(-1).mean()


def multilabel_divergence(logits: Tensor, views: int) -> Tensor:
    """The same for independent genres: the mean over the genres of the divergence of "yes" and "no"."""
    yes = logits.movedim(-1, 0)  # (..., views * B, classes) -> (classes, ..., views * B)
    return divergence(torch.stack([yes, torch.zeros_like(yes)], -1), views)

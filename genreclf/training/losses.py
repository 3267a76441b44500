"""Training losses: the cross-entropy of genres, the divergence between views, and the distance to teachers' vectors."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits


class GenreLoss(nn.Module):
    """The mean cross-entropy of logits and label-smoothed classes.

    `mix` has a weight for each class, whose logarithm is added to the class's logit, only in the loss. If the weights
    are the shares of the classes in training, the logits themselves assume a uniform mix of classes; if they are equal,
    the logits assume the training mix (Menon et al. 2021, Long-tail learning via logit adjustment).

    For an example whose target is NONE, the best prediction is equal probabilities. Such examples have the weight
    `none_weight` (outlier exposure: Hendrycks et al. 2019).
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
        # (classes + 1, classes): the desired probabilities for each target; the last row is for NONE, which is -1
        self.register_buffer("wanted", torch.cat([smoothed, none[None]]), persistent=False)

    def forward(self, logits: Tensor, target: Tensor, other: Tensor | None = None, lam: Tensor | None = None) -> Tensor:
        """Returns the mean loss of (..., B, classes) logits and (B,) targets.

        With mixup, each example also has the target of example `other`, (B,). Its own has the weight `lam`, (B,).
        """
        wanted = self.wanted[target]  # (B, classes)
        if other is not None and lam is not None:
            wanted = wanted[other].lerp(wanted, lam[:, None])
        return -(wanted * (logits + self.log_mix).log_softmax(-1)).sum(-1).mean()


class MultilabelLoss(nn.Module):
    """The binary cross-entropy of logits and the genres of each example, averaged over examples and genres.

    Label smoothing mixes the part `label_smoothing` of the genre's share of the training clips into each target
    (Szegedy et al. 2016, with that distribution instead of a uniform one). The mean probabilities then stay unbiased,
    also for rare genres.
    """

    shares: Tensor
    log_mix: Tensor

    def __init__(self, label_smoothing: float, shares: Sequence[float]) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.register_buffer("shares", torch.tensor(shares), persistent=False)  # (classes,)
        self.register_buffer("log_mix", torch.zeros(len(shares)), persistent=False)  # no logit adjustment

    def forward(self, logits: Tensor, target: Tensor, other: Tensor | None = None, lam: Tensor | None = None) -> Tensor:
        """Returns the mean loss of (..., B, classes) logits and (B, classes) targets, 0 or 1; the rest is as above."""
        wanted = target.lerp(self.shares, self.label_smoothing)  # (B, classes)
        if other is not None and lam is not None:
            wanted = wanted[other].lerp(wanted, lam[:, None])
        return binary_cross_entropy_with_logits(logits, wanted.expand_as(logits))


class TeacherLoss(nn.Module):
    """The mean squared error of a linear prediction of teachers' vectors for the clips.

    `vectors` is (clips, K), with NaN in the rows of clips without a teacher's vector, whose error is 0. The vectors
    have unit variance, so the error of a constant prediction is 1.
    """

    vectors: Tensor
    known: Tensor

    def __init__(self, features: int, vectors: Tensor) -> None:
        super().__init__()
        self.head = nn.Linear(features, vectors.shape[1])
        # Not in checkpoints, because they come from the teacher's file, also on resume.
        self.register_buffer("known", vectors.isfinite().all(1), persistent=False)  # (clips,)
        self.register_buffer("vectors", vectors.nan_to_num(), persistent=False)

    def forward(self, context: Tensor, clip: Tensor, other: Tensor | None = None, lam: Tensor | None = None) -> Tensor:
        """Returns the mean loss of (B, features) contexts and (B,) clips; `other` and `lam` are as for `GenreLoss`."""
        predicted = self.head(context).float()  # (B, K)
        errors = self._errors(predicted, clip)
        if other is not None and lam is not None:
            errors = self._errors(predicted, clip[other]).lerp(errors, lam)
        return errors.mean()

    def _errors(self, predicted: Tensor, clip: Tensor) -> Tensor:
        return (predicted - self.vectors[clip]).square().mean(1) * self.known[clip]


def divergence(logits: Tensor, views: int) -> Tensor:
    """Returns the mean Jensen-Shannon divergence, in nats, between the predictions for each segment's views.

    `logits` is (..., views * B, classes): one view of all segments, then the next (as in AugMix: Hendrycks et al.
    2020).
    """
    log_p = logits.unflatten(-2, (views, -1)).log_softmax(-1)  # (..., views * B, C) -> (..., views, B, C)
    log_mean = log_p.logsumexp(-3, keepdim=True) - math.log(views)  # (..., 1, B, C)
    return (log_p.exp() * (log_p - log_mean)).sum(-1).mean()


def multilabel_divergence(logits: Tensor, views: int) -> Tensor:
    """Returns the same for independent genres: the mean over the genres of the divergence of "yes" and "no"."""
    yes = logits.movedim(-1, 0)  # (..., views * B, classes) -> (classes, ..., views * B)
    return divergence(torch.stack([yes, torch.zeros_like(yes)], -1), views)

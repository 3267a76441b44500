"""The baselines that a net has to beat: support vector machines on segment statistics, and the majority class."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from genreclf.config import check_fields
from genreclf.nets.net import Net
from genreclf.nets.statistics import BandStatistics, SegmentStatistics

FEATURES: dict[str, type[BandStatistics] | type[SegmentStatistics]] = {
    "bands": BandStatistics,
    "statistics": SegmentStatistics,
}


@dataclass(frozen=True)
class SvmConfig:
    """Configuration of an `Svm`. Raises GenreclfError for unknown features."""

    num_classes: int
    features: Annotated[str, tuple(FEATURES)]
    support_vectors: int  # total number over all classes

    def __post_init__(self) -> None:
        check_fields(self, "model.net")


class Svm(Net):
    """One-vs-rest support vector machines with an RBF kernel on a segment's statistics.

    scikit-learn fits them (`training.baselines`). Here they are plain tensor arithmetic, so that bundles, exports and
    predictions treat them like any other net.
    """

    centre: Tensor
    scale: Tensor
    support: Tensor
    coefficients: Tensor
    intercept: Tensor
    gamma: Tensor

    def __init__(self, config: SvmConfig) -> None:
        super().__init__()
        self.config = config
        self.features = FEATURES[config.features]()
        features = self.features.num_features
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("support", torch.zeros(config.support_vectors, features))
        self.register_buffer("coefficients", torch.zeros(config.num_classes, config.support_vectors))
        self.register_buffer("intercept", torch.zeros(config.num_classes))
        self.register_buffer("gamma", torch.zeros(()))

    def outputs(self, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns decision values (B, classes), attention (B, 1, 1), always 1, and scaled statistics (B, features)."""
        scaled = (self.features(levels).to(self.centre.dtype) - self.centre) / self.scale  # (B, features)
        # Not torch.cdist, which chooses its algorithm by the number of rows, and not len(), which fixes that number:
        # an exported file would then accept batches of only one size.
        squares = scaled.square().sum(1, keepdim=True) + self.support.square().sum(1)  # (B, support vectors)
        kernel = torch.exp(-self.gamma * (squares - 2 * scaled @ self.support.t()))  # (B, support vectors)
        logits = kernel @ self.coefficients.t() + self.intercept  # (B, classes)
        return logits, torch.ones(levels.shape[0], 1, 1, device=levels.device), scaled


@dataclass(frozen=True)
class MajorityConfig:
    """Configuration of a `Majority`."""

    num_classes: int


class Majority(Net):
    """Predicts the class frequencies of the training data for every segment: chance level."""

    log_shares: Tensor

    def __init__(self, config: MajorityConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("log_shares", torch.zeros(config.num_classes))

    def outputs(self, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns logits (B, classes), all rows equal, attention (B, 1, 1), always 1, and the logits as embedding."""
        logits = self.log_shares.expand(levels.shape[0], -1)
        return logits, torch.ones(levels.shape[0], 1, 1, device=levels.device), logits

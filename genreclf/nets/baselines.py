"""What a net has to beat, behind the same contract: a support vector machine on statistics, and the majority."""

from dataclasses import dataclass

import torch
from torch import nn

from genreclf.errors import GenreclfError
from genreclf.nets.statistics import BandStatistics, SegmentStatistics


@dataclass(frozen=True)
class SvmConfig:
    """`features` is "bands" or all "statistics"; `support_vectors` is how many the machines keep.

    Raises GenreclfError for other features.
    """

    num_classes: int
    features: str
    support_vectors: int

    def __post_init__(self) -> None:
        if self.features not in FEATURES:
            raise GenreclfError(f"model.net.features={self.features!r}: unknown; known: {', '.join(FEATURES)}")


FEATURES = {"bands": BandStatistics, "statistics": SegmentStatistics}


class Svm(nn.Module):
    """Support vector machines with a radial kernel, one class against the rest, on a segment's statistics.

    scikit-learn fits it; here it is plain arithmetic, so that it lives in a bundle, is exported and answers as the nets
    do.
    """

    centre: torch.Tensor
    scale: torch.Tensor
    support: torch.Tensor
    coefficients: torch.Tensor
    intercept: torch.Tensor
    gamma: torch.Tensor

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

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, 128, W) levels in [0, 255] -> decision values (B, classes), attention (B, 1, 1), which is 1."""
        scaled = (self.features(x.to(self.centre.dtype)) - self.centre) / self.scale  # (B, features)
        # By hand: torch.cdist counts rows to choose its way, and len() fixes them, so that no export would take batches
        # of any size.
        squares = scaled.square().sum(1, keepdim=True) + self.support.square().sum(1)  # (B, support vectors)
        kernel = torch.exp(-self.gamma * (squares - 2 * scaled @ self.support.t()))
        return kernel @ self.coefficients.t() + self.intercept, torch.ones(x.shape[0], 1, 1, device=x.device)


@dataclass(frozen=True)
class MajorityConfig:
    """No more than the number of classes."""

    num_classes: int


class Majority(nn.Module):
    """Answers every segment with how frequent the classes are in training: what can be had without listening."""

    log_shares: torch.Tensor

    def __init__(self, config: MajorityConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("log_shares", torch.zeros(config.num_classes))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, 128, W) -> logits (B, classes), all rows alike; attention (B, 1, 1), which is 1."""
        return self.log_shares.expand(x.shape[0], -1), torch.ones(x.shape[0], 1, 1, device=x.device)

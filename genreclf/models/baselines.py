"""What a net has to beat, behind the same contract: a support vector machine on band statistics, and the majority."""

from dataclasses import dataclass

import torch
from torch import nn

from genreclf.data.spectrogram import N_BANDS
from genreclf.errors import GenreclfError
from genreclf.models.statistics import band_figures


@dataclass(frozen=True)
class SvmConfig:
    """`percentiles`, 0 to 100, are taken of each band over time; `support_vectors` is how many the machines keep.

    Raises GenreclfError for a percentile that is none.
    """

    num_classes: int
    percentiles: tuple[float, ...]
    support_vectors: int

    def __post_init__(self) -> None:
        for percentile in self.percentiles:
            if not 0 <= percentile <= 100:
                raise GenreclfError(f"model.net.percentiles={list(self.percentiles)}: give numbers from 0 to 100")


class BandSvm(nn.Module):
    """Support vector machines with a radial kernel, one class against the rest, on statistics of each band.

    They are its `band_figures`: what a band's levels are, not in which order. scikit-learn fits it; here it is plain
    arithmetic, so that it lives in a bundle, is exported and answers as the nets do.
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
        features = N_BANDS * (3 + len(config.percentiles))
        self.shares = [percentile / 100 for percentile in config.percentiles]
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("support", torch.zeros(config.support_vectors, features))
        self.register_buffer("coefficients", torch.zeros(config.num_classes, config.support_vectors))
        self.register_buffer("intercept", torch.zeros(config.num_classes))
        self.register_buffer("gamma", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, 128, W) levels in [0, 255] -> decision values (B, classes), attention (B, 1, 1), which is 1."""
        scaled = (self.features(x) - self.centre) / self.scale  # (B, features)
        kernel = torch.exp(-self.gamma * torch.cdist(scaled, self.support).square())  # (B, support vectors)
        return kernel @ self.coefficients.t() + self.intercept, torch.ones(len(x), 1, 1, device=x.device)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, 128, W) levels, all channels alike -> (B, features) on the scale of the levels."""
        return band_figures(x[:, 0].float(), self.shares)


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
        return self.log_shares.expand(len(x), -1), torch.ones(len(x), 1, 1, device=x.device)

"""The whole net, from a segment's levels to genre logits, and how its parameters are to be optimised."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from genreclf.errors import GenreclfError
from genreclf.frontend.log_mel import N_BANDS
from genreclf.nets.cnn import SECNN
from genreclf.nets.config import ModelConfig
from genreclf.nets.efficientnet import EfficientNet
from genreclf.nets.statistics import SegmentStandardize, StatisticsBranch
from genreclf.nets.temporal import BiLSTM, MultiHeadTemporalAttention

BACKBONES = {"cnn": SECNN, "efficientnet": EfficientNet}


class InputScaling(nn.Module):
    """Levels 0..255 of `bands` bands -> ((levels / 255 + noise) - mean) / std in channels_last, noise while training
    only. With `standardize`, which an `SegmentStandardize` gives in the place of 0..1, a clip's level and range do not matter; the
    channels are then taken to be alike.

    `time_pool` columns are averaged into one first; with `band_norm` each band is normalised last.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        bands: int,
        standardize: bool,
        time_pool: int,
        noise_std: float,
        band_norm: bool,
    ) -> None:
        super().__init__()
        self.standardize = SegmentStandardize() if standardize else None
        self.pool = nn.AvgPool2d((1, time_pool)) if time_pool > 1 else nn.Identity()
        self.noise_std = noise_std
        self.norm = nn.BatchNorm2d(bands) if band_norm else nn.Identity()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, levels: torch.Tensor) -> torch.Tensor:
        """(B, 3, bands, W) of uint8 or float levels -> (B, 3, bands, W // time_pool) in the dtype of the net."""
        x = levels.to(self.mean.dtype)
        if self.standardize is None:  # a statement, as TorchScript leaves out what cannot happen
            x = x / 255
        else:
            x, _, _ = self.standardize(x[:, :1])  # one channel, as all are alike: (B, 1, bands, W)
        x = self.pool(x.contiguous(memory_format=torch.channels_last))
        x = x.expand(-1, levels.shape[1], -1, -1)  # (B, 1 or 3, bands, W // time_pool) -> (B, 3, bands, W // time_pool)
        if self.training and self.noise_std > 0:
            x = x + self.noise_std * torch.randn_like(x)
        x = (x - self.mean) / self.std
        # (B, bands, 3, W), so that the bands are its channels, and back
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return x.contiguous(memory_format=torch.channels_last)


class GenreClassifier(nn.Module):
    """Backbone -> dense layers on each step (Model B only) -> BiLSTMs -> attention over time -> dense head.

    With `statistics_units` a segment's statistics are a second branch, which needs far less music to learn from, and
    reads all bands, however few the backbone does. The branches' logits add up: each tells what it knows, the
    statistics only as far as the bands are there that they alone hear.

    Convolutions run in channels_last, save where a backbone says why not. A training batch needs two examples at least,
    as batch norm has nothing to compare one with. Raises GenreclfError for a `config` that cannot be built.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        _check(config)
        self.config = config
        self.backbone = BACKBONES[config.backbone](config)
        self.bands = config.bands  # an attribute, as TorchScript knows no config
        self.scaling = InputScaling(
            self.backbone.mean,
            self.backbone.std,
            config.bands,
            config.standardize,
            config.time_pool,
            config.noise_std,
            config.band_norm,
        )
        self.frequency = FREQUENCY_POOLINGS[config.frequency_pooling]()
        rows = self.backbone.num_rows if config.frequency_pooling == "rows" else 2
        widths = (rows * self.backbone.num_channels, *config.projection_units)
        self.projection = _dense_stack(widths, [config.projection_dropout] * len(config.projection_units))
        widths = (widths[-1], *(2 * units for units in config.lstm_units))
        self.recurrent = nn.Sequential(
            *(
                BiLSTM(units_in, units, config.lstm_dropout, config.recurrent_dropout)
                for units_in, units in zip(widths[:-1], config.lstm_units, strict=True)
            )
        )
        self.attention = MultiHeadTemporalAttention(widths[-1], config.attention_heads)
        units, dropout, classes = config.statistics_units, config.statistics_dropout, config.num_classes
        self.statistics = StatisticsBranch(units, dropout, classes, config.bands) if units else None
        widths = (widths[-1], *config.head_units)
        self.head = _dense_stack(widths, config.head_dropout).append(nn.Linear(widths[-1], classes))
        self._initialise()

    def forward(self, levels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, 128, W) levels, uint8 or float in [0, 255] -> logits (B, num_classes), attention (B, heads, T).

        Both are float32 under autocast too. Of V = W // time_pool columns, T is V // 16 for "cnn" and ceil(V / 32) for
        "efficientnet", or ceil(V / 16) with a last_time_stride of 1.
        """
        parts, gates, weights = self.branches(levels)
        return gated_sum(parts, gates), weights

    def branches(self, levels: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """The same, but the logits of each branch by itself, as training wants them, and how much it counts (B, 1)."""
        x = self.frequency(self.backbone(self.scaling(levels[:, :, : self.bands])))  # (B, T, features)
        x = self.projection(x.flatten(0, 1)).unflatten(0, x.shape[:2])  # (B * T, features) -> (B, T, units)
        context, weights = self.attention(self.recurrent(x))  # (B, units), (B, heads, T)
        parts = [self.head(context).float()]  # (B, num_classes)
        gates = [torch.ones_like(parts[0][:, :1])]  # (B, 1)
        if self.statistics is not None:
            own, gate = self.statistics(levels)
            parts.append(own.float())
            gates.append(gate.float())
        return parts, gates, weights.float()

    def _initialise(self) -> None:
        # BiLSTM and attention have their own rules, and timm's net has its authors'.
        for part in (self.projection, self.head):
            part.apply(_glorot)
        if isinstance(self.backbone, SECNN):
            self.backbone.apply(_glorot)


def gated_sum(parts: list[torch.Tensor], gates: list[torch.Tensor]) -> torch.Tensor:
    """The branches' logits, (B, num_classes) each, by gates in [0, 1], (B, 1) each -> (B, num_classes)."""
    return (torch.stack(parts) * torch.stack(gates)).sum(0)


class Rows(nn.Module):
    """(B, C, H, T) -> (B, T, H * C): a step's features are its rows' channels, low row first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102 - the class docstring says it
        return x.permute(0, 3, 2, 1).flatten(2)  # (B, T, H, C) -> (B, T, H * C)


class MeanMax(nn.Module):
    """(B, C, H, T) -> (B, T, 2 * C): each channel's mean over the rows, then each one's maximum."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102 - the class docstring says it
        return torch.cat([x.mean(2), x.amax(2)], dim=1).transpose(1, 2)  # (B, 2 * C, T) -> (B, T, 2 * C)


FREQUENCY_POOLINGS = {"rows": Rows, "mean_max": MeanMax}


def parameter_groups(net: GenreClassifier) -> list[dict[str, Any]]:
    """`net`'s trainable parameters as an optimizer's groups, one for each weight decay.

    The original adds l2 * sum(w^2) to its loss. Its gradient is 2 * l2 * w, and Adam adds weight_decay * w to the
    gradient: so weight_decay = 2 * l2. (AdamW's decay is another thing, and needs rates of its own.)
    """
    penalties = _penalties(net)
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in net.parameters():
        if parameter.requires_grad:
            groups.setdefault(2 * penalties.get(parameter, 0.0), []).append(parameter)
    return [{"params": groups[decay], "weight_decay": decay} for decay in sorted(groups)]


def _penalties(net: GenreClassifier) -> dict[nn.Parameter, float]:
    """The kernels that the original penalises: all convolutions of the backbone, the first dense layer of each stack.

    Not biases and batch norms: they set levels, and pulling those to 0 only shifts what the next layer sees. The SE
    gates, LSTMs, attention and later dense layers go without as the original's do, whose results ours stand beside.
    """
    penalties = {m.weight: net.config.l2_backbone for m in net.backbone.modules() if isinstance(m, nn.Conv2d)}
    for stack, l2 in ((net.projection, net.config.l2_projection), (net.head, net.config.l2_head)):
        first = next((module for module in stack if isinstance(module, nn.Linear)), None)
        if first is not None:
            penalties[first.weight] = l2
    return penalties


def _dense_stack(widths: Sequence[int], dropouts: Sequence[float]) -> nn.Sequential:
    """(N, widths[0]) -> (N, widths[-1]): Dense, ReLU, BatchNorm (Keras's epsilon), Dropout from width to width."""
    layers: list[nn.Module] = []
    for (units_in, units), dropout in zip(pairwise(widths), dropouts, strict=True):
        layers += [nn.Linear(units_in, units), nn.ReLU(), nn.BatchNorm1d(units, eps=1e-3), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


def _glorot(module: nn.Module) -> None:
    """Keras's default: Glorot-uniform kernels, biases 0 (Glorot and Bengio 2010)."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def _check(config: ModelConfig) -> None:
    if config.backbone not in BACKBONES:
        raise GenreclfError(f"model.net.backbone={config.backbone!r}: expected {' or '.join(BACKBONES)}")
    if config.frequency_pooling not in FREQUENCY_POOLINGS:
        raise GenreclfError(
            f"model.net.frequency_pooling={config.frequency_pooling!r}: expected {' or '.join(FREQUENCY_POOLINGS)}"
        )
    if not 1 <= config.bands <= N_BANDS:
        raise GenreclfError(f"model.net.bands={config.bands}: give 1 to {N_BANDS}")
    if config.time_pool < 1:
        raise GenreclfError(f"model.net.time_pool={config.time_pool}: give at least 1")
    if len(config.head_units) != len(config.head_dropout):
        raise GenreclfError(
            f"model.net.head_dropout={list(config.head_dropout)}: give one rate for each of head_units="
            f"{list(config.head_units)}"
        )
    if config.statistics_units < 0:
        raise GenreclfError(f"model.net.statistics_units={config.statistics_units}: give 0 or more")
    rates = (config.projection_dropout, config.lstm_dropout, config.recurrent_dropout, config.statistics_dropout)
    for rate in (*rates, *config.backbone_dropout, *config.head_dropout):
        if not 0 <= rate < 1:
            raise GenreclfError(f"model.net: a dropout rate of {rate} is none; give one from 0 to below 1")
    if not config.lstm_units:
        raise GenreclfError("model.net.lstm_units=[]: give one BiLSTM at least")
    if config.attention_heads < 1 or 2 * config.lstm_units[-1] % config.attention_heads:
        raise GenreclfError(
            f"model.net.attention_heads={config.attention_heads}: must divide {2 * config.lstm_units[-1]}, twice the "
            "last of lstm_units"
        )

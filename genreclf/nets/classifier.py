"""Models A and B: from a segment's levels to genre logits, and their parameter groups for an optimizer."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from genreclf.frontend.segments import SEGMENT_COLUMNS
from genreclf.grouping import grouped
from genreclf.nets.cnn import SECNN
from genreclf.nets.config import ModelConfig, require
from genreclf.nets.efficientnet import EfficientNet
from genreclf.nets.net import Net
from genreclf.nets.statistics import SegmentStandardize, StatisticsBranch
from genreclf.nets.temporal import BiLSTM, MultiHeadTemporalAttention

# Factor for the backbone's logits where the gate is closed. It makes them as large as the sum of both branches.
# Measured on model A and 516 held-out clips (see "Why A was underconfident at 8 kHz" in scripts/RESULTS.md).
ALONE = 1.28
BACKBONES: dict[str, type[SECNN] | type[EfficientNet]] = {"cnn": SECNN, "efficientnet": EfficientNet}


class InputScaling(nn.Module):
    """Scales levels in [0, 255] to the backbone's input, (x - mean) / std in channels_last.

    x is levels / 255 or, with `standardize`, the output of `SegmentStandardize`, which does not depend on a clip's
    level and range. Before the scaling, `time_pool` columns are averaged into one and, in training only, Gaussian noise
    with standard deviation `noise_std` is added. With `band_norm`, a batch norm over each band comes last.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.standardize = SegmentStandardize() if config.standardize else None
        self.pool = nn.AvgPool2d((1, config.time_pool)) if config.time_pool > 1 else nn.Identity()
        self.noise_std = config.noise_std
        self.norm = nn.BatchNorm2d(config.bands) if config.band_norm else nn.Identity()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, levels: Tensor) -> Tensor:
        """(B, 3, bands, W) uint8 or float levels -> (B, 3, bands, W // time_pool) in the net's dtype."""
        x = levels.to(self.mean.dtype)
        if self.standardize is None:  # a statement, not an expression: TorchScript then compiles only one branch
            x = x / 255
        else:
            x, _, _ = self.standardize(x[:, :1])  # (B, 1, bands, W): the channels are equal
        x = self.pool(x.contiguous(memory_format=torch.channels_last))
        x = x.expand(-1, levels.shape[1], -1, -1)  # (B, 1 or 3, bands, W // time_pool) -> (B, 3, bands, W // time_pool)
        if self.training and self.noise_std > 0:
            x = x + self.noise_std * torch.randn_like(x)
        x = (x - self.mean) / self.std
        # (B, 3, bands, W) -> (B, bands, 3, W), the bands as channels of the batch norm, and back
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return x.contiguous(memory_format=torch.channels_last)


class GenreClassifier(Net):
    """Backbone -> dense layers on each step (Model B) -> BiLSTMs -> attention over time -> dense head.

    With `statistics_units`, a second branch classifies a segment's statistics, always of all 128 bands. It learns from
    far less music. The logits of both branches are added. A gate lowers the weight of the statistics if the bands that
    only they read are silent.

    Convolutions run in channels_last, except where a comment in a backbone explains otherwise. Batch norm needs at
    least two examples in a training batch. Raises GenreclfError for an invalid `config`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        _check(config)
        self.config = config
        self.backbone = BACKBONES[config.backbone](config)
        _check_time_pool(config, self.backbone.time_reduction)
        self.bands, self.alone = config.bands, ALONE  # attributes: TorchScript cannot read the config and constants
        self.scaling = InputScaling(config, self.backbone.mean, self.backbone.std)
        self.frequency = FREQUENCY_POOLINGS[config.frequency_pooling]()
        rows = self.backbone.num_rows if config.frequency_pooling == "rows" else 2
        widths = (rows * self.backbone.num_channels, *config.projection_units)
        self.projection = _dense_stack(widths, [config.projection_dropout] * len(config.projection_units))
        widths = (widths[-1], *(2 * units for units in config.lstm_units))
        sizes = zip(widths[:-1], config.lstm_units, strict=True)
        rates = config.lstm_dropout, config.recurrent_dropout
        self.recurrent = nn.Sequential(*(BiLSTM(units_in, units, *rates) for units_in, units in sizes))
        self.attention = MultiHeadTemporalAttention(widths[-1], config.attention_heads)
        units, dropout, classes = config.statistics_units, config.statistics_dropout, config.num_classes
        self.statistics = StatisticsBranch(units, dropout, classes, config.bands) if units else None
        self.embedding_size = widths[-1]
        widths = (widths[-1], *config.head_units)
        self.head = _dense_stack(widths, config.head_dropout).append(nn.Linear(widths[-1], classes))
        self._initialise()

    def outputs(self, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns logits (B, classes), attention (B, heads, T) and, as embedding, the attention's context (B, D).

        `levels` are (B, 3, 128, W), uint8 or float in [0, 255]. The outputs are float32, also under autocast. With
        V = W // time_pool, T is V // 16 for "cnn", and for "efficientnet" ceil(V / 32), or ceil(V / 16) with a
        last_time_stride of 1.
        """
        logits, gates, attention, context = self.branches(levels)
        # Without this factor, the backbone's logits alone would be too small, and the probabilities below the accuracy.
        scale = 1 + (self.alone - 1) * (1 - gates[-1])  # (B, 1)
        return scale * gated_sum(logits, gates), attention, context

    def branches(self, levels: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
        """Like `outputs`, but with the logits (B, classes) and the gate (B, 1) of each branch, which the loss needs."""
        x = self.frequency(self.backbone(self.scaling(levels[:, :, : self.bands])))  # (B, T, features)
        x = self.projection(x.flatten(0, 1)).unflatten(0, x.shape[:2])  # (B * T, features) -> (B, T, units)
        context, weights = self.attention(self.recurrent(x))  # (B, D), (B, heads, T)
        logits = [self.head(context).float()]  # (B, classes)
        gates = [torch.ones_like(logits[0][:, :1])]  # (B, 1)
        if self.statistics is not None:
            statistics_logits, gate = self.statistics(levels)
            logits.append(statistics_logits.float())
            gates.append(gate.float())
        return logits, gates, weights.float(), context.float()

    def _initialise(self) -> None:
        # BiLSTM and attention initialise themselves; timm initialises EfficientNet.
        for part in (self.projection, self.head):
            part.apply(_glorot)
        if isinstance(self.backbone, SECNN):
            self.backbone.apply(_glorot)


def gated_sum(logits: list[Tensor], gates: list[Tensor]) -> Tensor:
    """Sums the branches' logits, (B, classes) each, weighted by their gates in [0, 1], (B, 1) each -> (B, classes)."""
    return (torch.stack(logits) * torch.stack(gates)).sum(0)


class Rows(nn.Module):
    """Concatenates the channels of all rows, lowest row first."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, T) -> (B, T, H * C)."""
        return x.permute(0, 3, 2, 1).flatten(2)  # (B, T, H, C) -> (B, T, H * C)


class MeanMax(nn.Module):
    """(B, C, H, T) -> (B, T, 2 * C): the means of the channels over the rows, then the maxima."""

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 - see the class
        return torch.cat([x.mean(2), x.amax(2)], dim=1).transpose(1, 2)  # (B, 2 * C, T) -> (B, T, 2 * C)


FREQUENCY_POOLINGS: dict[str, type[nn.Module]] = {"rows": Rows, "mean_max": MeanMax}


def parameter_groups(net: GenreClassifier) -> list[dict[str, Any]]:
    """Returns `net`'s trainable parameters as optimizer groups, one per weight decay.

    The original adds l2 * sum(w^2) to its loss, whose gradient is 2 * l2 * w. Adam adds weight_decay * w to the
    gradient, so weight_decay = 2 * l2. (AdamW's decay is decoupled from the gradient and needs other rates.)
    """
    penalties = _penalties(net)
    trainable = [parameter for parameter in net.parameters() if parameter.requires_grad]
    groups = grouped((2 * penalties.get(parameter, 0.0), parameter) for parameter in trainable)
    return [{"params": groups[decay], "weight_decay": decay} for decay in sorted(groups)]


def _penalties(net: GenreClassifier) -> dict[Tensor, float]:
    """Returns the l2 penalty of each penalised kernel: the backbone's convolutions and each stack's first dense layer.

    As in the original, biases, batch norms, SE gates, LSTMs, attention and later dense layers have no penalty.
    """
    penalties = {m.weight: net.config.l2_backbone for m in net.backbone.modules() if isinstance(m, nn.Conv2d)}
    for stack, l2 in ((net.projection, net.config.l2_projection), (net.head, net.config.l2_head)):
        first = next((module for module in stack if isinstance(module, nn.Linear)), None)
        if first is not None:
            penalties[first.weight] = l2
    return penalties


def _dense_stack(widths: Sequence[int], dropouts: Sequence[float]) -> nn.Sequential:
    """(N, widths[0]) -> (N, widths[-1]): Dense, ReLU, BatchNorm (Keras's epsilon) and Dropout for each width."""
    layers: list[nn.Module] = []
    for (units_in, units), dropout in zip(pairwise(widths), dropouts, strict=True):
        layers += [nn.Linear(units_in, units), nn.ReLU(), nn.BatchNorm1d(units, eps=1e-3), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


def _glorot(module: nn.Module) -> None:
    """Initialises a layer as Keras does by default: Glorot-uniform kernels, zero biases (Glorot and Bengio 2010)."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _check(config: ModelConfig) -> None:
    for key, known in (("backbone", BACKBONES), ("frequency_pooling", FREQUENCY_POOLINGS)):
        require(getattr(config, key) in known, config, key, f"expected {' or '.join(known)}")
    of_heads = f"give one rate for each of head_units={list(config.head_units)}"
    require(len(config.head_units) == len(config.head_dropout), config, "head_dropout", of_heads)
    require(bool(config.lstm_units), config, "lstm_units", "give at least one BiLSTM")
    heads, units = config.attention_heads, 2 * config.lstm_units[-1]
    require(units % heads == 0, config, "attention_heads", f"must divide {units}, twice the last of lstm_units")


def _check_time_pool(config: ModelConfig, reduction: int) -> None:
    """Checks that each time step covers the same number of a segment's columns and that no column is left over."""
    known = [n for n in range(1, SEGMENT_COLUMNS + 1) if not SEGMENT_COLUMNS % (n * reduction)]
    why = f"a segment has {SEGMENT_COLUMNS} columns, and backbone={config.backbone} reduces them by {reduction}"
    require(config.time_pool in known, config, "time_pool", f"give one of {', '.join(map(str, known))}: {why}")

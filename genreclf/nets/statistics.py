"""Statistics of the bands, timbre and rhythm of a whole segment, without order in time.

Numbers without another source were chosen on the five GTZAN folds.
"""

import math
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genreclf.frontend.log_mel import N_BANDS

REFERENCE_BANDS = 110  # up to 6.8 kHz, which every sample rate from 16 kHz on contains
REACH = 4.0  # standard deviations: clips the holes that codecs leave
LEAST_DEVIATION = 1.0  # levels
PERCENTILES = (10.0, 50.0, 90.0)
CEPSTRA = 20  # as in Mandel and Ellis 2005
RHYTHM_GROUPS = 16  # groups of bands, equal in size
RHYTHM_CEPSTRA = 12
# Cycles per segment: edges of ranges that widen with the rate. In a 10 s segment they are 0.1 Hz to 12.8 Hz.
CYCLES = (1, 2, 3, 5, 7, 11, 17, 25, 38, 57, 85, 128)
# Divisors that give the statistics standard deviations near 1, for float16 and the epsilon of the batch norm.
_LEVEL_UNIT = 16.0  # of levels
_UNIT = 0.4  # of standardized levels
_FLOOR = 1e-3  # added to a mean amplitude before its logarithm
_QUIET = 0.1  # in `_UNIT`: a band with a smaller deviation is silent
# Shares of silent bands: the gate of `StatisticsBranch` is open up to the first and closed from the second on.
MISSING = (0.15, 0.75)
# The weight of each group of `SegmentStatistics` in the SVM's kernel. Level and deviation describe the recording more
# than the music.
GROUP_WEIGHTS = (1.0, 1.0, 1.0, 0.25)
Constants = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # see `_constants`


class SegmentStandardize(nn.Module):
    """Standardizes a segment's levels: subtracts their mean and divides by their standard deviation.

    The levels of a clip are stretched to 0..255, so missing treble or some noise shifts all of them. The result here
    does not depend on that. Mean and deviation are computed over the bands below 6.8 kHz.
    """

    def __init__(self) -> None:
        super().__init__()
        # An attribute: TorchScript cannot read a module's constants.
        self.reference_bands, self.reach, self.least = REFERENCE_BANDS, REACH, LEAST_DEVIATION

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, bands, W) float levels -> the same shape in [-4, 4], and mean and deviation in levels, (B, C, 1, 1).

        The deviation is at least 1, so silence becomes 0.
        """
        mean = x[:, :, : self.reference_bands].mean(dim=(2, 3), keepdim=True)
        x = x - mean
        # Not `std`, which takes thirty times as long on a CPU.
        deviation = x[:, :, : self.reference_bands].square().mean(dim=(2, 3), keepdim=True).sqrt().clamp(min=self.least)
        return (x / deviation).clamp(-self.reach, self.reach), mean, deviation

    def scaled(self, x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        """Standardizes (B, C, H, N) levels with the mean and deviation that `forward` returned."""
        return ((x - mean) / deviation).clamp(-self.reach, self.reach)


class BandStatistics(nn.Module):
    """Six statistics of each band of a segment, in the unit of the levels.

    They are the mean, the standard deviation, the mean absolute change from column to column, and three percentiles
    (after Tzanetakis and Cook 2002).
    """

    def __init__(self) -> None:
        super().__init__()
        self.quantiles = [percentile / 100 for percentile in PERCENTILES]
        self.num_features = N_BANDS * (3 + len(PERCENTILES))
        self.groups, self.group_weights = [self.num_features], [1.0]

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 128, W) uint8 or float levels, channels equal, W at least 2 -> (B, 6 * 128), grouped by statistic."""
        levels = x[:, 0]  # (B, 128, W)
        return self.statistics(_as_float(levels), self.neighbours(levels))

    def neighbours(self, levels: Tensor) -> Tensor:
        """(B, 128, W) uint8 or float -> (B, 128, 6) float: for each percentile, the levels below and above it."""
        last = levels.shape[2] - 1
        places: list[int] = []
        for quantile in self.quantiles:
            low = int(quantile * last)
            places += [low, min(low + 1, last)]
        return _ordered(levels, places)

    def statistics(self, levels: Tensor, neighbours: Tensor) -> Tensor:
        """(B, 128, W) float levels, in any unit, and their `neighbours` -> (B, 6 * 128)."""
        changes = (levels[:, :, 1:] - levels[:, :, :-1]).abs()
        mean = levels.mean(2, keepdim=True)
        deviation = (levels - mean).square().mean(2).sqrt()  # not `std`, which takes ten times as long on a CPU
        statistics = [mean[:, :, 0], deviation, changes.mean(2)]
        for number, quantile in enumerate(self.quantiles):
            position = quantile * (levels.shape[2] - 1)
            low, high = neighbours[:, :, 2 * number], neighbours[:, :, 2 * number + 1]
            statistics.append(torch.lerp(low, high, position - int(position)))
        return torch.cat(statistics, 1)


def _as_float(levels: Tensor) -> Tensor:
    return levels if levels.is_floating_point() else levels.float()


def _ordered(levels: Tensor, places: list[int]) -> Tensor:
    """(B, 128, W) -> (B, 128, P) float: the levels at these places after each band is sorted in ascending order."""
    if not torch.jit.is_scripting():
        graph = torch.jit.is_tracing() or torch.compiler.is_compiling() or levels.requires_grad
        if levels.device.type == "cpu" and not graph:
            ordered = torch.from_numpy(np.sort(_as_float(levels).numpy(), axis=2))  # thirty times as fast as torch's
            return ordered[:, :, places]
    if levels.dtype == torch.uint8 and levels.device.type == "cpu":
        return _counted(levels, places)
    ordered = _as_float(levels).sort(2)[0]
    # Not indexed with `places`: a GPU would wait for their transfer, which a CUDA graph cannot record.
    return torch.stack([ordered[:, :, place] for place in places], 2)


def _counted(levels: Tensor, places: list[int]) -> Tensor:
    """Like `_ordered`, for uint8, by counting each level: sorting takes onnxruntime as long as the rest of a net."""
    counts = torch.zeros(levels.shape[0], levels.shape[1], 256, dtype=torch.int32, device=levels.device)
    counts = counts.scatter_add(2, levels.long(), torch.ones_like(levels, dtype=torch.int32))
    up_to = counts.cumsum(2, dtype=torch.int32)  # (B, 128, 256): numbers of columns up to each level
    return torch.stack([(up_to <= place).float().sum(2) for place in places], 2)


class SegmentStatistics(nn.Module):
    """Statistics of a segment in four `groups`; the first three are computed from the standardized segment.

    Bands: `BandStatistics`. Timbre: the means of 20 cepstra, and the signed square roots of the covariances of the
    cepstra and of their changes (Mandel and Ellis 2005; roots as in Lin et al. 2017, because covariances are
    heavy-tailed). Rhythm: the logarithmic modulation amplitudes of groups of bands and of the first cepstra, in ranges
    of modulation rates (McKinney and Breebaart 2003). Level: the mean and the deviation of the levels.
    """

    def __init__(self) -> None:
        super().__init__()
        # Attributes: TorchScript cannot read a module's constants.
        self.level_unit, self.unit, self.floor, self.cepstra = _LEVEL_UNIT, _UNIT, _FLOOR, CEPSTRA
        self.rhythm_groups, self.rhythm_cepstra = RHYTHM_GROUPS, RHYTHM_CEPSTRA
        self.standardize = SegmentStandardize()
        self.bands = BandStatistics()
        self.ranges = list(pairwise(CYCLES))
        timbre = CEPSTRA + CEPSTRA * (CEPSTRA + 1)  # the upper triangles of two square matrices
        rhythm = (RHYTHM_GROUPS + RHYTHM_CEPSTRA) * len(self.ranges)
        self.groups, self.group_weights = [self.bands.num_features, timbre, rhythm, 2], list(GROUP_WEIGHTS)
        self.num_features = sum(self.groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 128, W) uint8 or float levels in [0, 255], channels equal, W at least 3 -> (B, num_features) float."""
        neighbours = self.bands.neighbours(x[:, 0])[:, None]  # (B, 1, 128, 6)
        x, mean, deviation = self.standardize(_as_float(x[:, :1]))  # (B, 1, 128, W), (B, 1, 1, 1), (B, 1, 1, 1)
        x, neighbours = x / self.unit, self.standardize.scaled(neighbours, mean, deviation) / self.unit
        levels = x[:, 0]  # (B, 128, W)
        cosines, waves, ranges, sizes, upper = self._constants(levels)
        cepstra = cosines @ levels  # (B, 20, W)
        groups = levels.unflatten(1, [self.rhythm_groups, -1]).mean(2)  # (B, 128, W) -> (B, 16, 8, W) -> (B, 16, W)
        return torch.cat(
            [
                self.bands.statistics(levels, neighbours[:, 0]),
                cepstra.mean(2),
                self._covariances(cepstra, cepstra[:, :, 2:] - cepstra[:, :, :-2], upper),
                self._rhythm(torch.cat([groups, cepstra[:, : self.rhythm_cepstra]], 1), waves, ranges, sizes),
                torch.cat([mean, deviation], 1).flatten(1) / self.level_unit,  # (B, 2, 1, 1) -> (B, 2)
            ],
            1,
        )

    def _covariances(self, series: Tensor, changes: Tensor, upper: Tensor) -> Tensor:
        """(B, 20, W) each -> (B, 420) signed square roots of the covariances of the series, then of their changes."""
        both = torch.stack([_covariance(series), _covariance(changes)], 1).flatten(2)  # (B, 2, 20, 20) -> (B, 2, 400)
        pairs = both[:, :, upper].flatten(1)  # (B, 2, 210) -> (B, 420)
        return pairs.sign() * pairs.abs().sqrt()

    def _rhythm(self, series: Tensor, waves: Tensor, ranges: Tensor, sizes: Tensor) -> Tensor:
        """(B, N, W) -> (B, N * 11): the logarithm of the mean modulation amplitude in each range of rates."""
        centred = series - series.mean(2, keepdim=True)
        power = (centred @ waves).square().unflatten(2, [2, -1]).sum(2)  # (B, N, 254) -> (B, N, 2, 127) -> (B, N, 127)
        # Divide after the sum: under autocast, weights of 1 / size would be rounded.
        means = (power.sqrt() @ ranges) / sizes  # (B, N, 11)
        return (means + self.floor).log().flatten(1)

    def _constants(self, levels: Tensor) -> Constants:
        """Returns `_constants` for (B, bands, W) levels, computed only once in eager mode."""
        if not torch.jit.is_scripting():  # a separate statement, so that TorchScript does not compile the rest
            at_once = not (torch.jit.is_tracing() or torch.compiler.is_compiling())
            if at_once:
                return _kept_constants(levels.shape[1], levels.shape[2], levels.dtype, levels.device)
        return _constants(levels, self.cepstra, self.ranges)


@cache
def _kept_constants(bands: int, columns: int, dtype: torch.dtype, device: torch.device) -> Constants:
    with torch.inference_mode(False):  # also used outside of inference mode
        levels = torch.empty(1, bands, columns, dtype=dtype, device=device)
        return _constants(levels, CEPSTRA, list(pairwise(CYCLES)))


def _constants(levels: Tensor, cepstra: int, ranges: list[tuple[int, int]]) -> Constants:
    """Returns the constants of `SegmentStatistics` for (B, bands, W) levels.

    They are not buffers, because a bundle would have to check those. They are the cosines of the cepstra, (cepstra,
    bands); the cosines and sines of the modulation rates, (W, 2 * rates); 1 or 0 for each rate, from 1 on, that is in a
    range or not, (rates, ranges); the number of rates times columns in each range, (ranges,); and the flat indices of
    the upper triangle of a (cepstra, cepstra) matrix.
    """
    columns, last = levels.shape[2], ranges[-1][1]
    rates = torch.arange(1, last, dtype=levels.dtype, device=levels.device)
    times = (torch.arange(columns, dtype=levels.dtype, device=levels.device) + 0.5) / columns
    angles = 2 * math.pi * torch.outer(times, rates)  # (W, 127)
    inside = torch.stack([(rates >= low) & (rates < high) for low, high in ranges], 1)  # (127, 11)
    pairs = torch.triu_indices(cepstra, cepstra, device=levels.device)
    waves = torch.cat([angles.cos(), angles.sin()], 1)
    sizes = inside.sum(0) * columns
    return _cosines(cepstra, levels), waves, inside.to(levels.dtype), sizes, cepstra * pairs[0] + pairs[1]


def _covariance(series: Tensor) -> Tensor:
    """(B, N, W) -> (B, N, N)."""
    centred = series - series.mean(2, keepdim=True)
    return centred @ centred.transpose(1, 2) / series.shape[2]


def _cosines(count: int, like: Tensor) -> Tensor:
    """(B, bands, W) -> (count, bands): the first rows of the orthonormal DCT-II over the bands, with `like`'s dtype."""
    bands = like.shape[1]
    rows = torch.arange(count, dtype=like.dtype, device=like.device)
    positions = torch.arange(bands, dtype=like.dtype, device=like.device) + 0.5
    scale = torch.where(rows == 0, math.sqrt(1 / bands), math.sqrt(2 / bands))
    return scale[:, None] * torch.outer(rows, math.pi / bands * positions).cos()


class StatisticsBranch(nn.Module):
    """A segment's statistics, each normalised and clipped to five deviations -> dense layer of `units` -> logits.

    They include the bands from `first_band` on, which the backbone does not read. In music without these bands, from a
    telephone or an old codec, the statistics are uninformative. A gate therefore lowers their weight by the share of
    these bands that are silent, among those that were not silent in training.
    """

    def __init__(self, units: int, dropout: float, num_classes: int, first_band: int) -> None:
        super().__init__()
        self.statistics = SegmentStatistics()
        features = self.statistics.num_features
        self.norm: Any = nn.BatchNorm1d(features, affine=False)
        self.within = nn.Hardtanh(-5.0, 5.0)  # clips outliers in music unlike the training data
        self.dense: Any = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(features, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Dropout(dropout)
        )
        self.head = nn.Linear(units, num_classes)
        # Attributes: TorchScript cannot read a module's constants.
        self.first_band, self.quiet, self.missing = first_band, _QUIET, MISSING
        self.band_shape = [3 + len(PERCENTILES), N_BANDS]  # the order of `BandStatistics`

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 128, W) uint8 or float levels in [0, 255] -> logits (B, num_classes) and gate (B, 1) in [0, 1]."""
        statistics = self.statistics(x).to(self.dense[1].weight.dtype)
        return self.head(self.dense(self.within(self.norm(statistics)))), self._gate(statistics)

    def _gate(self, statistics: Tensor) -> Tensor:
        """(B, num_features) -> (B, 1) in [0, 1]; 1 where the backbone reads all bands."""
        size = self.band_shape[0] * self.band_shape[1]
        bands = statistics[:, :size].unflatten(1, self.band_shape)[:, :, self.first_band :]  # (B, 768) -> (B, 6, bands)
        usual = self.norm.running_mean[:size].unflatten(0, self.band_shape)[:, self.first_band :]  # (6, bands)
        # Uses the range of the percentiles: a mask in time gives a silent band a nonzero deviation.
        had_sound = usual[5] - usual[3] > self.quiet  # (bands,)
        silent = bands[:, 1] < self.quiet  # (B, bands); uses the deviation: treble may be rare
        missing = (silent & had_sound).sum(1, keepdim=True) / had_sound.sum().clamp(min=1)  # (B, 1)
        some, many = self.missing
        return ((many - missing) / (many - some)).clamp(0, 1)

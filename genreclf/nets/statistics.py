"""What a segment is like as a whole: figures of its bands, its timbre and its rhythm, in no order of time."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from genreclf.frontend.log_mel import N_BANDS

REFERENCE_BANDS = 110
REACH = 4.0  # deviations: below lie holes that codecs leave
LEAST_DEVIATION = 1.0  # levels
PERCENTILES = (10.0, 50.0, 90.0)
CEPSTRA = 20
RHYTHM_GROUPS = 16  # of bands, all of one size
RHYTHM_CEPSTRA = 12
# Cycles a segment, as edges of ranges that widen with the rate: in 10 s, 0.1 Hz to 12.8 Hz.
CYCLES = (1, 2, 3, 5, 7, 11, 17, 25, 38, 57, 85, 128)
_UNIT = 16.0  # levels: so the figures have deviations of about 1, which float16 and batch norm's epsilon want
_OWN_UNIT = 0.4  # of a segment's deviation: for the same reason, where levels are on the segment's own scale
_FLOOR = 1e-3
_QUIET = 0.1  # of the same unit: a band that moves by less does not sound
# Of the bands that a net does not hear: so many silent ones leave statistics their full weight, so many take all of it.
MISSING = (0.15, 0.75)
# How much each group of `SegmentStatistics` has to say: the scale is about the recording more than the music.
GROUP_WEIGHTS = (1.0, 1.0, 1.0, 0.25)


class SegmentStandardize(nn.Module):
    """Levels of a segment -> deviations from its own mean, so that it is the same however a clip was stretched to
    0..255: a missing treble or a little noise moves a clip's minimum, and with it each of its levels.

    Mean and deviation are of the bands below 6.8 kHz, which any rate from 16 kHz on holds, if there are more.
    """

    def __init__(self) -> None:
        super().__init__()
        # An attribute, as TorchScript sees no constant of a module.
        self.reference_bands, self.reach, self.least = REFERENCE_BANDS, REACH, LEAST_DEVIATION

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, bands, W) float levels -> the same in [-4, 4]; and (B, C, 1, 1) the mean and the deviation, in levels.

        The deviation counts as 1 at least, so that silence is 0 everywhere.
        """
        mean = x[:, :, : self.reference_bands].mean(dim=(2, 3), keepdim=True)
        x = x - mean
        # Not `std`, which takes thirty times as long on a CPU.
        deviation = x[:, :, : self.reference_bands].square().mean(dim=(2, 3), keepdim=True).sqrt().clamp(min=self.least)
        return (x / deviation).clamp(-self.reach, self.reach), mean, deviation


class BandStatistics(nn.Module):
    """Levels of a segment -> figures of each band: mean, deviation, mean absolute change from column to column, and
    percentiles, all on the scale of the levels (Tzanetakis and Cook 2002 began so).
    """

    def __init__(self) -> None:
        super().__init__()
        self.shares = [percentile / 100 for percentile in PERCENTILES]
        self.num_features = N_BANDS * (3 + len(PERCENTILES))
        self.groups, self.group_weights = [self.num_features], [1.0]

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 128, W) float levels, all channels alike, W at least 2 -> (B, num_features)."""
        levels = x[:, 0]  # (B, 128, W)
        changes = (levels[:, :, 1:] - levels[:, :, :-1]).abs()
        figures = [levels.mean(2), levels.std(2, correction=0), changes.mean(2)]
        ordered = levels.sort(2)[0]
        for share in self.shares:
            place = share * (levels.shape[2] - 1)
            low = int(place)
            high = min(low + 1, levels.shape[2] - 1)
            figures.append(torch.lerp(ordered[:, :, low], ordered[:, :, high], place - low))
        return torch.cat(figures, 1)


class SegmentStatistics(nn.Module):
    """Levels of a segment -> figures of it, in four `groups`; all but the last are of the segment on its `SegmentStandardize`.

    `BandStatistics`; timbre as the mean of 20 cepstra and the signed roots of the covariances of them and of their
    changes (Mandel and Ellis 2005; roots as in Lin et al. 2017, for covariances have long tails); rhythm as the
    logarithm of how strongly groups of bands, and the first cepstra, swing at each rate (McKinney and Breebaart 2003);
    and the scale itself: the mean and the deviation that levels are measured from and in.
    """

    def __init__(self) -> None:
        super().__init__()
        # TorchScript sees no constant of a module, but those of a class.
        self.unit, self.own_unit, self.floor, self.cepstra = _UNIT, _OWN_UNIT, _FLOOR, CEPSTRA
        self.rhythm_groups, self.rhythm_cepstra = RHYTHM_GROUPS, RHYTHM_CEPSTRA
        self.standardize = SegmentStandardize()
        self.bands = BandStatistics()
        self.ranges = list(pairwise(CYCLES))
        timbre = CEPSTRA + CEPSTRA * (CEPSTRA + 1)  # the upper triangles of two square matrices
        rhythm = (RHYTHM_GROUPS + RHYTHM_CEPSTRA) * len(self.ranges)
        self.groups, self.group_weights = [self.bands.num_features, timbre, rhythm, 2], list(GROUP_WEIGHTS)
        self.num_features = sum(self.groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 128, W) float levels in [0, 255], all channels alike, W at least 3 -> (B, num_features)."""
        x, mean, deviation = self.standardize(x[:, :1])  # (B, 1, 128, W), (B, 1, 1, 1), (B, 1, 1, 1)
        x = x / self.own_unit
        levels = x[:, 0]  # (B, 128, W)
        cepstra = _cosines(self.cepstra, levels) @ levels  # (B, 20, W)
        groups = levels.unflatten(1, [self.rhythm_groups, -1]).mean(2)  # (B, 16, 8, W) -> (B, 16, W)
        return torch.cat(
            [
                self.bands(x),
                cepstra.mean(2),
                self._covariances(cepstra),
                self._covariances(cepstra[:, :, 2:] - cepstra[:, :, :-2]),
                self._rhythm(torch.cat([groups, cepstra[:, : self.rhythm_cepstra]], 1)),
                torch.cat([mean, deviation], 1).flatten(1) / self.unit,  # (B, 2, 1, 1) -> (B, 2)
            ],
            1,
        )

    def _covariances(self, series: Tensor) -> Tensor:
        """(B, 20, W) -> (B, 210) signed roots."""
        centred = series - series.mean(2, keepdim=True)
        covariances = centred @ centred.transpose(1, 2) / series.shape[2]  # (B, 20, 20)
        pairs = torch.triu_indices(self.cepstra, self.cepstra, device=series.device)
        upper = covariances[:, pairs[0], pairs[1]]
        return upper.sign() * upper.abs().sqrt()

    def _rhythm(self, series: Tensor) -> Tensor:
        """(B, N, W) -> (B, N * 11): the log of the mean amplitude of the series' swings in each range of rates."""
        columns, last = series.shape[2], self.ranges[-1][1]
        times = (torch.arange(columns, dtype=series.dtype, device=series.device) + 0.5) / columns
        cycles = torch.arange(1, last, dtype=series.dtype, device=series.device)
        angles = 2 * math.pi * torch.outer(times, cycles)  # (W, 127)
        centred = series - series.mean(2, keepdim=True)
        power = (centred @ angles.cos()).square() + (centred @ angles.sin()).square()  # (B, N, 127)
        swings = power.sqrt() / columns
        means = [swings[:, :, low - 1 : high - 1].mean(2) for low, high in self.ranges]
        return (torch.stack(means, 2) + self.floor).log().flatten(1)  # (B, N, 11) -> (B, N * 11)


def _cosines(count: int, like: Tensor) -> Tensor:
    """(count, bands): the first rows of the orthonormal DCT-II for (B, bands, W) of `like`.

    Reckoned anew each time: a buffer would be one more thing that a bundle has to hold, and might hold wrongly.
    """
    bands = like.shape[1]
    rows = torch.arange(count, dtype=like.dtype, device=like.device)
    places = torch.arange(bands, dtype=like.dtype, device=like.device) + 0.5
    scale = torch.where(rows == 0, math.sqrt(1 / bands), math.sqrt(2 / bands))
    return scale[:, None] * torch.outer(rows, math.pi / bands * places).cos()


class StatisticsBranch(nn.Module):
    """A segment's statistics, each normalised and held within five deviations -> dense layer of `units` -> logits.

    They lean on bands from `first_band` on, which the net beside them does not hear, and would speak of music without
    these, a telephone's or an old codec's, in ignorance. A gate closes the more of them are missing (`MISSING`), of
    those that sounded in training.
    """

    def __init__(self, units: int, dropout: float, num_classes: int, first_band: int) -> None:
        super().__init__()
        self.statistics = SegmentStatistics()
        features = self.statistics.num_features
        self.norm = nn.BatchNorm1d(features, affine=False)
        self.within = nn.Hardtanh(-5.0, 5.0)  # music unlike any in training shall not shout the rest down
        self.dense = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(features, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Dropout(dropout)
        )
        self.head = nn.Linear(units, num_classes)
        # Attributes, as TorchScript sees no constant of a module.
        self.first_band, self.quiet, self.missing = first_band, _QUIET, MISSING
        self.figures = [3 + len(PERCENTILES), N_BANDS]  # of each band, as `BandStatistics` orders them

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 128, W) levels in [0, 255] -> logits (B, num_classes), and how much they count, (B, 1) in [0, 1]."""
        statistics = self.statistics(x.to(self.dense[1].weight.dtype))
        return self.head(self.dense(self.within(self.norm(statistics)))), self._gate(statistics)

    def _gate(self, statistics: Tensor) -> Tensor:
        """(B, num_features) -> (B, 1) in [0, 1]. Where the net hears all bands it is open."""
        bands = self.figures[0] * self.figures[1]
        own = statistics[:, :bands].unflatten(1, self.figures)[:, :, self.first_band :]  # (B, 768) -> (B, 6, bands)
        usual = self.norm.running_mean[:bands].unflatten(0, self.figures)[:, self.first_band :]  # (768,) -> (6, bands)
        # From the lowest to the highest percentile, as a mask in time gives a silent band a deviation.
        sounded = usual[5] - usual[3] > self.quiet  # (bands,)
        silent = own[:, 1] < self.quiet  # (B, bands), by the deviation, as treble may be rare
        missing = (silent & sounded).sum(1, keepdim=True) / sounded.sum().clamp(min=1)  # (B, 1)
        some, many = self.missing
        return ((many - missing) / (many - some)).clamp(0, 1)

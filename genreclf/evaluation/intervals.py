"""Computes 95 % intervals of scores from clips or groups of clips: pure functions."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.stats import binomtest

DRAWS = 10_000
_DRAWS_AT_ONCE = 500

Interval = tuple[float, float]


def wilson(hits: int, n: int) -> Interval:
    """Returns the 95 % interval, in [0, 1], of a share of `n` >= 1 independent clips (Wilson 1927)."""
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def sum_by_group(per_clip: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Sums (N, ...) values per clip to (G, ...) float64 values per group."""
    distinct, index = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(distinct), *per_clip.shape[1:]))
    np.add.at(sums, index, per_clip)
    return sums


def drawn_groups(size: int, draws: int, at_once: int) -> Iterator[np.ndarray]:
    """Yields (draws, size) counts, `at_once` draws at a time: how often each group is drawn with replacement.

    Equal arguments give equal draws, so that the differences of two models are paired.
    """
    generator, shares = np.random.default_rng(0), np.full(size, 1 / size)
    for start in range(0, draws, at_once):
        yield generator.multinomial(size, shares, size=min(at_once, draws - start))


def bootstrap(sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Returns (10,000,) values of `statistic`, each from the (G, K) sums of G groups drawn with replacement.

    This is the cluster bootstrap (Field and Welsh 2007). Clips of one artist resemble each other, and new data would
    have new artists, so whole groups are drawn instead of clips. `statistic` maps (draws, K) sums to (draws,) values.
    """
    return np.concatenate([statistic(counts @ sums) for counts in drawn_groups(len(sums), DRAWS, _DRAWS_AT_ONCE)])


def clustered(sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Interval | None:
    """Returns the 95 % percentile interval of `bootstrap`, or None for a single group, which cannot be resampled."""
    if len(sums) < 2:
        return None
    return percentile_interval(bootstrap(sums, statistic))


def percentile_interval(values: np.ndarray) -> Interval:
    """Returns the 95 % interval of (draws,) values."""
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def mean_interval(values: np.ndarray, groups: Sequence[str]) -> Interval | None:
    """Returns the `clustered` interval of the mean of (N,) values, one per clip."""
    return clustered(sum_by_group(np.column_stack([np.ones(len(values)), values]), groups), mean_per_clip)


def mean_per_clip(sums: np.ndarray) -> np.ndarray:
    """Computes a statistic for `bootstrap`: (draws,) means from (draws, 2) numbers of clips and sums of values."""
    return np.asarray(sums[:, 1] / sums[:, 0])


def shown_interval(clustered: Interval | None, wilson: Interval | None) -> Interval | None:
    """Returns the interval that reports, cards and the app show: the clustered one, or Wilson's if that is degenerate.

    If all clips are correct, all draws are equal, and an interval of zero width would claim certainty.
    """
    return clustered if clustered and clustered[0] < clustered[1] else wilson

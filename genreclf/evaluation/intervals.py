"""How far a share measured on few clips may lie from the truth: pure functions."""

from collections.abc import Callable, Sequence

import numpy as np

COVERAGE_Z = 1.959963984540054  # 95 % of a normal distribution lie within so many deviations
DRAWS = 10_000
_DRAWS_AT_ONCE = 500
_TAILS = (2.5, 97.5)  # percentiles

Interval = tuple[float, float]


def wilson(hits: int, n: int) -> Interval:
    """The 95 % interval of a share of independent clips (Wilson 1927), in [0, 1]; all of it where `n` is 0."""
    if n == 0:
        return 0.0, 1.0
    z2 = COVERAGE_Z**2
    centre = (hits + z2 / 2) / (n + z2)
    half = COVERAGE_Z / (n + z2) * np.sqrt(hits * (n - hits) / n + z2 / 4)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def by_group(per_clip: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """(N, ...) figures of clips -> (G, ...) float64, their sums in each group."""
    place = np.unique(np.asarray(groups), return_inverse=True)[1]
    sums = np.zeros((place.max(initial=-1) + 1, *per_clip.shape[1:]))
    np.add.at(sums, place, per_clip)
    return sums


def resampled(sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], seed: int = 0) -> np.ndarray:
    """(G, K) sums of groups -> (10,000,) values of `statistic`, each of as many groups drawn with replacement.

    The cluster bootstrap (Field and Welsh 2007): clips by one artist are alike, and the next test would have other
    artists, so groups are drawn, not clips. `statistic` takes (draws, K) sums over all clips drawn, and gives (draws,).
    """
    generator, size = np.random.default_rng(seed), len(sums)
    values = []
    for start in range(0, DRAWS, _DRAWS_AT_ONCE):
        draws = min(_DRAWS_AT_ONCE, DRAWS - start)
        times = generator.multinomial(size, np.full(size, 1 / size), size=draws)  # (draws, G)
        values.append(statistic(times @ sums))
    return np.concatenate(values)


def clustered(sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], seed: int = 0) -> Interval | None:
    """The 95 % percentile interval of `resampled`; None where a single group leaves nothing to draw."""
    if len(sums) < 2:
        return None
    low, high = np.percentile(resampled(sums, statistic, seed), _TAILS)
    return float(low), float(high)

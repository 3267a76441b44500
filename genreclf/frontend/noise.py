"""Detects steady noise in a spectrogram: hiss, rain, applause or an untuned radio, of any colour, fading or not."""

from functools import cache

import numpy as np

from genreclf.frontend.log_mel import slaney_bands

# Without its slow gain, the bands of noise vary independently of each other, each by an amount that follows from its
# number of independent values. None of 3,720 pictures and 103 audio files of music, and of 5,656 pieces of 1 to 3 s of
# these files, meets all three limits.
_GAIN_COLUMNS = 11  # a quarter of a second: faster changes are rhythm
_NEAR_BANDS = 4  # share bins
_CORRELATED = 0.07
# Limits of the deviations' logarithmic distance from the expected ones, for three quarters of the bands, and of their
# excess, for nine tenths of the loud bands, which notes would change: a constant, and chance times 1 / sqrt(columns)
_SPREAD, _EXCESS = (0.06, 1.1), (0.17, 1.2)
_CHANGE = 4.0  # levels: bands whose standard deviation is smaller do not change
_MIN_BANDS = 6
_FIRST_BAND = 1  # below it, nearly all of the power of brown noise is that of one bin, so it varies more than expected
# Squared correlations between neighbouring bins of the spectrum of noise, with a Hann window (Harris 1978)
_BIN_CORRELATIONS = {1: 4 / 9, 2: 1 / 36}


def is_steady_noise(levels: np.ndarray, audible: np.ndarray, loud: np.ndarray, min_columns: int) -> bool:
    """Returns whether (128, columns) float32 levels change like those of noise.

    `audible` and `loud` select bands, (128,) bool. False for fewer than `min_columns`.
    """
    columns = levels.shape[1]
    changes = levels - _slow(levels[audible].mean(axis=0))
    changes -= changes.mean(axis=1, keepdims=True)
    deviations = np.sqrt(np.einsum("ij,ij->i", changes, changes) / columns)
    moves = audible & (deviations >= _CHANGE)
    moves[:_FIRST_BAND] = False
    if np.count_nonzero(moves) < _MIN_BANDS or columns < min_columns:
        return False
    if _between_bands(changes[moves] / deviations[moves, None]) >= _CORRELATED:
        return False
    differences = np.log(deviations[moves] / _expected_deviations()[moves])
    differences -= np.median(differences)
    excess = np.append(differences[loud[moves]], 0)  # none of the loud bands may move, as in hum
    spread_limit, excess_limit = (limit + chance / np.sqrt(columns) for limit, chance in (_SPREAD, _EXCESS))
    return bool(np.quantile(np.abs(differences), 0.75) < spread_limit and np.quantile(excess, 0.9) < excess_limit)


def _slow(gain: np.ndarray) -> np.ndarray:
    """Returns the moving average of (columns,), which is extrapolated beyond the ends."""
    margin = min(_GAIN_COLUMNS // 2, len(gain) - 1)
    longer = np.pad(gain, margin, mode="reflect", reflect_type="odd")
    return np.convolve(longer, np.full(2 * margin + 1, 1 / (2 * margin + 1)), "valid")


def _between_bands(changes: np.ndarray) -> float:
    """Returns the mean correlation of distant bands, from (bands, columns) with mean 0 and variance 1."""
    bands, columns = changes.shape
    together = changes.sum(axis=0)
    near = sum(np.vdot(changes[gap:], changes[: bands - gap]) for gap in range(1, _NEAR_BANDS))
    far = ((together @ together) / columns - bands) / 2 - near / columns
    return float(far / ((bands - _NEAR_BANDS) * (bands - _NEAR_BANDS + 1) / 2))


@cache
def _expected_deviations() -> np.ndarray:
    """Returns the standard deviation of each band's logarithm in white noise, (128,), in nepers of power.

    The power of a band is a weighted sum of bins, about a chi-squared variable; the variance of its logarithm is the
    trigamma function of half the degrees of freedom.
    """
    weights = slaney_bands()  # (1025, 128)
    squares = np.square(weights).sum(axis=0)
    for gap, correlation in _BIN_CORRELATIONS.items():
        squares += 2 * correlation * (weights[gap:] * weights[:-gap]).sum(axis=0)
    half = np.square(weights.sum(axis=0)) / squares  # of the degrees of freedom: 2 or more
    deviations: np.ndarray = np.sqrt(1 / half + 1 / (2 * half**2) + 1 / (6 * half**3))
    return deviations

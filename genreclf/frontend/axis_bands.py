"""Converts the rows of a plot, whose frequencies are known, to the 128 mel bands of the front end."""

import numpy as np

from genreclf.frontend.band_axis import NYQUIST_HZ, BandAxis
from genreclf.frontend.log_mel import FLOOR_DB, N_BANDS, N_FFT, band_of, slaney_bands

_COLUMNS_AT_ONCE = 4096


def to_bands(levels: np.ndarray, axis: BandAxis, range_db: float = -FLOOR_DB) -> np.ndarray:
    """Converts rows to bands: (rows, columns) uint8, low frequency first -> (128, columns) uint8, row 0 the lowest.

    Rows of the same band are averaged, a band without a row takes the nearest row, and bands above the axis are 0. The
    rows of linear and logarithmic axes are bins with a range of `range_db`, whose power is summed to bands.
    """
    if axis.kind in ("linear", "log"):
        return _bands_of_bins(levels, axis, range_db)
    place = np.array([band_of(hertz) for hertz in axis.hertz])
    if len(place) == N_BANDS and np.abs(place - np.arange(N_BANDS)).max() < 1e-6:
        return levels
    number = np.floor(place + 0.5 + 1e-6).astype(int)
    result = np.zeros((N_BANDS, levels.shape[1]), np.uint8)
    for band in range(N_BANDS):
        rows = np.flatnonzero(number == band)
        if len(rows):
            result[band] = np.rint(levels[rows].mean(axis=0))
        elif band < band_of(axis.top_hz):
            result[band] = levels[np.abs(place - band).argmin()]
    return result


def _bands_of_bins(levels: np.ndarray, axis: BandAxis, range_db: float) -> np.ndarray:
    bins, hertz = np.linspace(0, NYQUIST_HZ, N_FFT // 2 + 1), axis.hertz
    nearest = np.searchsorted((hertz[1:] + hertz[:-1]) / 2, bins)  # the row that shows each bin of the front end
    shown = bins <= axis.top_hz
    weights = np.zeros((len(hertz), N_BANDS))
    np.add.at(weights, nearest[shown], slaney_bands()[shown])
    decibels = np.empty((N_BANDS, levels.shape[1]), np.float32)
    for first in range(0, levels.shape[1], _COLUMNS_AT_ONCE):
        part = slice(first, first + _COLUMNS_AT_ONCE)
        power = 10 ** (range_db / 10 * (levels[:, part] / 255 - 1))
        decibels[:, part] = 10 * np.log10(np.maximum(weights.T @ power, 1e-20))
    decibels = np.maximum(decibels, decibels.max() + FLOOR_DB)
    low, high = decibels.min(), decibels.max()
    return np.asarray(np.rint((decibels - low) * (255 / max(high - low, 1e-6))), np.uint8)

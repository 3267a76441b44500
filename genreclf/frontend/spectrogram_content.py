"""Detects spectrograms without music: one level, test tones and noise, with a reason in one line.

Thresholds without another source were measured on 103 audio files and 709 pictures from GTZAN and 3,011 pictures of
other music. None of them is called unsuitable, and neither are the audio files if they are made 60 dB quieter.
"""

import numpy as np

from genreclf.frontend.content import HISS
from genreclf.frontend.noise import is_steady_noise

# The spectrum of hiss is smooth: least number of neighbouring bands, and limit for nearly all of their differences in
# levels (in music 8.4 or more).
_HISS_BANDS, _HISS_STEP = 16, 6.4
_LOUD = 30 * 255 / 80  # levels, 30 dB at most: only bands and columns within this distance of the loudest are judged
_EDGE_COLUMNS, _MIN_COLUMNS = 3, 10  # the window blurs the beginning and end
_STEADY = 4.0  # levels: the largest standard deviation of a loud band over time. In music 16.7 or more
_AUDIBLE = 60 * 255 / 80  # levels: only bands within this distance of the loudest are judged
# Columns without the edges: frames of a sound (0.7 s), and columns of a picture, which may show 3 s
_MIN_NOISE_FRAMES, _MIN_NOISE_COLUMNS = 30, 90
_GLIDE_STEPS = 128  # the most columns that are compared
_GLIDE = 0.8  # the share of steps in which the pitch keeps its direction
_NARROW = 8  # bands: the median number of loud bands in a column


def unsuitable_sound(by_level: str, levels: np.ndarray) -> str:
    """Returns why no genre can be predicted for a sound: `by_level`, confirmed if it is hiss, or by the spectrogram.

    `by_level` is the reason from `LevelMeter.unsuitable`.
    """
    if by_level and not (by_level.startswith(HISS) and not _is_smooth(levels)):
        return by_level
    return unsuitable_levels(levels, _MIN_NOISE_FRAMES)


def unsuitable_levels(levels: np.ndarray, min_noise_columns: int = _MIN_NOISE_COLUMNS) -> str:
    """Returns why a spectrogram, (128, columns) uint8, is not music (one level, a test tone or noise), or "".

    Noise is detected in at least `min_noise_columns`.
    """
    if levels.min() == levels.max():
        return "silence: one level throughout"
    values = levels.astype(np.float32)
    peaks = values.max(axis=0)
    loud = np.flatnonzero(peaks >= peaks.max() - _LOUD)
    inner = values[:, loud[0] + _EDGE_COLUMNS : loud[-1] + 1 - _EDGE_COLUMNS]
    if inner.shape[1] < _MIN_COLUMNS:
        return ""
    means = inner.mean(axis=1)
    loud_bands, audible_bands = means >= means.max() - _LOUD, means >= means.max() - _AUDIBLE
    if inner[loud_bands].std(axis=1).max() < _STEADY:
        return "test tone: the spectrum never changes"
    if _glides(inner):
        return "test tone: a single pitch that glides"
    if is_steady_noise(inner, audible_bands, loud_bands, min_noise_columns):
        return "noise: steady, without rhythm or pitch changes"
    return ""


def _is_smooth(levels: np.ndarray) -> bool:
    """Returns whether the spectrum is smooth, like that of steady noise of any colour."""
    means = levels.mean(axis=1)
    steps = np.abs(np.diff(means[means >= means.max() - _LOUD]))
    return len(steps) >= _HISS_BANDS and bool(np.quantile(steps, 0.9) < _HISS_STEP)


def _glides(levels: np.ndarray) -> bool:
    """Returns whether the centroid of the loud bands keeps moving in one direction. `levels` is (128, columns)."""
    columns = levels[:, np.linspace(0, levels.shape[1] - 1, min(_GLIDE_STEPS, levels.shape[1])).astype(int)]
    weights = np.maximum(columns - columns.max(axis=0) + _LOUD, 0)
    steps = np.diff(np.arange(len(levels)) @ weights / weights.sum(axis=0))
    narrow = np.median(np.count_nonzero(weights, axis=0)) <= _NARROW
    return bool(narrow and np.mean(steps[1:] * steps[:-1] > 0) > _GLIDE)

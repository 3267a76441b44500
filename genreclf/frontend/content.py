"""Detects clips without music: silence, clicks, test tones, noise and very short sounds, with a reason in one line.

Thresholds without another source were measured on 103 audio files and 709 pictures from GTZAN and 3,011 pictures of
other music. None of them is called unsuitable, and neither are the audio files if they are made 60 dB quieter.
"""

from collections.abc import Iterable

import numpy as np

# The first word of the reason if there is too little music to predict a genre, but enough to learn from.
TOO_SHORT = "short"

_BLOCK_SECONDS = 0.01
_BATCH_FRAMES = 2**16  # large, so that there are few computations
_SILENCE = 2**-15  # RMS: one step of 16-bit samples
# Hiss: quiet throughout, the loudest 10 ms hardly above the median (in music 1.65 times or more), and neighbouring
# bands alike: least number of them, and limit for nearly all of their differences in levels (in music 8.4 or more).
_HISS = "silence: nothing but hiss"
_HISS_RMS, _HISS_RATIO, _HISS_BANDS, _HISS_STEP = 10 ** (-70 / 20), 1.4, 16, 6.4
# Channels cancel if the energy of their mean, divided by the mean of their energies, is lower. It is 1 / 32 for 32
# channels that differ.
_CANCELLED = 0.01
_SOUND = 10 ** (-50 / 20)  # of the loudest 10 ms: anything louder is sound, as are all of GTZAN's clips
_CLICK_SECONDS = 0.05
_MIN_SECONDS = 1.0

_LOUD = 30 * 255 / 80  # levels, 30 dB at most: only bands and columns within this distance of the loudest are judged
_EDGE_COLUMNS, _MIN_COLUMNS = 3, 10  # the window blurs the beginning and end
_STEADY = 4.0  # levels: the largest standard deviation of a loud band over time. In music 16.7 or more
# Steady noise: the levels of bands that change are not correlated with other bands or over time, except for neighbours,
# which share bins or samples. The largest of three such correlations is 0.123 or more in all music of 30 s, and 0.091
# in 3 s of GTZAN; in 30 s of noise it is at most 0.05, and in 3 s mostly below 0.06.
_AUDIBLE = 60 * 255 / 80  # levels: only bands within this distance of the loudest are judged
_NEAR_BANDS, _NEAR_COLUMNS, _FAR_COLUMNS, _LAGS = 4, 4, 64, 20
_CORRELATED = 0.07
_MIN_CHANGING_BANDS, _MIN_NOISE_COLUMNS = 6, 90  # fewer are not enough to judge
_GLIDE_STEPS = 128  # the most columns that are compared
_GLIDE = 0.8  # the share of steps in which the pitch keeps its direction
_NARROW = 8  # bands: the median number of loud bands in a column


class LevelMeter:
    """Mixes blocks of samples to mono and measures their levels, in steps of 10 ms and without DC.

    The mix is the mean of the channels, or only `channel`.
    """

    def __init__(self, channel: int | None = None) -> None:
        self._channel, self._rate_hz = channel, 0
        self._pending, self._pending_frames = [np.zeros(0, np.float32)], 0
        self._rms: list[np.ndarray] = []  # RMS of steps
        self._offset = 0.0  # the largest DC of a step
        self._energies = np.zeros(1)  # by channel
        self._energy = 0.0  # of the channels' mean

    def mix(self, block: np.ndarray, rate_hz: int) -> np.ndarray:
        """Mixes a block to mono: (frames, channels) float32, full scale -1..1 -> (frames,)."""
        if rate_hz != self._rate_hz:
            self._measure()
            self._pending, self._rate_hz = [np.zeros(0, np.float32)], rate_hz
        mixed = block[:, self._channel or 0]
        if self._channel is None and block.shape[1] > 1:
            mixed = _mean(block)
            energies = np.einsum("ij,ij->j", block, block)
            self._energies = self._energies + energies if len(energies) == len(self._energies) else energies
            self._energy += float(np.vdot(mixed, mixed))
        self._pending.append(mixed)
        self._pending_frames += len(mixed)
        if self._pending_frames >= _BATCH_FRAMES:
            self._measure()
        return mixed

    def cancelled(self) -> int | None:
        """Returns the loudest channel if the channels cancel each other, or None if they do not."""
        if self._energy >= _CANCELLED * self._energies.mean():
            return None
        return int(np.argmax(self._energies))

    def note(self) -> str:
        """Returns a note if only one channel is used, or "" for the mean of all."""
        return "" if self._channel is None else f"channels that cancel: channel {self._channel + 1} used alone"

    def unsuitable(self) -> str:
        """Returns why no genre can be predicted, judged only by levels, or "" if the samples may be music."""
        self._measure()
        rms = np.concatenate([*self._rms, np.zeros(1)])
        loudest = float(rms.max())
        if loudest < _SILENCE:
            return "silence: a constant level (DC), no sound" if self._offset > _SILENCE else "silence: no sound"
        if loudest < _HISS_RMS and loudest < _HISS_RATIO * np.median(rms):
            return f"{_HISS} at {20 * np.log10(loudest):.0f} dB"
        runs = _runs(rms > _SOUND * loudest) * _BLOCK_SECONDS
        if runs.max() < _CLICK_SECONDS:
            return f"clicks: no sound lasts {_CLICK_SECONDS * 1000:.0f} ms"
        if runs.sum() < _MIN_SECONDS:
            return f"{TOO_SHORT}: {runs.sum():.2f} s of sound; a genre needs {_MIN_SECONDS:.0f} s or more"
        return ""

    def _measure(self) -> None:
        """Reduces the pending samples to steps, and keeps the rest."""
        if not self._rate_hz:
            return
        samples, size = np.concatenate(self._pending), max(2, round(_BLOCK_SECONDS * self._rate_hz))
        steps = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
        self._pending, self._pending_frames = [samples[steps.size :]], len(samples) - steps.size
        means = steps.mean(axis=1)
        self._rms.append(np.sqrt(np.maximum(np.einsum("ij,ij->i", steps, steps) / size - means**2, 0)))
        self._offset = max(self._offset, float(np.abs(means).max(initial=0)))


def unsuitable_sound(by_level: str, levels: np.ndarray) -> str:
    """Returns why no genre can be predicted for a sound: `by_level`, confirmed if it is hiss, or by the spectrogram.

    `by_level` is the reason from `LevelMeter.unsuitable`.
    """
    if by_level and not (by_level.startswith(_HISS) and not _is_smooth(levels)):
        return by_level
    return unsuitable_levels(levels)


def unsuitable_levels(levels: np.ndarray) -> str:
    """Returns why a spectrogram, (128, columns) uint8, is not music (one level, a test tone or noise), or ""."""
    if levels.min() == levels.max():
        return "silence: one level throughout"
    values = levels.astype(np.float32)
    peaks = values.max(axis=0)
    loud = np.flatnonzero(peaks >= peaks.max() - _LOUD)
    inner = values[:, loud[0] + _EDGE_COLUMNS : loud[-1] + 1 - _EDGE_COLUMNS]
    if inner.shape[1] < _MIN_COLUMNS:
        return ""
    means = inner.mean(axis=1)
    if inner[means >= means.max() - _LOUD].std(axis=1).max() < _STEADY:
        return "test tone: the spectrum never changes"
    if _glides(inner):
        return "test tone: a single pitch that glides"
    if _is_steady_noise(inner[means >= means.max() - _AUDIBLE]):
        return "noise: steady, without rhythm or pitch changes"
    return ""


def _is_steady_noise(levels: np.ndarray) -> bool:
    """Returns whether the levels, (bands, columns) float32, change randomly and independently in each band."""
    levels = levels - levels.mean(axis=1, keepdims=True)
    deviations = np.sqrt(np.einsum("ij,ij->i", levels, levels) / levels.shape[1])
    changing = levels[deviations >= _STEADY] / deviations[deviations >= _STEADY, None]
    bands, columns = changing.shape
    if bands < _MIN_CHANGING_BANDS or columns < _MIN_NOISE_COLUMNS or _between_bands(changing) >= _CORRELATED:
        return False
    lags = np.linspace(_NEAR_COLUMNS, min(_FAR_COLUMNS, columns // 3), _LAGS).astype(int)
    near, far = _over_time(changing, range(1, _NEAR_COLUMNS)), _over_time(changing, lags)
    # The mean square of chance correlations is 1 / columns, and more where neighbours are correlated (Bartlett 1946).
    by_chance = (1 + 2 * np.square(near).mean(axis=1).sum()) / columns
    of_bands, of_all = np.square(far).mean() - by_chance, np.abs(far.mean(axis=1)).max()
    return bool(of_bands < _CORRELATED**2 and of_all < _CORRELATED)


def _over_time(changes: np.ndarray, lags: Iterable[int]) -> np.ndarray:
    """Returns the autocorrelation of (bands, columns) with mean 0 and variance 1 at each lag: (lags, bands)."""
    columns = changes.shape[1]
    return np.array([np.einsum("ij,ij->i", changes[:, lag:], changes[:, :-lag]) / (columns - lag) for lag in lags])


def _between_bands(changes: np.ndarray) -> float:
    """Returns the mean correlation of distant bands, from (bands, columns) with mean 0 and variance 1."""
    bands, columns = changes.shape
    together = changes.sum(axis=0)
    near = sum(np.vdot(changes[gap:], changes[: bands - gap]) for gap in range(1, _NEAR_BANDS))
    far = ((together @ together) / columns - bands) / 2 - near / columns
    return float(far / ((bands - _NEAR_BANDS) * (bands - _NEAR_BANDS + 1) / 2))


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


def _mean(block: np.ndarray) -> np.ndarray:
    """Averages channels: (frames, channels) float32 -> (frames,).

    NumPy's mean over a short axis takes longer than decoding.
    """
    total: np.ndarray = block[:, 0] + block[:, 1]
    for channel in range(2, block.shape[1]):
        total += block[:, channel]
    total /= block.shape[1]
    return total


def _runs(sounds: np.ndarray) -> np.ndarray:
    """Returns the lengths of the runs of True in (steps,), followed by a 0."""
    edges = np.flatnonzero(np.diff(sounds, prepend=False, append=False))
    return np.append(edges[1::2] - edges[::2], 0)

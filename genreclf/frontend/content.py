"""Detects samples without music by their levels: silence, clicks and very short sounds, with a reason in one line.

Thresholds without another source were measured on 103 audio files and 709 pictures from GTZAN and 3,011 pictures of
other music. None of them is called unsuitable, and neither are the audio files if they are made 60 dB quieter.
"""

import numpy as np

# The first word of the reason if there is too little music to predict a genre, but enough to learn from.
TOO_SHORT = "short"

_BLOCK_SECONDS = 0.01
_BATCH_FRAMES = 2**16  # large, so that there are few computations
_SILENCE = 2**-15  # RMS: one step of 16-bit samples
# Hiss: quiet throughout, and the loudest 10 ms hardly above the median (in music 1.65 times or more).
HISS = "silence: nothing but hiss"
_HISS_RMS, _HISS_RATIO = 10 ** (-70 / 20), 1.4
# Channels cancel if the energy of their mean, divided by the mean of their energies, is lower. It is 1 / 32 for 32
# channels that differ.
_CANCELLED = 0.01
_SOUND = 10 ** (-50 / 20)  # of the loudest 10 ms: anything louder is sound, as are all of GTZAN's clips
_CLICK_SECONDS = 0.05
_MIN_SECONDS = 1.0


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
            return f"{HISS} at {20 * np.log10(loudest):.0f} dB"
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

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
# An offset (DC) is strong if its energy, divided by that of all samples, is higher. In music 0.003 or less; from
# about 0.1 on, the lowest band hides the others.
_STRONG_OFFSET = 0.01
_SOUND = 10 ** (-50 / 20)  # of the loudest 10 ms: anything louder is sound, as are all of GTZAN's clips
_CLICK_SECONDS = 0.05
_MIN_SECONDS = 1.0


class LevelMeter:
    """Mixes blocks of samples to mono and measures their levels, in steps of 10 ms and without DC.

    The mix is the mean of the channels, or only `channel`, after `offsets`, (channels,), were subtracted.
    """

    def __init__(self, channel: int | None = None, offsets: np.ndarray | None = None) -> None:
        self._channel, self._offsets, self._rate_hz = channel, offsets, 0
        self._pending, self._pending_frames = [np.zeros(0, np.float32)], 0
        self._rms: list[np.ndarray] = []  # RMS of steps
        self._offset = 0.0 if offsets is None else float(np.abs(offsets).max())  # the largest DC, of the file or a step
        self._frames, self._sums, self._energies = 0, np.zeros(1), np.zeros(1)  # by channel
        self._energy = 0.0  # of the channels' mean

    def mix(self, block: np.ndarray, rate_hz: int) -> np.ndarray:
        """Mixes a block to mono: (frames, channels) float32, full scale -1..1 -> (frames,)."""
        if rate_hz != self._rate_hz:
            self._measure()
            self._pending, self._rate_hz = [np.zeros(0, np.float32)], rate_hz
        channels = block.shape[1]
        if self._offsets is not None and len(self._offsets) == channels:
            block = block - self._offsets
        is_mean = self._channel is None and channels > 1
        mixed = _mean(block) if is_mean else block[:, min(self._channel or 0, channels - 1)]
        if self._channel is None:
            self._add_energies(block, mixed)
        self._pending.append(mixed)
        self._pending_frames += len(mixed)
        if self._pending_frames >= _BATCH_FRAMES:
            self._measure()
        return mixed

    def better(self) -> "LevelMeter | None":
        """Returns the meter to mix the sound again with, if an offset is strong or channels cancel each other."""
        if self._channel is not None:
            return None
        if self._offsets is None and self._has_strong_offset():
            return LevelMeter(offsets=(self._sums / self._frames).astype(np.float32))
        if self._energy < _CANCELLED * self._energies.mean():
            return LevelMeter(int(np.argmax(self._energies)), self._offsets)
        return None

    def note(self) -> str:
        """Returns a note on a subtracted offset, and on a channel that is used in place of the mean, or ""."""
        offset = "" if self._offsets is None else f"offset (DC) of {np.abs(self._offsets).max():.2g} subtracted"
        channel = "" if self._channel is None else f"channels that cancel: channel {self._channel + 1} used alone"
        return "; ".join(filter(None, [offset, channel]))

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

    def _has_strong_offset(self) -> bool:
        """Returns whether the means of the channels are large. In a short sound they may be parts of a vibration."""
        limit = _STRONG_OFFSET * self._frames * self._energies.sum()
        return self._frames >= _MIN_SECONDS * self._rate_hz and bool(self._sums @ self._sums > limit)

    def _add_energies(self, block: np.ndarray, mixed: np.ndarray) -> None:
        """Adds a block, (frames, channels), and its mean, (frames,)."""
        if block.shape[1] != len(self._sums):
            self._frames, self._sums, self._energies, self._energy = 0, np.zeros(1), np.zeros(1), 0.0
        self._frames += len(block)
        self._sums = self._sums + [channel.sum() for channel in block.T]  # pairwise, so that float32 is exact enough
        self._energies = self._energies + np.einsum("ij,ij->j", block, block)
        self._energy += float(np.vdot(mixed, mixed))

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

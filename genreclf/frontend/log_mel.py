"""The front end: converts a waveform to a uint8 log-mel spectrogram, in NumPy, for training, evaluation and prediction.

`exporters.torch_log_mel` implements the same definition for models that are exported with their front end.
"""

from functools import cache
from typing import Any

import numpy as np

from genreclf.frontend.audio import SAMPLE_RATE_HZ

N_FFT = 2048
HOP_SAMPLES = 512
N_BANDS = 128
FLOOR_DB = -80.0
FRAME_RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES
# OpenBLAS splits a matrix product over threads above 2**18 multiplications. Its threads then spin, which beside the
# decoding threads costs ten times the CPU time. 64 frames x 8 bands x at most 218 bins stay below.
_FRAMES_AT_ONCE = 64
_BANDS_AT_ONCE = 8
# Slaney's scale (Auditory Toolbox, 1998): 3 mel per 200 Hz up to 1 kHz, then 27 mel per factor of 6.4.
_LINEAR_HZ, _KNEE_HZ, _LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def band_of(hertz: float) -> float:
    """Returns the position of a frequency among the 128 bands. 0 is the centre of the lowest band."""
    return float(mel_of_hertz(hertz) / mel_of_hertz(SAMPLE_RATE_HZ / 2)) * (N_BANDS + 1) - 1


def slaney_bands() -> np.ndarray:
    """Returns each band's weights for the bins of the power spectrum, triangles of equal area: (1025, 128) float32."""
    edges = hertz_of_mel(np.linspace(0, mel_of_hertz(SAMPLE_RATE_HZ / 2), N_BANDS + 2))
    bins = np.linspace(0, SAMPLE_RATE_HZ / 2, N_FFT // 2 + 1)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    weights: np.ndarray = np.clip(np.minimum(rising, falling), 0, None) * 2 / (high - low)
    return weights.astype(np.float32)


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """Computes a log-mel spectrogram.

    (samples,) float32 at 22,050 Hz -> (128, 1 + samples // 512) uint8 levels, row 0 the lowest band. The steps are
    periodic Hann window, centred frames with zeros beyond the ends, power, 128 Slaney bands with Slaney norm (librosa's
    default front end, McFee et al. 2015), dB relative to the clip's maximum with a floor at -80 dB, then the clip's
    minimum..maximum scaled to 0..255 and rounded. A clip without contrast, such as silence, is 0 everywhere.
    """
    spectrogram = LogMel()
    spectrogram.add(waveform)
    return spectrogram.finished()


class LogMel:
    """Computes `log_mel` of a waveform in pieces, without keeping them: two hours of float32 samples take 635 MB."""

    def __init__(self) -> None:
        self._frames, self._samples = 0, 0  # frames computed, samples received
        self._power: list[np.ndarray] = []  # (128, 64) blocks
        self._waiting = np.zeros((_FRAMES_AT_ONCE - 1) * HOP_SAMPLES + N_FFT, np.float32)  # the samples of a block
        self._filled = N_FFT // 2  # frame k is centred on sample 512 k: half of the first window lies before the clip
        # Reused buffers: new ones would be returned to the system and mapped again for each block.
        self._windowed = np.empty((_FRAMES_AT_ONCE, N_FFT), np.float32)
        self._spectrum: Any = np.empty((_FRAMES_AT_ONCE, N_FFT // 2 + 1), np.complex64)  # NumPy types only complex128
        self._squares = np.empty(self._spectrum.shape, np.float32)

    def add(self, samples: np.ndarray) -> None:
        """Adds the next (samples,) float32."""
        self._samples += len(samples)
        while len(samples):
            count = min(len(samples), len(self._waiting) - self._filled)
            self._waiting[self._filled : self._filled + count] = samples[:count]
            self._filled += count
            samples = samples[count:]
            if self._filled == len(self._waiting):
                self._transform(_FRAMES_AT_ONCE)

    def finished(self) -> np.ndarray:
        """Returns the (128, frames) uint8 levels after all samples have been added."""
        frames = 1 + self._samples // HOP_SAMPLES
        while self._frames < frames:
            self._waiting[self._filled :] = 0
            self._transform(min(_FRAMES_AT_ONCE, frames - self._frames))
        levels = np.zeros((N_BANDS, frames), np.uint8)
        highest = max(block.max() for block in self._power)
        if min(block.min() for block in self._power) == highest:
            return levels
        for block in self._power:
            # The floor applies to the ratio, so that gain does not matter.
            block /= highest
            np.maximum(block, np.float32(10 ** (FLOOR_DB / 10)), out=block)
            np.log10(block, out=block)
            block *= 10
        low = min(block.min() for block in self._power)
        scale = 255 / (max(block.max() for block in self._power) - low)
        start = 0
        for block in self._power:
            block -= low
            block *= scale
            levels[:, start : start + block.shape[1]] = np.rint(block, out=block)
            start += block.shape[1]
        return levels

    def _transform(self, count: int) -> None:
        """Computes the power of the next `count` frames, and keeps the samples that the next block shares with it."""
        windows = np.lib.stride_tricks.sliding_window_view(self._waiting, N_FFT)[::HOP_SAMPLES]
        np.multiply(windows[:count], _hann(), out=self._windowed[:count])
        # norm="forward" scales by 1 / 2048, exactly. Without a factor of its own type, NumPy computes in float64.
        np.fft.rfft(self._windowed[:count], out=self._spectrum[:count], norm="forward")
        # (count, 1025) complex -> (count, 2050): real, imaginary, real, ...
        parts = self._spectrum[:count].view(np.float32)
        np.multiply(parts, parts, out=parts)
        np.add(parts[:, ::2], parts[:, 1::2], out=self._squares[:count])
        power = np.empty((N_BANDS, count), np.float32)
        for rows, bins, weights in _band_groups():
            np.matmul(weights, self._squares[:count, bins].T, out=power[rows])
        self._power.append(power)
        self._frames += count
        self._filled = len(self._waiting) - _FRAMES_AT_ONCE * HOP_SAMPLES
        self._waiting[: self._filled] = self._waiting[-self._filled :]


@cache
def _hann() -> np.ndarray:
    """Returns the periodic Hann window: (2048,) float32."""
    window: np.ndarray = 0.5 - 0.5 * np.cos(2 * np.pi / N_FFT * np.arange(N_FFT))
    return window.astype(np.float32)


@cache
def _band_groups() -> list[tuple[slice, slice, np.ndarray]]:
    """Returns groups of neighbouring bands, the bins where they are not 0, and their (bands, bins) weights.

    98 % of the whole matrix is 0.
    """
    groups, bands = [], slaney_bands().T  # (128, 1025)
    for first in range(0, N_BANDS, _BANDS_AT_ONCE):
        rows = slice(first, first + _BANDS_AT_ONCE)
        used = np.flatnonzero(bands[rows].any(axis=0))
        bins = slice(int(used[0]), int(used[-1]) + 1)
        groups.append((rows, bins, np.ascontiguousarray(bands[rows, bins])))
    return groups


def mel_of_hertz(hertz: float) -> float:
    """Converts Hz to mel, on Slaney's scale."""
    return hertz / _LINEAR_HZ if hertz < _KNEE_HZ else _KNEE_HZ / _LINEAR_HZ + np.log(hertz / _KNEE_HZ) / _LOG_STEP


def hertz_of_mel(mels: np.ndarray) -> np.ndarray:
    """Converts mel to Hz, on Slaney's scale."""
    above = mels - _KNEE_HZ / _LINEAR_HZ
    return np.where(above < 0, mels * _LINEAR_HZ, _KNEE_HZ * np.exp(_LOG_STEP * above))

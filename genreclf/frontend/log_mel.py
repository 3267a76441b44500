"""The front end: waveform -> uint8 log-mel spectrogram, in NumPy. Training, evaluation and prediction use this one.

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
# OpenBLAS splits a matrix product over threads above 2**18 multiplications. Its threads then spin, and beside decoding
# threads that costs ten times the CPU time. 64 frames x 8 bands x at most 218 bins stay below.
_FRAMES_AT_ONCE = 64
_BANDS_AT_ONCE = 8
# Slaney's scale (Auditory Toolbox, 1998): 3 mel for each 200 Hz up to 1 kHz, from there 27 for each factor of 6.4.
_LINEAR_HZ, _KNEE_HZ, _LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def band_of(hertz: float) -> float:
    """The position of a frequency among the 128 bands; 0 is the centre of the lowest band."""
    return float(_mel(hertz) / _mel(SAMPLE_RATE_HZ / 2)) * (N_BANDS + 1) - 1


def slaney_bands() -> np.ndarray:
    """(1025, 128) float32: the weight of each bin of the power spectrum in each band, triangles of equal area."""
    edges = _hertz(np.linspace(0, _mel(SAMPLE_RATE_HZ / 2), N_BANDS + 2))
    bins = np.linspace(0, SAMPLE_RATE_HZ / 2, N_FFT // 2 + 1)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    weights: np.ndarray = np.clip(np.minimum(rising, falling), 0, None) * 2 / (high - low)
    return weights.astype(np.float32)


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """(samples,) float32 at 22,050 Hz -> (128, 1 + samples // 512) uint8 levels, row 0 the lowest band.

    Periodic Hann window, centred frames with zeros beyond the ends, power, 128 Slaney bands with Slaney norm (librosa's
    default front end, McFee et al. 2015), dB relative to the clip's maximum with a floor at -80 dB, then the clip's
    minimum..maximum scaled to 0..255 and rounded. A clip without contrast, such as silence, is 0 everywhere.
    """
    power = _band_power(waveform)
    if power.min() == power.max():
        return np.zeros(power.shape, np.uint8)
    # In place: a copy of a two-hour clip takes 160 MB. The floor applies to the ratio, so that gain does not matter.
    power /= power.max()
    np.maximum(power, np.float32(10 ** (FLOOR_DB / 10)), out=power)
    decibels: np.ndarray = np.log10(power, out=power)
    decibels *= 10
    low, high = decibels.min(), decibels.max()
    decibels -= low
    decibels *= 255 / (high - low)
    np.rint(decibels, out=decibels)
    return decibels.astype(np.uint8)


def _band_power(waveform: np.ndarray) -> np.ndarray:
    window = _hann()
    power = np.empty((N_BANDS, 1 + len(waveform) // HOP_SAMPLES), np.float32)
    # Buffers that are reused: fresh ones would be returned to the system and mapped again for each block.
    windowed = np.empty((_FRAMES_AT_ONCE, N_FFT), np.float32)
    spectrum: Any = np.empty((_FRAMES_AT_ONCE, N_FFT // 2 + 1), np.complex64)  # NumPy 2.4 types only complex128
    squares = np.empty(spectrum.shape, np.float32)
    for start in range(0, power.shape[1], _FRAMES_AT_ONCE):
        block = power[:, start : start + _FRAMES_AT_ONCE]
        count = block.shape[1]
        np.multiply(_frames(waveform, start, count), window, out=windowed[:count])
        np.fft.rfft(windowed[:count], out=spectrum[:count])
        parts = spectrum[:count].view(np.float32)  # (count, 1025) complex -> (count, 2050): real, imaginary, real, ...
        np.multiply(parts, parts, out=parts)
        np.add(parts[:, ::2], parts[:, 1::2], out=squares[:count])
        for rows, bins, weights in _band_groups():
            np.matmul(weights, squares[:count, bins].T, out=block[rows])
    return power


def _frames(waveform: np.ndarray, start: int, count: int) -> np.ndarray:
    """(count, 2048) view of the frames from `start` on; frame k is centred on sample 512 k."""
    first = start * HOP_SAMPLES - N_FFT // 2
    end = first + (count - 1) * HOP_SAMPLES + N_FFT
    samples = waveform[max(first, 0) : end]
    if first < 0 or end > len(waveform):
        samples = np.pad(samples, (max(-first, 0), max(end - len(waveform), 0)))
    return np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP_SAMPLES]


@cache
def _hann() -> np.ndarray:
    """(2048,) float32: the periodic Hann window."""
    window: np.ndarray = 0.5 - 0.5 * np.cos(2 * np.pi / N_FFT * np.arange(N_FFT))
    return window.astype(np.float32)


@cache
def _band_groups() -> list[tuple[slice, slice, np.ndarray]]:
    """Neighbouring bands, the bins where they are not 0, and their (bands, bins) weights: 98 % of the matrix is 0."""
    groups, bands = [], slaney_bands().T  # (128, 1025)
    for first in range(0, N_BANDS, _BANDS_AT_ONCE):
        rows = slice(first, first + _BANDS_AT_ONCE)
        used = np.flatnonzero(bands[rows].any(axis=0))
        bins = slice(int(used[0]), int(used[-1]) + 1)
        groups.append((rows, bins, np.ascontiguousarray(bands[rows, bins])))
    return groups


def _mel(hertz: float) -> float:
    return hertz / _LINEAR_HZ if hertz < _KNEE_HZ else _KNEE_HZ / _LINEAR_HZ + np.log(hertz / _KNEE_HZ) / _LOG_STEP


def _hertz(mels: np.ndarray) -> np.ndarray:
    above = mels - _KNEE_HZ / _LINEAR_HZ
    return np.where(above < 0, mels * _LINEAR_HZ, _KNEE_HZ * np.exp(_LOG_STEP * above))

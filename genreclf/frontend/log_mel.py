"""The front end's numbers and its bands, and the whole of it in NumPy, for where torch is not wanted.

`spectrogram.LogMelSpectrogram` is the same for batches, any device and export.
"""

import numpy as np

from genreclf.frontend.audio import SAMPLE_RATE_HZ

N_FFT = 2048
HOP_SAMPLES = 512
N_BANDS = 128
FLOOR_DB = -80.0
FRAME_RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES
# Frames that a CPU transforms at once: their 1 MB of samples stays in its cache, which saves a third of the time.
CPU_FRAMES_AT_ONCE = 128
# Slaney's scale (Auditory Toolbox, 1998): 3 mel for each 200 Hz up to 1 kHz, from there 27 for each factor of 6.4.
_LINEAR_HZ, _KNEE_HZ, _LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def band_of(hertz: float) -> float:
    """Where a frequency lies among the 128 bands: 0 is the centre of the lowest."""
    return float(_mel(hertz) / _mel(SAMPLE_RATE_HZ / 2)) * (N_BANDS + 1) - 1


def slaney_bands() -> np.ndarray:
    """(1025, 128) float32: the weight of each bin of the power spectrum in each band, triangles of equal area."""
    edges = _hertz(np.linspace(0, _mel(SAMPLE_RATE_HZ / 2), N_BANDS + 2))
    bins = np.linspace(0, SAMPLE_RATE_HZ / 2, N_FFT // 2 + 1)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return (np.clip(np.minimum(rising, falling), 0, None) * 2 / (high - low)).astype(np.float32)


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """(samples,) float32 at 22,050 Hz -> (128, 1 + samples // 512) uint8 levels, as `LogMelSpectrogram` has them."""
    padded = np.pad(waveform, N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_SAMPLES]  # (frames, 2048)
    window = (0.5 - 0.5 * np.cos(2 * np.pi / N_FFT * np.arange(N_FFT))).astype(np.float32)
    bands = slaney_bands()
    power = np.empty((len(frames), N_BANDS), np.float32)
    for start in range(0, len(frames), CPU_FRAMES_AT_ONCE):
        spectrum = np.fft.rfft(frames[start : start + CPU_FRAMES_AT_ONCE] * window)  # (F, 1025)
        power[start : start + CPU_FRAMES_AT_ONCE] = (spectrum.real**2 + spectrum.imag**2).astype(np.float32) @ bands
    peak = power.max()
    if not peak:
        return np.zeros((N_BANDS, len(frames)), np.uint8)
    decibels = 10 * np.log10(np.maximum(power / peak, np.float32(10 ** (FLOOR_DB / 10))))
    low, high = decibels.min(), decibels.max()
    levels = (decibels - low) / (high - low) * 255 if high > low else np.zeros_like(decibels)
    return np.ascontiguousarray(np.round(levels).astype(np.uint8).T)  # (frames, 128) -> (128, frames)


def _mel(hertz: float) -> float:
    return hertz / _LINEAR_HZ if hertz < _KNEE_HZ else _KNEE_HZ / _LINEAR_HZ + np.log(hertz / _KNEE_HZ) / _LOG_STEP


def _hertz(mels: np.ndarray) -> np.ndarray:
    above = mels - _KNEE_HZ / _LINEAR_HZ
    return np.where(above < 0, mels * _LINEAR_HZ, _KNEE_HZ * np.exp(_LOG_STEP * above))

"""Converts an array of samples to mono float32 at 22,050 Hz."""

import numpy as np
import soxr

from genreclf.errors import GenreclfError
from genreclf.frontend.audio import SAMPLE_RATE_HZ, Audio
from genreclf.frontend.content import LevelMeter
from genreclf.frontend.limits import MAX_CHANNELS, MAX_SAMPLES, MAX_SECONDS, check_rate, checked_peak, duration


def read_samples(samples: np.ndarray, rate_hz: float) -> Audio:
    """Converts samples at `rate_hz` to mono at 22,050 Hz, mixed and resampled like those of a file.

    `samples` is (samples,), (samples, channels) or (channels, samples), integer or float of any scale. Raises
    GenreclfError for other shapes, if it is unclear which axis is time, if there are no samples or some are not finite,
    and for a rate or length beyond the limits of `limits`.
    """
    check_rate("samples", rate_hz)
    block = _block(samples)
    if len(block) > MAX_SECONDS * rate_hz or block.size > MAX_SAMPLES:
        raise GenreclfError(f"samples: longer than {duration(MAX_SECONDS)}; give shorter pieces")
    checked_peak("samples", block)
    meter, rate = LevelMeter(), round(rate_hz)
    mixed = meter.mix(block, rate)
    while better := meter.better():
        meter, mixed = better, better.mix(block, rate)
    waveform = mixed if rate_hz == SAMPLE_RATE_HZ else soxr.resample(mixed, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    if not waveform.size:
        raise GenreclfError(f"samples: {len(block)} are too few; give more")
    return Audio(rate, len(block) / rate_hz, meter.note(), meter.unsuitable(), 1.0, waveform)


def _block(samples: np.ndarray) -> np.ndarray:
    """Converts samples to (samples, channels) float32. Integers of 8 and 16 bits get the full scale -1..1."""
    kind = f"samples: {samples.dtype} of shape {samples.shape}"
    if samples.ndim not in (1, 2) or not samples.size or samples.dtype.kind not in "fiu":
        raise GenreclfError(f"{kind}; give numbers, (samples,), (samples, channels) or (channels, samples)")
    if samples.ndim == 1:
        samples = samples[:, None]
    if samples.shape[0] <= MAX_CHANNELS < samples.shape[1]:
        samples = samples.T
    elif samples.shape[1] > 1 and not samples.shape[1] <= MAX_CHANNELS < samples.shape[0]:
        raise GenreclfError(f"{kind}: unclear which axis is time; give 1 to {MAX_CHANNELS} channels of more samples")
    with np.errstate(over="ignore"):  # numbers beyond float32 become infinite, which is refused later
        block = samples.astype(np.float32)
    full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    if samples.dtype.kind == "u":  # the middle value is silence
        block -= full_scale
    if samples.dtype.kind in "iu" and samples.dtype.itemsize <= 2:
        block /= full_scale
    return block

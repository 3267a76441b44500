"""The limits on files and sounds that are read, and the messages for what exceeds them."""

import os
from pathlib import Path

import numpy as np

from genreclf.errors import GenreclfError

MAX_BYTES = 2 * 1024**3
MAX_SECONDS = 7_200
MAX_CHANNELS = 32
# As many 16-bit samples as fit into MAX_BYTES. A small file may contain far more, because silence compresses well.
MAX_SAMPLES = 2**30
MIN_SOURCE_RATE_HZ, MAX_SOURCE_RATE_HZ = 1_000, 768_000
# Above unscaled 32-bit integers (2e9); squares still fit into float32.
MAX_AMPLITUDE = 1e10


def check_input_file(path: Path, formats: str, max_bytes: int) -> None:
    """Raises GenreclfError unless `path` is a regular, readable file of at most `max_bytes`.

    The message suggests `formats`. (A pipe is not a regular file: opening it would wait for a writer.)
    """
    if not path.is_file():
        what = "not a regular file" if path.exists() else "a broken link" if path.is_symlink() else "no such file"
        raise GenreclfError(f"{path}: {what}; give a {formats} file")
    if not os.access(path, os.R_OK):
        raise GenreclfError(f"{path}: no permission to read it; change its permissions")
    if not path.stat().st_size:
        raise GenreclfError(f"{path}: empty; copy it again")
    if path.stat().st_size > max_bytes:
        raise GenreclfError(f"{path}: larger than {max_bytes / 1024**3:g} GiB; cut it into shorter files")


def check_rate(source: str, rate_hz: float) -> None:
    """Raises GenreclfError, naming `source`, for a sample rate outside the limits."""
    if not MIN_SOURCE_RATE_HZ <= rate_hz <= MAX_SOURCE_RATE_HZ:
        bounds = f"{MIN_SOURCE_RATE_HZ:,} to {MAX_SOURCE_RATE_HZ:,} Hz"
        raise GenreclfError(f"{source}: sample rate {rate_hz:,.10g} Hz; resample it to {bounds}")


def checked_peak(source: str, samples: np.ndarray) -> float:
    """Returns the largest absolute sample. Raises GenreclfError if one is not finite or too large."""
    peak = float(max(-samples.min(), samples.max()))
    if not peak <= MAX_AMPLITUDE:  # true for NaN, too
        raise GenreclfError(f"{source}: some samples are NaN, infinite or above 1e10; scale or repair them")
    return peak


def check_channels(path: Path, channels: int) -> None:
    """Raises GenreclfError for too many channels."""
    if channels > MAX_CHANNELS:
        raise GenreclfError(f"{path}: {channels} channels; mix it down to {MAX_CHANNELS} or fewer")


def check_length(path: Path, seconds: float, samples: float, max_seconds: float) -> None:
    """Raises GenreclfError if the file is too long. `samples` counts all channels."""
    if seconds > max_seconds:
        raise GenreclfError(f"{path}: longer than {duration(max_seconds)}; cut it into shorter files")
    if samples > MAX_SAMPLES:
        raise GenreclfError(f"{path}: more than {MAX_SAMPLES:,} samples in its channels; cut it or resample it")


def duration(seconds: float) -> str:
    """Formats a limit on the length, such as "2 hours"."""
    hours = seconds / 3600
    return f"{seconds:g} s" if hours < 1 else f"{hours:g} hour{'s' * (hours > 1)}"

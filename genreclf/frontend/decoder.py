"""What the two decoders of audio files have in common."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

UNRECOGNISED = "format not recognised"
NO_RATE = "its header gives no sample rate or no channels"


class UndecodableError(Exception):
    """A file that a decoder cannot read; the message is the reason."""


class Decoder(Protocol):
    """An opened file of audio, of which nothing is decoded yet. Opening one raises UndecodableError."""

    rate_hz: int  # as the header says
    channels: int  # as the header says
    header_seconds: float  # the length that the header says, 0 if it says none
    expected_seconds: float  # the same, but no more than the file's size allows
    header_tolerance_seconds: float  # a smaller difference from the decoded length is the format's granularity
    has_float_samples: bool  # they have no full scale
    is_certain: bool  # what it leaves out, no other decoder can read
    note: str  # what to know of the choice that was made in the file; empty for nothing

    def blocks(self) -> Iterator[tuple[np.ndarray, int]]:
        """(frames, channels) float32, full scale -1..1, and their sample rate, until the file ends or fails."""
        ...

    def unread_share(self) -> float:
        """After decoding: the share of the file that may hold more music."""
        ...

    def ends_inside_frame(self) -> bool:
        """After decoding: whether the file has fewer bytes than its last frame."""
        ...

    def close(self) -> None:
        """Frees the decoder; the file stays open."""
        ...

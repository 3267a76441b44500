"""The common interface of the decoders of audio files."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

UNRECOGNISED, NO_AUDIO = "format not recognised", "no audio stream"
NO_RATE = "its header gives no sample rate or no channels"


class UndecodableError(Exception):
    """Raised for a file that a decoder cannot read. The message is the reason."""


class Decoder(ABC):
    """An audio file that is opened but not decoded yet. Opening may raise UndecodableError."""

    rate_hz: int  # from the header
    channels: int  # from the header
    header_seconds: float = 0.0  # the length from the header, 0 if it gives none
    expected_seconds: float = 0.0  # the same, but at most what the file's size allows
    header_tolerance_seconds: float = 0.0  # smaller differences from the decoded length are the format's granularity
    has_float_samples: bool = False  # they have no full scale
    is_certain: bool = True  # whether no other decoder could read more of the file
    end: int = 0  # after decoding: the position in the file after the last sound, 0 if it is not known
    note: str = ""  # a note on the choice of a stream, or ""

    @abstractmethod
    def blocks(self) -> Iterator[tuple[np.ndarray, int]]:
        """Yields (frames, channels) float32, full scale -1..1, and their sample rate, until the file ends or fails."""

    @abstractmethod
    def unread_share(self) -> float:
        """Returns, after decoding, the share of the file that may contain more music."""

    def ends_inside_frame(self) -> bool:
        """Returns, after decoding, whether the file ends before its last frame does, if only the decoder knows."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Frees the decoder. The file stays open."""

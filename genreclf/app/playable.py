"""Converts an upload to a format that every browser can play."""

import io

import numpy as np
import soundfile

from genreclf.frontend.audio import SAMPLE_RATE_HZ, stream_audio
from genreclf.frontend.clip import upload_path
from genreclf.frontend.limits import MAX_SECONDS


def as_flac(content: bytes) -> bytes:
    """Returns a file's audio as FLAC: mono, 22,050 Hz, 16 bits. Raises GenreclfError if it cannot be read as audio."""
    with upload_path(content) as path:
        sink, _ = stream_audio(path, _Flac, MAX_SECONDS)
    return sink.finished()


class _Flac:
    """A `Sink` that keeps the waveform compressed: an hour takes about 60 MB."""

    def __init__(self) -> None:
        self._content = io.BytesIO()
        self._file = soundfile.SoundFile(self._content, "w", SAMPLE_RATE_HZ, 1, "PCM_16", format="FLAC")

    def add(self, samples: np.ndarray) -> None:
        """See `Sink`."""
        self._file.write(samples)

    def finished(self) -> bytes:
        """Returns the content of the finished file."""
        self._file.close()
        return self._content.getvalue()

"""Decodes audio with libsndfile, which is exact for uncompressed samples, FLAC and Vorbis."""

import os
import re
from collections.abc import Iterator
from io import FileIO

import numpy as np
import soundfile

from genreclf.frontend.decoder import NO_RATE, UNRECOGNISED, Decoder, UndecodableError
from genreclf.frontend.file_start import size_of

# A decoding error loses its block, so blocks are short. Uncompressed samples have no such errors, and long blocks are
# faster.
_BLOCK_FRAMES = 4_096
_UNCOMPRESSED_BLOCK_FRAMES = 65_536
_UNCOMPRESSED_SUBTYPES = ("PCM_", "FLOAT", "DOUBLE")
_UNCOMPRESSED_FORMATS = ("WAV", "WAVEX", "RF64", "AU", "AIFF")
_FLOAT_SUBTYPES = ("FLOAT", "DOUBLE")
# libsndfile's number of frames for a FLAC whose header gives none (written to a pipe). It cannot tell whether such a
# file is complete.
_UNKNOWN_FRAMES = 2**63 - 1
# Meanings of some of libsndfile's messages
_MEANINGS = {"Format not recognised": UNRECOGNISED, "Internal error : SF_INFO struct incomplete": NO_RATE}
# Writers that cannot seek (pipes) leave a placeholder of at least this value as the length in bytes.
_PLACEHOLDER_BYTES = 0x7FFF_F000


class _Stream(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no type hints
    """A file that is read only forwards, because soundfile would otherwise seek after each read."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder(Decoder):
    """A `Decoder` for files that pass `suits_libsndfile`. Raises UndecodableError if libsndfile cannot read one."""

    # Encoders may write a length that is one frame too long.
    header_tolerance_seconds = 0.1

    def __init__(self, handle: FileIO) -> None:
        self._handle = handle
        handle.seek(0)
        try:
            # From a path, libsndfile reads any .au, .vox or .gsm as headerless samples. From a Python file, it would
            # call back for every few kilobytes, which only one thread at a time can serve.
            self._file = _Stream(handle.fileno(), closefd=False)
        except soundfile.LibsndfileError as error:
            raise UndecodableError(_reason(error.error_string)) from error
        self.rate_hz, self.channels = self._file.samplerate, self._file.channels
        frames = self._file.frames
        if frames == _UNKNOWN_FRAMES:
            self._file.close()
            raise UndecodableError("its header gives no length")
        self.expected_seconds = frames / self.rate_hz
        self.header_seconds = self.expected_seconds * _header_bytes_share(self._file)
        self.has_float_samples = self._file.subtype in _FLOAT_SUBTYPES
        self.is_certain = self._file.format not in ("FLAC", "OGG")

    def blocks(self) -> Iterator[tuple[np.ndarray, int]]:
        """See `Decoder`."""
        file, frames = self._file, 0
        uncompressed = file.format in _UNCOMPRESSED_FORMATS and file.subtype.startswith(_UNCOMPRESSED_SUBTYPES)
        size = _UNCOMPRESSED_BLOCK_FRAMES if uncompressed else _BLOCK_FRAMES
        while True:
            try:
                # Do not read beyond the header's end: FLAC fails on a tag after it, which loses the last block.
                block = file.read(min(size, file.frames - frames), dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                return
            if not len(block):
                return
            frames += len(block)
            yield block, self.rate_hz

    def unread_share(self) -> float:
        """See `Decoder`."""
        return 1 - os.lseek(self._handle.fileno(), 0, os.SEEK_CUR) / size_of(self._handle)

    def close(self) -> None:
        """See `Decoder`."""
        self._file.close()


def _reason(message: str) -> str:
    """Returns why libsndfile does not open a file, on one line: some of its messages have two."""
    line = " ".join(message.split()).rstrip(".")
    return _MEANINGS.get(line, f"libsndfile: {line}")


def _header_bytes_share(file: _Stream) -> float:
    """Returns the ratio of the bytes promised by the header to the bytes in the file, at least 1.

    For WAV, W64, AU and AIFF, libsndfile limits the length to the file's size and writes both to its log.
    """
    # RF64 and W64 have only the line for the size of the whole file.
    lines = r"^ *(?:data|Data Size|SSND|Riff size|riff) *: (\d{1,10}) \(should be (\d{1,10})\)"
    cut = re.search(lines, file.extra_info, re.MULTILINE)
    if not cut:
        return 1.0
    header_bytes, file_bytes = int(cut[1]), int(cut[2])
    return max(1.0, header_bytes / file_bytes) if file_bytes and header_bytes < _PLACEHOLDER_BYTES else 1.0

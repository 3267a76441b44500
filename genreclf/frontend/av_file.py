"""Opens audio and video files with ffmpeg's libraries (PyAV), and nothing that they refer to."""

import functools
import io
import os
import re
from io import FileIO

import av
from av.container import InputContainer
from av.error import FFmpegError

from genreclf.frontend.decoder import NO_AUDIO, UNRECOGNISED, UndecodableError
from genreclf.frontend.file_start import size_of
from genreclf.frontend.tag_bytes import end_tag_bytes

# Formats that contain what they play: no playlists (concat, hls, dash), picture sequences, devices or scripts.
FORMATS = (
    *("aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dsf", "dts", "dtshd", "eac3", "flac", "flv"),
    *("iff", "loas", "matroska", "mlp", "mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "ogg", "oma", "rm", "shn"),
    *("tak", "truehd", "tta", "w64", "wav", "wv"),
)
_READ_BYTES = 2**17
# What the beginnings of files mean that ffmpeg does not recognise
_REASONS = {
    rb".{4}ftyp(avif|hei[cfsx]|hev[cx]|mi[af]1|msf1)": f"{NO_AUDIO}, only an AVIF or HEIC picture",
    rb".{4}ftyp": "its index is missing or damaged",
    rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\0-\x0f]": "an MP3 in free format, without a usual bit rate",
    rb"Creative Voi": "in the format VOC, which is not supported",
    rb"NIST_1A": "in the format NIST SPHERE, which is not supported",
    rb" paf|fap ": "in the format PAF, which is not supported",
    rb"MThd": "in the format MIDI, which has notes instead of sound",
}


class FilePart:
    """The part of the file interface that PyAV needs, for a file or its bytes from `begin` to `end`.

    It has no name, which would determine the format, and raises no errors, which PyAV would print. Tags at the end of
    the file are left out, because a cover would be decoded as damaged frames.
    """

    def __init__(self, handle: FileIO, begin: int = 0, end: int | None = None) -> None:
        self._handle, self._begin = handle, begin
        self.size = size_of(handle) - begin if end is None else end - begin
        self._readable = self.size - end_tag_bytes(handle) if end is None else self.size
        self.fault = ""
        handle.seek(begin)

    def tell(self) -> int:
        """Returns the position relative to `begin`."""
        return self._handle.tell() - self._begin

    def read(self, size: int) -> bytes:
        """Reads up to `size` bytes; none at the end and if the disk fails."""
        try:
            return self._handle.read(max(0, min(size, self._readable - self.tell())))
        except OSError as error:
            self.fault = f"reading fails: {error.strerror}"
            return b""

    def seek(self, offset: int, whence: int) -> int:
        """Moves to a position and returns it. Returns a negative number if it is not possible."""
        position = offset + {os.SEEK_CUR: self.tell(), os.SEEK_END: self._readable}.get(whence, 0)
        try:
            return self._handle.seek(self._begin + position) - self._begin if position >= 0 else -1
        except (OSError, OverflowError):
            return -1


def open_container(part: FilePart) -> InputContainer:
    """Opens a file. Names in its tags that are not UTF-8 contain surrogate escapes. Raises UndecodableError."""
    try:
        return av.open(
            part,
            "r",
            container_options={"format_whitelist": ",".join(FORMATS), "codec_whitelist": _audio_codecs()},
            metadata_errors="surrogateescape",
            buffer_size=_READ_BYTES,
            io_open=lambda *_: io.BytesIO(),  # no other file is opened
        )
    except FFmpegError as error:
        part.seek(0, os.SEEK_SET)
        head = part.read(12)
        reasons = (why for pattern, why in _REASONS.items() if re.match(pattern, head, re.DOTALL))
        raise UndecodableError(next(reasons, UNRECOGNISED)) from error


@functools.cache
def _audio_codecs() -> str:
    """Returns the names of the audio decoders. No picture is decoded to find out what a video contains."""
    return ",".join(name for name in sorted(av.codecs_available) if _is_audio_decoder(name))


def _is_audio_decoder(name: str) -> bool:
    try:
        return av.Codec(name, "r").type == "audio"
    except ValueError:  # the codec only encodes
        return False

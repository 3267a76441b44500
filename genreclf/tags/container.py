"""Reads encoded audio, without tags, and tags that mutagen does not know, with ffmpeg's libraries (PyAV)."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError

_COMMENTS_IN_HEADER = "vorbis"  # the codec whose set-up data also contain the comments


def packets_sha256(path: Path) -> str:
    """Digests a file's audio packets, their times and the decoder's set-up. Raises ValueError if it has no audio."""
    digest = hashlib.sha256()
    with _opened(path) as container:
        if not container.streams.audio:
            raise ValueError("no audio")
        stream = container.streams.audio[0]
        digest.update(f"{stream.codec_context.name} {stream.rate} {stream.channels}".encode())
        if stream.codec_context.name != _COMMENTS_IN_HEADER:
            digest.update(stream.codec_context.extradata or b"")
        try:
            for packet in container.demux(stream):
                digest.update(f" {packet.pts} {packet.size} ".encode())
                digest.update(packet)
        except FFmpegError as error:  # a damaged file stops here both before and after the change
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()


def container_tags(path: Path) -> dict[str, str] | None:
    """Returns a file's tags by ffmpeg's unified names, in lower case; None if the file contains no audio."""
    try:
        with _opened(path) as container:
            if not container.streams.audio:
                return None
            return {name.lower(): value for name, value in container.metadata.items()}
    except FFmpegError:
        return None


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """Opens the file, but no other file that it may refer to."""
    with _File(path) as file, av.open(file, "r", metadata_errors="replace", io_open=_nothing) as container:
        yield container


class _File(io.FileIO):
    """A file whose `seek` to a place that does not exist returns -1, because PyAV would print an error."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Returns the new position, or -1 if there is none."""
        try:
            return super().seek(offset, whence)
        except (OSError, OverflowError):
            return -1


def _nothing(*_: object) -> io.BytesIO:
    return io.BytesIO()

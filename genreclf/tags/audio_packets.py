"""The encoded audio of a file, apart from its tags."""

import hashlib
import io
from pathlib import Path

import av
from av.error import FFmpegError

_COMMENTS_IN_HEADER = "vorbis"  # the codec whose set-up data hold the comments as well


def packets_sha256(path: Path) -> str:
    """The digest of a file's audio packets, their times, and the decoder's set-up. Raises ValueError without audio."""
    digest = hashlib.sha256()
    with path.open("rb") as file, av.open(file, "r", metadata_errors="ignore", io_open=_nothing) as container:
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
        except FFmpegError as error:  # a damaged file ends here, before and after
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()


def _nothing(*_: object) -> io.BytesIO:
    """In place of any other file that a file refers to."""
    return io.BytesIO()

"""Reads encoded audio, without tags, and tags that mutagen does not know, with ffmpeg's libraries (PyAV)."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError

from genreclf.frontend.av_file import FilePart, open_container
from genreclf.frontend.decoder import UndecodableError

_COMMENTS_IN_HEADER = "vorbis"  # the codec whose set-up data also contain the comments


def packets_sha256(path: Path) -> str:
    """Digests a file's audio packets, their times and the decoder's set-up. Raises UndecodableError without audio."""
    digest = hashlib.sha256()
    with _opened(path) as container:
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


def container_fields(path: Path) -> tuple[tuple[str, ...], str, str, str]:
    """Returns genre, artist, album and title as `formats.read_fields` does. Raises UndecodableError without audio."""
    with _opened(path) as container:
        tags = {name.lower(): _text(value) for name, value in container.metadata.items()}
    genre, artist, album, title = (tags.get(name, "") for name in ("genre", "artist", "album", "title"))
    return (genre,) if genre.strip() else (), artist, album, title


def _text(value: str) -> str:
    """Decodes text that is not UTF-8, and therefore has surrogate escapes, as Latin-1."""
    content = value.encode(errors="surrogateescape")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    with path.open("rb", buffering=0) as handle, open_container(FilePart(handle)) as container:
        if not container.streams.audio or container.streams.audio[0].codec_context is None:
            raise UndecodableError("no audio")
        yield container

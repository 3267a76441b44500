"""Counts the bytes of a file that are tags, such as a cover, and the samples that no decoder reads; checks sizes."""

import os
from io import FileIO
from typing import Literal, NamedTuple

from genreclf.frontend.file_start import size_of

_ORDERS: dict[bytes, Literal["little", "big"]] = {
    **dict.fromkeys((b"RIFF", b"RF64", b"BW64"), "little"),
    **dict.fromkeys((b"RIFX", b"FORM"), "big"),
}
_FIRST_CHUNK_AT, _SAMPLES = 12, (b"data", b"SSND")
_LONG, _SIZE_AT = 2**32 - 1, 28  # the length that stands for a longer one, and the place of that, with 64 bits
_MAX_CHUNKS = 10_000
_ID3V1, _ID3V1_BYTES = b"TAG", 128
_APE, _APE_BYTES, _APE_SIZE_AT, _APE_FLAGS_AT, _APE_HAS_HEADER = b"APETAGEX", 32, 12, 20, 2**31


class _Chunk(NamedTuple):
    """A part of a WAV or AIFF file."""

    holds_samples: bool
    begin: int
    end: int


def tag_bytes(handle: FileIO) -> int:
    """Returns the size of the chunks after the samples in WAV and AIFF, and of APEv2 and ID3v1 tags in other files."""
    chunks = _chunks(handle)
    if not chunks or chunks[-1].end < size_of(handle):  # not all of the file is chunks
        return end_tag_bytes(handle)
    end_of_samples = max((chunk.end for chunk in chunks if chunk.holds_samples), default=chunks[-1].end)
    return chunks[-1].end - end_of_samples


def unread_sample_bytes(handle: FileIO) -> int:
    """Returns the size of all chunks of samples in a WAV or AIFF file but the last, because decoders read only one."""
    return sum([chunk.end - chunk.begin for chunk in _chunks(handle) if chunk.holds_samples][:-1])


def sizes_agree(handle: FileIO) -> bool:
    """Returns whether the chunks of a WAV or AIFF file end where its header says, or where it ends; True for others."""
    order, ends = _order(handle), [chunk.end for chunk in _chunks(handle)]
    if not order:
        return True
    length = int.from_bytes(os.pread(handle.fileno(), 4, 4), order)
    declared = 8 + length + length % 2
    return declared in ends or (length < _LONG and size_of(handle) in ends and declared > ends[-1])


def end_tag_bytes(handle: FileIO) -> int:
    """Returns the size of APEv2 and ID3v1 tags at the end of a file; 0 for WAV and AIFF, where samples may be alike."""
    if _order(handle):
        return 0
    size = size_of(handle)
    end = os.pread(handle.fileno(), _ID3V1_BYTES + _APE_BYTES, max(0, size - _ID3V1_BYTES - _APE_BYTES))
    id3v1_bytes = _ID3V1_BYTES if end[-_ID3V1_BYTES:].startswith(_ID3V1) else 0
    footer = end[: len(end) - id3v1_bytes][-_APE_BYTES:]
    if not footer.startswith(_APE) or len(footer) < _APE_BYTES:
        return id3v1_bytes
    has_header = int.from_bytes(footer[_APE_FLAGS_AT:][:4], "little") & _APE_HAS_HEADER
    ape_bytes = int.from_bytes(footer[_APE_SIZE_AT:][:4], "little") + (_APE_BYTES if has_header else 0)
    return min(size, id3v1_bytes + ape_bytes)


def _chunks(handle: FileIO) -> list[_Chunk]:
    """Returns the consecutive chunks of a WAV or AIFF file that do not reach beyond its end; none for other files."""
    size, order, at, found = size_of(handle), _order(handle), _FIRST_CHUNK_AT, list[_Chunk]()
    while order and at < size and len(found) < _MAX_CHUNKS:
        head = os.pread(handle.fileno(), 8, at)
        name, length = head[:4], int.from_bytes(head[4:], order)
        holds_samples = name in _SAMPLES
        if holds_samples and length == _LONG:
            length = int.from_bytes(os.pread(handle.fileno(), 8, _SIZE_AT), order)
        end = at + 8 + length
        # The next of several joined files is not a chunk.
        if end > size or name in _ORDERS or not all(0x20 <= letter < 0x7F for letter in name):
            break
        found.append(_Chunk(holds_samples, at, min(size, end + end % 2)))
        at = end + end % 2
    return found


def _order(handle: FileIO) -> Literal["little", "big"] | None:
    """Returns the byte order of a WAV or AIFF file; None for other files."""
    return _ORDERS.get(os.pread(handle.fileno(), 4, 0))

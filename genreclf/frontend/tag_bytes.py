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
# Tags at the end of a file. A tag's size is in its last bytes, except for ID3v1 and the first version of Lyrics3.
_MAX_TAGS = 16
_ID3V1, _ID3V1_BYTES, _ENHANCED, _ENHANCED_BYTES = b"TAG", 128, b"TAG+", 227
_ID3V2, _ID3V2_FOOTER, _ID3V2_BYTES = b"ID3", b"3DI", 10
_APE, _APE_BYTES, _APE_SIZE_AT, _APE_FLAGS_AT, _APE_HAS_HEADER = b"APETAGEX", 32, 12, 20, 2**31
_LYRICS, _LYRICS_1, _LYRICS_2, _LYRICS_1_BYTES = b"LYRICSBEGIN", b"LYRICSEND", b"LYRICS200", 5_120


class _Chunk(NamedTuple):
    """A part of a WAV or AIFF file."""

    holds_samples: bool
    begin: int
    end: int


def tag_bytes(handle: FileIO) -> int:
    """Returns the size of the chunks after the samples in WAV and AIFF, and of tags at the end of other files."""
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
    """Returns the size of the tags at the end of a file: ID3v1, ID3v2 with a footer, APEv2 and Lyrics3.

    Returns 0 for WAV and AIFF, where samples may be alike.
    """
    return sum(end - begin for begin, end in _end_tags(handle))


def id3v2_at_end(handle: FileIO) -> bytes:
    """Returns the ID3v2 tag among the tags at the end of a file, or b""."""
    tags = (os.pread(handle.fileno(), end - begin, begin) for begin, end in _end_tags(handle))
    return next((tag for tag in tags if tag.startswith(_ID3V2)), b"")


def _end_tags(handle: FileIO) -> list[tuple[int, int]]:
    end, found = size_of(handle), list[tuple[int, int]]()
    while not _order(handle) and len(found) < _MAX_TAGS and (length := _tag_before(handle, end)):
        found.append((end - length, end))
        end -= length
    return found


def _tag_before(handle: FileIO, end: int) -> int:
    """Returns the size of the tag that ends at `end`; 0 if there is none, or it would begin before the file."""
    tail = os.pread(handle.fileno(), min(end, _LYRICS_1_BYTES), max(0, end - _LYRICS_1_BYTES))
    footer, name, length = tail[-_APE_BYTES:], b"", 0
    if tail[-_ID3V1_BYTES:].startswith(_ID3V1) and len(tail) >= _ID3V1_BYTES:
        before = tail[:-_ID3V1_BYTES][-_ENHANCED_BYTES:]
        length = _ID3V1_BYTES + (_ENHANCED_BYTES if before.startswith(_ENHANCED) else 0)
    elif tail[-_ID3V2_BYTES:].startswith(_ID3V2_FOOTER):
        sizes = tail[-4:]  # seven bits per byte
        name, length = _ID3V2, sum((byte & 0x7F) << 7 * (3 - at) for at, byte in enumerate(sizes)) + 2 * _ID3V2_BYTES
    elif footer.startswith(_APE) and len(footer) == _APE_BYTES:
        has_header = int.from_bytes(footer[_APE_FLAGS_AT:][:4], "little") & _APE_HAS_HEADER
        length = int.from_bytes(footer[_APE_SIZE_AT:][:4], "little") + (_APE_BYTES if has_header else 0)
    elif tail.endswith(_LYRICS_2) and (digits := tail[: -len(_LYRICS_2)][-6:]).isdigit():
        name, length = _LYRICS, int(digits) + len(digits) + len(_LYRICS_2)
    elif tail.endswith(_LYRICS_1) and _LYRICS in tail:
        length = len(tail) - tail.rindex(_LYRICS)
    fits = length <= end and os.pread(handle.fileno(), len(name), end - length) == name
    return length if fits else 0


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

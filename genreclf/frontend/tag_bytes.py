"""How many bytes behind the samples of a file are tags, such as a cover: no music that was left out."""

import os
from io import FileIO
from typing import Literal

_ORDERS: dict[bytes, Literal["little", "big"]] = {b"RIFF": "little", b"RIFX": "big", b"FORM": "big"}
_SAMPLES = (b"data", b"SSND")
_MAX_CHUNKS = 10_000
_ID3V1, _ID3V1_BYTES = b"TAG", 128
_APE, _APE_BYTES, _APE_SIZE_AT, _APE_FLAGS_AT, _APE_HAS_HEADER = b"APETAGEX", 32, 12, 20, 2**31


def tag_bytes(handle: FileIO) -> int:
    """The size of the chunks behind the samples of WAV and AIFF, and of APEv2 and ID3v1 tags in other files.

    The position in the file does not change.
    """
    head = os.pread(handle.fileno(), 4, 0)
    return _chunk_bytes(handle, _ORDERS[head]) if head in _ORDERS else end_tag_bytes(handle)


def end_tag_bytes(handle: FileIO) -> int:
    """The bytes of an APEv2 and an ID3v1 tag at the end of a file. The position does not change."""
    size = os.fstat(handle.fileno()).st_size
    end = os.pread(handle.fileno(), _ID3V1_BYTES + _APE_BYTES, max(0, size - _ID3V1_BYTES - _APE_BYTES))
    id3v1_bytes = _ID3V1_BYTES if end[-_ID3V1_BYTES:].startswith(_ID3V1) else 0
    footer = end[: len(end) - id3v1_bytes][-_APE_BYTES:]
    if not footer.startswith(_APE) or len(footer) < _APE_BYTES:
        return id3v1_bytes
    has_header = int.from_bytes(footer[_APE_FLAGS_AT:][:4], "little") & _APE_HAS_HEADER
    ape_bytes = int.from_bytes(footer[_APE_SIZE_AT:][:4], "little") + (_APE_BYTES if has_header else 0)
    return min(size, id3v1_bytes + ape_bytes)


def _chunk_bytes(handle: FileIO, order: Literal["little", "big"]) -> int:
    """The bytes behind the last chunk of samples, if whole chunks fill the file; else 0."""
    size = os.fstat(handle.fileno()).st_size
    at, end_of_samples = 12, 0
    for _ in range(_MAX_CHUNKS):
        if at >= size:
            break
        head = os.pread(handle.fileno(), 8, at)
        at += 8 + int.from_bytes(head[4:], order)
        if at > size or not all(0x20 <= letter < 0x7F for letter in head[:4]):
            return 0
        at += at % 2
        if head[:4] in _SAMPLES:
            end_of_samples = min(at, size)
    return size - end_of_samples if end_of_samples and at >= size else 0

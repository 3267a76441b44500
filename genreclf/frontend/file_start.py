"""Examines how an audio file begins: where its content is after ID3v2 tags, and whether libsndfile reads it well."""

import os
from io import FileIO

# libsndfile detects other formats by as little as two bytes, which damaged files may contain. It guesses the length of
# MP3 files and prints warnings about them, has cut Opus files short, and plays what follows the samples of W64 files.
_BEGINNINGS = (b"RIFF", b"RIFX", b"RF64", b"FORM", b".snd", b"dns.", b"caff", b"fLaC", b"OggS")
_OPUS_AT, _OPUS = 28, b"OpusHead"  # after the head of the first Ogg page
_ID3V2, _ID3V2_HEAD_BYTES, _MAX_TAGS = b"ID3", 10, 100


def size_of(handle: FileIO) -> int:
    """Returns the size of the file now, in bytes."""
    return os.fstat(handle.fileno()).st_size


def content_begin(handle: FileIO) -> int:
    """Returns where the content begins after ID3v2 tags, by their sizes."""
    begin = 0
    for _ in range(_MAX_TAGS):
        head = os.pread(handle.fileno(), _ID3V2_HEAD_BYTES, begin)
        if not head.startswith(_ID3V2) or len(head) < _ID3V2_HEAD_BYTES:
            break
        size = 0
        for byte in head[6:]:  # seven bits per byte
            size = size << 7 | byte & 0x7F
        begin += _ID3V2_HEAD_BYTES + size
    return begin


def suits_libsndfile(handle: FileIO) -> bool:
    """Decides from the content's first bytes whether libsndfile decodes the file correctly."""
    head = os.pread(handle.fileno(), _OPUS_AT + len(_OPUS), content_begin(handle))
    return head.startswith(_BEGINNINGS) and not head.endswith(_OPUS)

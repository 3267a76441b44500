"""Whether libsndfile reads an audio file well, by how the file begins."""

from io import FileIO

# It detects others by as little as two bytes, which damaged files may contain; it guesses the length of MP3 files,
# prints warnings of them, and has cut Opus files short.
_BEGINNINGS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"dns.", b"caff", b"fLaC", b"OggS")
_OPUS_AT, _OPUS = 28, b"OpusHead"  # behind the head of the first Ogg page
_ID3V2_HEAD_BYTES, _MAX_TAGS = 10, 100


def suits_libsndfile(handle: FileIO) -> bool:
    """Whether the file begins, behind its ID3v2 tags, as those that libsndfile reads well."""
    position = 0
    for _ in range(_MAX_TAGS):
        handle.seek(position)
        head = handle.read(_OPUS_AT + len(_OPUS))
        if not head.startswith(b"ID3") or len(head) < _ID3V2_HEAD_BYTES:
            return head.startswith(_BEGINNINGS) and not head.endswith(_OPUS)
        size = 0
        for byte in head[6:_ID3V2_HEAD_BYTES]:  # seven bits to a byte
            size = size << 7 | byte & 0x7F
        position += _ID3V2_HEAD_BYTES + size
    return False

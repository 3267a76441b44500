"""Whether a file ends where its container says, for containers that say it."""

import os
from collections.abc import Callable
from io import FileIO
from typing import NamedTuple

from genreclf.frontend import ogg_pages

NO_END_PAGE, CUT_BLOCK = "no end page", "the last block is cut off"

_HEAD_BYTES = 24  # the longest header of a block (ASF)
_MAX_BLOCKS = 2**20  # two hours of Flash video have half as many
_SLACK_BYTES = 16  # writers of AVI and RealMedia may leave out padding, or count a header twice
_MAX_32 = 0x7FFF_F000  # writers that cannot seek (pipes) leave a length of at least this
_EBML = bytes.fromhex("1a45dfa3")
_ELEMENTS = (  # of Matroska: those of a file, of a segment and of a cluster
    *("1a45dfa3", "18538067", "114d9b74", "1549a966", "1654ae6b", "1f43b675", "1c53bb6b", "1254c367", "1043a770"),
    *("1941a469", "ec", "bf", "e7", "a7", "ab", "a3", "a0"),
)
_BOXES = (b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"free", b"skip", b"wide", b"uuid", b"meta")
_PACK, _PACK_SEARCH_BYTES = b"\0\0\1\xba", 2**17
_TS_SYNC, _TS_KINDS, _TS_PACKETS = 0x47, ((188, 0), (192, 4), (204, 0)), 5  # bytes a packet, place of the sync byte
_ASF, _ASF_DATA = (bytes.fromhex(f"3{digit}26b2758e66cf11a6d900aa0062ce6c") for digit in "06")
_ASF_PROPERTIES, _ASF_FLAGS_AT = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"), 88


def end_fault(handle: FileIO) -> str:
    """Why the file is incomplete: `NO_END_PAGE` or `CUT_BLOCK`; empty if it is whole or its container does not say.

    The position in the file does not change.
    """
    head = os.pread(handle.fileno(), _HEAD_BYTES, 0)
    if head.startswith(ogg_pages.MAGIC):
        return "" if ogg_pages.has_end_page(handle) else NO_END_PAGE
    if head.startswith(_PACK):
        is_cut = _overrun(handle, _last_pack(handle), _program_bytes) > 0
    elif container := next((each for each in _CONTAINERS if head.startswith(each.magic, each.magic_at)), None):
        is_known = container.magic != _ASF or not _is_broadcast(handle, head)
        is_cut = is_known and _overrun(handle, container.first_at, container.block_bytes) > container.slack_bytes
    else:
        is_cut = _has_cut_transport_packet(handle)
    return CUT_BLOCK if is_cut else ""


def _overrun(handle: FileIO, at: int, length: Callable[[bytes], int]) -> int:
    """How many bytes the last of the blocks that follow each other from `at` on lacks.

    `length` gives the bytes of a block by how it begins; 0 if it is none, or of unknown length.
    """
    size = _size(handle)
    for _ in range(_MAX_BLOCKS):
        if at >= size:
            return at - size
        head = os.pread(handle.fileno(), _HEAD_BYTES, at)
        if not (size_of_block := length(head)):
            return 0
        at += size_of_block
    return 0


def _riff_bytes(head: bytes) -> int:
    size = int.from_bytes(head[4:8], "little")
    return 8 + size + size % 2 if head.startswith(b"RIFF") and 0 < size < _MAX_32 else 0


def _caf_bytes(head: bytes) -> int:
    """Of CAF and DSDIFF."""
    size = int.from_bytes(head[4:12], "big", signed=True)
    return 12 + size if head[:4].isalnum() and size >= 0 else 0


def _asf_bytes(head: bytes) -> int:
    """The header's or the samples'; the index behind them is not needed."""
    size = int.from_bytes(head[16:24], "little")
    return size if head.startswith((_ASF, _ASF_DATA)) and _HEAD_BYTES <= size < 2**63 else 0


def _box_bytes(head: bytes) -> int:
    """Of MP4 and QuickTime."""
    size = int.from_bytes(head[:4], "big")
    if size == 1:
        size = int.from_bytes(head[8:16], "big")
    return size if head[4:8] in _BOXES and size >= 8 else 0


def _element_bytes(head: bytes) -> int:
    """Of Matroska and WebM: an identifier, and a length whose first byte says how many it has.

    For an element of unknown length, as in streams, this is its header; what it contains follows as elements.
    """
    id_bytes = 9 - head[0].bit_length()
    size_head = head[id_bytes : id_bytes + 1].strip(b"\0")
    if head[:id_bytes].hex() not in _ELEMENTS or not size_head:
        return 0
    size_bytes = 9 - size_head[0].bit_length()
    unknown = 2 ** (7 * size_bytes) - 1
    size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & unknown
    return id_bytes + size_bytes + (0 if size == unknown else size)


def _dsf_bytes(head: bytes) -> int:
    size = int.from_bytes(head[4:12], "little")
    return size if head[:4] in (b"DSD ", b"fmt ", b"data") and size >= 12 else 0


def _flv_bytes(head: bytes) -> int:
    return 11 + int.from_bytes(head[1:4], "big") + 4 if head[0] in (8, 9, 18) else 0


def _real_bytes(head: bytes) -> int:
    size = int.from_bytes(head[4:8], "big")
    return size if head[:4].strip(b".").isalpha() and 10 <= size < _MAX_32 else 0


def _program_bytes(head: bytes) -> int:
    """The length of a part of an MPEG program stream."""
    if not head.startswith(b"\0\0\1") or len(head) < 14 or head[3] < _PACK[3]:
        return 0
    if head.startswith(_PACK):
        return 14 + (head[13] & 7) if head[4] >> 6 == 1 else 12
    return 6 + int.from_bytes(head[4:6], "big")


class _Container(NamedTuple):
    magic: bytes
    magic_at: int
    first_at: int  # the first block
    block_bytes: Callable[[bytes], int]  # see `_overrun`
    slack_bytes: int = 0


_CONTAINERS = (
    _Container(b"AVI ", 8, 0, _riff_bytes, _SLACK_BYTES),
    _Container(b"caff", 0, 8, _caf_bytes),
    _Container(_ASF, 0, 0, _asf_bytes),
    _Container(b"ftyp", 4, 0, _box_bytes),
    _Container(_EBML, 0, 0, _element_bytes),
    _Container(b"FRM8", 0, 0, _caf_bytes),
    _Container(b"DSD ", 0, 0, _dsf_bytes),
    _Container(b"FLV", 0, 13, _flv_bytes),
    _Container(b".RMF", 0, 0, _real_bytes, _SLACK_BYTES),
)


def _is_broadcast(handle: FileIO, head: bytes) -> bool:
    """Whether an ASF file's lengths mean nothing, because they were not known when they were written."""
    header = os.pread(handle.fileno(), min(_asf_bytes(head), 2**16), 0)
    flags_at = header.find(_ASF_PROPERTIES) + _ASF_FLAGS_AT
    return _ASF_FLAGS_AT <= flags_at < len(header) and bool(header[flags_at] & 1)


def _last_pack(handle: FileIO) -> int:
    """Where the last pack of an MPEG program stream begins, or the first one if none is near the end."""
    begin = max(0, _size(handle) - _PACK_SEARCH_BYTES)
    found = os.pread(handle.fileno(), _PACK_SEARCH_BYTES, begin).rfind(_PACK)
    return begin + found if found >= 0 else 0


def _has_cut_transport_packet(handle: FileIO) -> bool:
    """Whether the last packet of an MPEG transport stream is cut."""
    for packet_bytes, sync_at in _TS_KINDS:
        begin = os.pread(handle.fileno(), _TS_PACKETS * packet_bytes, 0)[sync_at::packet_bytes]
        if begin == bytes([_TS_SYNC]) * _TS_PACKETS:
            rest = _size(handle) % packet_bytes
            return os.pread(handle.fileno(), 1, _size(handle) - rest + sync_at) == bytes([_TS_SYNC])
    return False


def _size(handle: FileIO) -> int:
    return os.fstat(handle.fileno()).st_size

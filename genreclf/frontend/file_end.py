"""Finds the end of a file's container, if the container gives it: the file may be cut off, or more may follow."""

import os
from collections.abc import Callable
from io import FileIO
from typing import Literal, NamedTuple

from genreclf.frontend import ogg_pages
from genreclf.frontend.file_start import content_begin, size_of

NO_END_PAGE, CUT_BLOCK = "no end page", "the last block is cut off"

_HEAD_BYTES = 24  # the longest header of a block (ASF)
_MAX_BLOCKS = 2**20  # two hours of Flash video have half that many
_SLACK_BYTES = 16  # writers of AVI, W64 and RealMedia may leave out padding, or count a header twice
_REST = -1
_MAX_32 = 0x7FFF_F000  # writers that cannot seek (pipes) leave a length of at least this
_EBML = bytes.fromhex("1a45dfa3")
_ELEMENTS = (  # Matroska's elements of a file, a segment and a cluster
    *("1a45dfa3", "18538067", "114d9b74", "1549a966", "1654ae6b", "1f43b675", "1c53bb6b", "1254c367", "1043a770"),
    *("1941a469", "5854", "af", "ec", "bf", "e7", "a7", "ab", "a3", "a0"),
)
_BOXES = (  # MP4 and QuickTime
    *(b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"ssix", b"free", b"skip", b"wide", b"uuid"),
    *(b"meta", b"meco", b"udta", b"pdin", b"prft", b"emsg", b"imda", b"pnot", b"PICT", b"junk"),
)
_CAF_CHUNKS = (
    *(b"desc", b"data", b"pakt", b"chan", b"kuki", b"strg", b"mark", b"regn", b"info", b"inst", b"midi", b"umid"),
    *(b"ovvw", b"peak", b"edct", b"uuid", b"free"),
)
_REAL_CHUNKS = (b".RMF", b"PROP", b"MDPR", b"CONT", b"DATA", b"INDX", b"RMMD", b"RJMD")
_W64, _W64_CHUNK = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000"), bytes.fromhex("f3acd3118cd100c04f8edb8a")
_PACK, _PACK_SEARCH_BYTES = b"\0\0\1\xba", 2**17
_TS_SYNC, _TS_KINDS, _TS_PACKETS = 0x47, ((188, 0), (192, 4), (204, 0)), 5  # bytes per packet, place of the sync byte
_ASF, _ASF_DATA = (bytes.fromhex(f"3{digit}26b2758e66cf11a6d900aa0062ce6c") for digit in "06")
_ASF_PROPERTIES, _ASF_FLAGS_AT = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"), 88


class FileEnd(NamedTuple):
    """Information from the container on the file's end."""

    fault: str = ""  # why the file is incomplete: `NO_END_PAGE` or `CUT_BLOCK`; empty if it is complete or not known
    bytes_behind: int = 0  # number of bytes after the first container, even if they are decoded


def file_end(handle: FileIO) -> FileEnd:
    """Examines the file's end, as far as its container allows."""
    begin = content_begin(handle)
    head = os.pread(handle.fileno(), _HEAD_BYTES, begin)
    if head.startswith(ogg_pages.MAGIC):
        end = ogg_pages.last_end(handle, begin)
        return FileEnd(NO_END_PAGE) if end is None else FileEnd("", size_of(handle) - end)
    if head.startswith(_PACK):
        return _compared(handle, _ends(handle, _last_pack(handle), _PROGRAM))
    container = next((each for each in _CONTAINERS if head.startswith(each.magic, each.magic_at)), None)
    if container is None:
        return FileEnd(CUT_BLOCK if _has_cut_transport_packet(handle) else "")
    if container.magic == _ASF and _is_broadcast(handle, begin):
        return FileEnd()
    return _compared(handle, _ends(handle, begin + container.first_at, container), container.slack_bytes)


def _compared(handle: FileIO, ends: tuple[int, int], slack_bytes: int = 0) -> FileEnd:
    (first_end, end), size = ends, size_of(handle)
    return FileEnd(CUT_BLOCK if end - size > slack_bytes else "", max(0, size - first_end))


def _ends(handle: FileIO, at: int, container: "_Container") -> tuple[int, int]:
    """Returns the ends of the first file, and of all consecutive blocks from `at` on, which may be those of several.

    If the last block is cut off, it ends beyond the file's end.
    """
    first, joint, size = at, 0, size_of(handle)
    for _ in range(_MAX_BLOCKS):
        head = os.pread(handle.fileno(), _HEAD_BYTES, at)
        length = container.block_bytes(head) if head else 0
        if not length:
            return joint or at, at
        if at > first and head.startswith(container.magic, container.magic_at):
            joint = joint or at
        at = size if length == _REST else at + length
    return joint or size, size


# Return the length of a block, given its head: 0 if it is not one of the container, `_REST` if it may be all the rest.


def _sized(
    names: tuple[bytes, ...],
    name_at: int,
    size_at: int,
    size_bytes: int,
    order: Literal["little", "big"],
    added: int = 0,  # bytes that the size does not count
    least: int = 0,
    align: int = 1,
) -> Callable[[bytes], int]:
    """For blocks with a name and a size at fixed places."""

    def block_bytes(head: bytes) -> int:
        if not head.startswith(names, name_at):
            return 0
        size = int.from_bytes(head[size_at:][:size_bytes], order)
        is_known = least <= size < (_MAX_32 if size_bytes == 4 else 2**63)
        return -(-size // align) * align + added if is_known else _REST

    return block_bytes


def _box_bytes(head: bytes) -> int:
    size = int.from_bytes(head[:4], "big")
    if size == 1:
        size = int.from_bytes(head[8:16], "big")
    return (size if size >= 8 else _REST) if head.startswith(_BOXES, 4) else 0


def _element_bytes(head: bytes) -> int:
    """For Matroska and WebM: an identifier, and a length whose first byte gives its number of bytes.

    For an element of unknown length, as in streams, returns the length of its header; its contents are elements, too.
    """
    id_bytes = 9 - head[0].bit_length()
    size_head = head[id_bytes : id_bytes + 1].strip(b"\0")
    if head[:id_bytes].hex() not in _ELEMENTS or not size_head:
        return 0
    size_bytes = 9 - size_head[0].bit_length()
    unknown = 2 ** (7 * size_bytes) - 1
    size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & unknown
    return id_bytes + size_bytes + (0 if size == unknown else size)


def _program_bytes(head: bytes) -> int:
    """For an MPEG program stream."""
    if not head.startswith(b"\0\0\1") or len(head) < 14 or head[3] < _PACK[3]:
        return 0
    if head.startswith(_PACK):
        return 14 + (head[13] & 7) if head[4] >> 6 == 1 else 12
    return 6 + int.from_bytes(head[4:6], "big")


class _Container(NamedTuple):
    magic: bytes
    magic_at: int
    first_at: int  # the first block
    block_bytes: Callable[[bytes], int]
    slack_bytes: int = 0


_PROGRAM = _Container(_PACK, 0, 0, _program_bytes)
_CONTAINERS = (
    _Container(b"AVI ", 8, 0, _sized((b"AVI",), 8, 4, 4, "little", 8, 1, 2), _SLACK_BYTES),
    _Container(_W64, 0, 40, _sized((_W64_CHUNK,), 4, 16, 8, "little", 0, 24, 8), _SLACK_BYTES),
    _Container(b"caff", 0, 8, _sized(_CAF_CHUNKS, 0, 4, 8, "big", 12)),
    # Only the header and the samples: the small index after them is not needed.
    _Container(_ASF, 0, 0, _sized((_ASF, _ASF_DATA), 0, 16, 8, "little", 0, 24)),
    _Container(b"ftyp", 4, 0, _box_bytes),
    _Container(_EBML, 0, 0, _element_bytes),
    _Container(b"FRM8", 0, 0, _sized((b"FRM8",), 0, 4, 8, "big", 12)),
    _Container(b"DSD ", 0, 0, _sized((b"DSD ", b"fmt ", b"data"), 0, 4, 8, "little", 0, 12)),
    _Container(b"FLV", 0, 13, _sized((b"\x08", b"\x09", b"\x12"), 0, 1, 3, "big", 15)),
    _Container(b".RMF", 0, 0, _sized(_REAL_CHUNKS, 0, 4, 4, "big", 0, 10), _SLACK_BYTES),
)


def _is_broadcast(handle: FileIO, begin: int) -> bool:
    """Returns whether an ASF file's lengths have no meaning because they were not known when they were written."""
    header = os.pread(handle.fileno(), 2**16, begin)
    flags_at = header.find(_ASF_PROPERTIES) + _ASF_FLAGS_AT
    return _ASF_FLAGS_AT <= flags_at < len(header) and bool(header[flags_at] & 1)


def _last_pack(handle: FileIO) -> int:
    """Returns where the last pack of an MPEG program stream begins, or the first one if none is near the end."""
    begin = max(0, size_of(handle) - _PACK_SEARCH_BYTES)
    found = os.pread(handle.fileno(), _PACK_SEARCH_BYTES, begin).rfind(_PACK)
    return begin + found if found >= 0 else 0


def _has_cut_transport_packet(handle: FileIO) -> bool:
    """Returns whether the last packet of an MPEG transport stream is cut off."""
    for packet_bytes, sync_at in _TS_KINDS:
        begin = os.pread(handle.fileno(), _TS_PACKETS * packet_bytes, 0)[sync_at::packet_bytes]
        if begin == bytes([_TS_SYNC]) * _TS_PACKETS:
            rest = size_of(handle) % packet_bytes
            return os.pread(handle.fileno(), 1, size_of(handle) - rest + sync_at) == bytes([_TS_SYNC])
    return False

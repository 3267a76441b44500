"""The pages of an Ogg file (RFC 3533): whether its last one is whole, and where files were joined into one."""

import os
from collections import deque
from collections.abc import Iterator
from io import FileIO
from typing import NamedTuple

MAGIC = b"OggS"
_FLAGS_AT, _BEGIN_FLAG, _END_FLAG = 5, 2, 4
_SEGMENTS_AT, _HEAD_BYTES, _MAX_HEAD_BYTES = 26, 27, 282


class _Page(NamedTuple):
    begin: int  # in the file, in bytes
    end: int  # behind the last byte; beyond that of the file if the page is cut off
    flags: int


def has_end_page(handle: FileIO) -> bool:
    """Whether the pages go on to one that is whole and marked as the last. The position in the file does not change."""
    last = deque(_pages(handle), maxlen=1)
    return any(page.flags & _END_FLAG and page.end <= os.fstat(handle.fileno()).st_size for page in last)


def chain_bounds(handle: FileIO) -> list[int]:
    """Where the files begin that were joined to this one, itself the first, and where the last ends.

    The position in the file does not change.
    """
    bounds, before = [], 0
    for page in _pages(handle):
        if page.flags & ~before & _BEGIN_FLAG:  # each stream of a file, such as picture and sound, has its first page
            bounds.append(page.begin)
        before = page.flags
    return [*bounds, os.fstat(handle.fileno()).st_size]


def _pages(handle: FileIO) -> Iterator[_Page]:
    """Those from the beginning on that follow each other."""
    begin = 0
    while (head := os.pread(handle.fileno(), _MAX_HEAD_BYTES, begin)).startswith(MAGIC) and len(head) >= _HEAD_BYTES:
        segments = head[_SEGMENTS_AT]
        end = begin + _HEAD_BYTES + segments + sum(head[_HEAD_BYTES:][:segments])
        yield _Page(begin, end, head[_FLAGS_AT])
        begin = end

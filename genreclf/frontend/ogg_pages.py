"""Reads the pages of an Ogg file (RFC 3533): whether the last one is complete, and where files were joined."""

import os
from collections import deque
from collections.abc import Iterator
from io import FileIO
from typing import NamedTuple

from genreclf.frontend.file_start import size_of

MAGIC = b"OggS"
_FLAGS_AT, _BEGIN_FLAG, _END_FLAG = 5, 2, 4
_SEGMENTS_AT, _HEAD_BYTES, _MAX_HEAD_BYTES = 26, 27, 282


class _Page(NamedTuple):
    begin: int  # position in the file in bytes
    end: int  # position after the last byte; beyond the file's end if the page is cut off
    flags: int


def last_end(handle: FileIO, begin: int) -> int | None:
    """Returns the end of the consecutive pages from `begin` on, if the last one is complete and marked as the last."""
    last = deque(_pages(handle, begin), maxlen=1)
    whole = (page for page in last if page.end <= size_of(handle))
    return next((page.end for page in whole if page.flags & _END_FLAG), None)


def chain_bounds(handle: FileIO) -> list[int]:
    """Returns where each of the joined files begins, and where the last one ends."""
    bounds, before = [], 0
    for page in _pages(handle, 0):
        if page.flags & ~before & _BEGIN_FLAG:  # a file has a first page per stream, such as picture and sound
            bounds.append(page.begin)
        before = page.flags
    return [*bounds, size_of(handle)]


def _pages(handle: FileIO, begin: int) -> Iterator[_Page]:
    """Yields the consecutive pages from `begin` on."""
    while (head := os.pread(handle.fileno(), _MAX_HEAD_BYTES, begin)).startswith(MAGIC) and len(head) >= _HEAD_BYTES:
        segments = head[_SEGMENTS_AT]
        end = begin + _HEAD_BYTES + segments + sum(head[_HEAD_BYTES:][:segments])
        yield _Page(begin, end, head[_FLAGS_AT])
        begin = end

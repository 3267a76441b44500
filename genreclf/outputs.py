"""Keeps commands running when nobody reads standard output or standard error any more (`| head`, closed terminal)."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_READER_GONE = (errno.EPIPE, errno.EIO)  # for a pipe, for a terminal


class _FaultTolerantFile(io.FileIO):
    """A file that drops data it cannot write, and stores the first error."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes or drops `data` and returns its number of bytes."""
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes


@contextmanager
def fault_tolerant_outputs() -> Iterator[None]:
    """Replaces sys.stdout and sys.stderr by streams whose writes never fail. May be nested.

    Both escape characters that their encoding lacks.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_fault_tolerant, before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def lost_output() -> OSError | None:
    """Returns the error by which standard output lost text within `fault_tolerant_outputs`; None if it lost none."""
    sys.stdout.flush()
    stream = _raw(sys.stdout)
    return stream.error if isinstance(stream, _FaultTolerantFile) else None


def reader_is_gone(error: OSError) -> bool:
    """Returns whether an output failed because nobody reads it any more. Nobody would read a message then, either."""
    return error.errno in _READER_GONE


def _fault_tolerant(stream: TextIO | None) -> TextIO:
    if stream is None:  # closed before Python started
        return open(os.devnull, "w")  # noqa: PTH123
    if not isinstance(stream, io.TextIOWrapper):  # in a notebook
        return stream
    stream.flush()
    raw = _raw(stream)
    if isinstance(raw, _FaultTolerantFile) or not isinstance(raw, io.FileIO):  # in a test
        stream.reconfigure(errors="backslashreplace")
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_FaultTolerantFile(raw.fileno())),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering or stream.write_through,
    )


def _raw(stream: TextIO) -> object:
    """Returns the unbuffered stream below a text stream, which itself may be unbuffered."""
    below = getattr(stream, "buffer", None)
    return getattr(below, "raw", below)

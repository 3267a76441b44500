"""Standard output and standard error whose reader may go away (`| head`, a closed terminal): the work goes on."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_READER_GONE = (errno.EPIPE, errno.EIO)  # of a pipe; of a terminal


class _Lasting(io.FileIO):
    """Drops what cannot be written, and remembers the first error."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """The number of bytes that were taken."""
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes


@contextmanager
def lasting_outputs() -> Iterator[None]:
    """Within it, writing to sys.stdout and sys.stderr never fails; both escape what their encoding lacks.

    May be nested.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_lasting, before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def lost_output() -> OSError | None:
    """Why something that was printed within `lasting_outputs` did not reach standard output, if so."""
    sys.stdout.flush()
    stream = _raw(sys.stdout)
    return stream.error if isinstance(stream, _Lasting) else None


def reader_is_gone(error: OSError) -> bool:
    """Whether an output failed because nobody reads it any more; then nobody would read a message either."""
    return error.errno in _READER_GONE


def _lasting(stream: TextIO | None) -> TextIO:
    if stream is None:  # it was closed before Python started
        return open(os.devnull, "w")  # noqa: PTH123
    if not isinstance(stream, io.TextIOWrapper):  # in a notebook
        return stream
    stream.flush()
    raw = _raw(stream)
    if isinstance(raw, _Lasting) or not isinstance(raw, io.FileIO):  # in a test
        stream.reconfigure(errors="backslashreplace")
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(raw.fileno())),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering or stream.write_through,
    )


def _raw(stream: TextIO) -> object:
    """The unbuffered stream below; of an unbuffered stream, its only one."""
    below = getattr(stream, "buffer", None)
    return getattr(below, "raw", below)

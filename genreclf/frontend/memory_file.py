"""Bytes under a path, for decoders that read files; they are never written to a disk."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from genreclf.errors import GenreclfError


@contextmanager
def memory_file(name: str, pieces: Iterable[bytes | bytearray]) -> Iterator[Path]:
    """A path under which the content of `pieces` can be read; errors that name the path name the file `name`."""
    handle = os.memfd_create("genreclf")
    path = Path(f"/proc/self/fd/{handle}")
    try:
        with open(handle, "wb", closefd=False) as file:
            file.writelines(pieces)
        yield path
    except GenreclfError as error:
        # Of the same class, because callers distinguish temporary errors from permanent ones.
        raise type(error)(str(error).replace(str(path), name)) from error
    finally:
        os.close(handle)

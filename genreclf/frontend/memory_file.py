"""Provides a path to bytes in memory, for decoders that read files. The bytes are never written to a disk."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from genreclf.errors import GenreclfError


@contextmanager
def memory_file(name: str, pieces: Iterable[bytes | bytearray]) -> Iterator[Path]:
    """Provides a path to read the content of `pieces` from. In GenreclfError messages, `name` replaces the path."""
    handle = os.memfd_create("genreclf")
    path = Path(f"/proc/self/fd/{handle}")
    try:
        with open(handle, "wb", closefd=False) as file:
            file.writelines(pieces)
        yield path
    except GenreclfError as error:
        # Raises the same class, because callers distinguish temporary errors from permanent ones.
        raise type(error)(str(error).replace(str(path), name)) from error
    finally:
        os.close(handle)

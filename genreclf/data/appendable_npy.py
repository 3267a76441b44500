"""A .npy file that grows row by row and can be cut back to a consistent state after a kill."""

import io
from pathlib import Path
from typing import Self

import numpy as np

# The size of the header that NumPy writes: it leaves room for the first axis to grow without moving the data.
HEADER_BYTES = 128


class AppendableNpy:
    """Appends (rows, width) blocks to a file that `np.load(..., mmap_mode="r")` opens once it is closed.

    Keeps the first `rows` rows of an existing file and drops the rest.
    """

    def __init__(self, path: Path, dtype: type[np.generic], width: int, rows: int) -> None:
        self.dtype, self.width, self.rows = np.dtype(dtype), width, rows
        path.touch()
        self._file = path.open("r+b")
        self._file.truncate(HEADER_BYTES + rows * width * self.dtype.itemsize)
        self._file.seek(0, io.SEEK_END)

    def append(self, block: np.ndarray) -> None:
        """Hands the block to the operating system, so it survives a kill of this process."""
        self._file.write(np.ascontiguousarray(block, self.dtype).tobytes())
        self._file.flush()
        self.rows += len(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Writes the header, but not after an error: without a header, the file is an unfinished array."""
        if error is None:
            self._file.seek(0)
            self._file.write(self._header())
        self._file.close()

    def _header(self) -> bytes:
        header = io.BytesIO()
        described = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.rows, self.width)}
        np.lib.format.write_array_header_1_0(header, described)
        if header.tell() != HEADER_BYTES:
            raise AssertionError(f"NumPy wrote a header of {header.tell()} bytes instead of {HEADER_BYTES}")
        return header.getvalue()

"""A .npy file that grows row by row, and can be cut back to a whole state after a kill."""

import io
from pathlib import Path

import numpy as np

# NumPy pads the header so that the first axis may grow without moving the data.
HEADER_BYTES = 128


class AppendableNpy:
    """Appends (rows, width) blocks to a file that `np.load(..., mmap_mode="r")` opens once it is closed.

    What lies behind the first `rows` rows of an existing file is dropped.
    """

    def __init__(self, path: Path, dtype: type[np.generic], width: int, rows: int) -> None:
        self.dtype, self.width, self.rows = np.dtype(dtype), width, rows
        path.touch()
        self._file = path.open("r+b")
        self._file.truncate(HEADER_BYTES + rows * width * self.dtype.itemsize)
        self._file.seek(0, io.SEEK_END)

    def append(self, block: np.ndarray) -> None:
        """Hands the block to the system: it outlives this process from here on."""
        self._file.write(np.ascontiguousarray(block, self.dtype).tobytes())
        self._file.flush()
        self.rows += len(block)

    def __enter__(self) -> "AppendableNpy":
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        """Writes the header of a whole array; without it, the file is a beginning to go on from."""
        if failed is None:
            self._file.seek(0)
            self._file.write(self._header())
        self._file.close()

    def _header(self) -> bytes:
        header = io.BytesIO()
        described = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.rows, self.width)}
        np.lib.format.write_array_header_1_0(header, described)
        if header.tell() != HEADER_BYTES:
            raise AssertionError(f"NumPy wrote a header of {header.tell()} bytes, {HEADER_BYTES} were kept for it")
        return header.getvalue()

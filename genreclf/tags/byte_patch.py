"""Restores a file's exact bytes from its changed copy: from parts of the copy and the few bytes that it lacks."""

import base64
import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

_BLOCK = 64  # bytes compared at a time
_MAX_OTHERS = 2**16  # the most bytes that may be missing from the copy: more would fill the log


class BytePatch(NamedTuple):
    """Instructions that rebuild a file from its changed copy."""

    copy_sha256: str
    sha256: str  # of the file
    parts: tuple[tuple[int, int] | bytes, ...]  # first byte and length in the copy, or the bytes themselves


def patch_between(file: Path, copy: Path) -> BytePatch | None:
    """Returns a patch that rebuilds `file` from `copy`; None if the copy lacks too many of the file's bytes."""
    parts = tuple(_parts(_mapped(file), _mapped(copy)))
    if sum(len(part) for part in parts if isinstance(part, bytes)) > _MAX_OTHERS:
        return None
    return BytePatch(_sha256(copy), _sha256(file), parts)


def belongs_to(patch: BytePatch, copy: Path) -> bool:
    """Returns whether the copy is still as it was when the patch was made."""
    return _sha256(copy) == patch.copy_sha256


def write_patched(patch: BytePatch, copy: Path, out: Path) -> None:
    """Writes the original file to `out`. Raises ValueError if the result differs from the original."""
    with copy.open("rb") as source, out.open("wb") as target:
        for part in patch.parts:
            if isinstance(part, bytes):
                target.write(part)
            else:
                source.seek(part[0])
                target.write(source.read(part[1]))
    if _sha256(out) != patch.sha256:
        raise ValueError("the bytes in the log do not belong to this file")


def to_json(patch: BytePatch) -> dict[str, object]:
    """Converts a patch to values that fit into a line of the log."""
    parts = [base64.b64encode(part).decode() if isinstance(part, bytes) else list(part) for part in patch.parts]
    return {"copy_sha256": patch.copy_sha256, "sha256": patch.sha256, "parts": parts}


def from_json(values: dict[str, object]) -> BytePatch:
    """Inverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
    parts = values["parts"]
    if not isinstance(parts, list):
        raise TypeError("parts")
    read = (base64.b64decode(part) if isinstance(part, str) else (int(part[0]), int(part[1])) for part in parts)
    return BytePatch(str(values["copy_sha256"]), str(values["sha256"]), tuple(read))


def _mapped(path: Path) -> mmap.mmap:
    """Maps a file, which may be an album of several hours, instead of reading it into memory."""
    with path.open("rb") as source:
        return mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)


def _parts(file: mmap.mmap, copy: mmap.mmap) -> Iterator[tuple[int, int] | bytes]:
    """Yields the parts of a `BytePatch`.

    The audio is in its old place, or has moved by as many bytes as the file has grown. A picture may have moved by
    less.
    """
    moves = [0, len(copy) - len(file)]
    kinds = _kinds(file, copy, moves)
    first, end = max(_runs(kinds), key=lambda run: (run[1] - run[0]) * (kinds[run[0]] < 0))
    middle = (first + end) // 2 * _BLOCK
    found = copy.find(file[middle : middle + _BLOCK]) if kinds[first] < 0 else -1
    if found >= 0:
        moves.append(found - middle)
        kinds = _kinds(file, copy, moves)
    for first, end in _runs(kinds):
        begin, stop = first * _BLOCK, min(end * _BLOCK, len(file))
        kind = int(kinds[first])
        yield (begin + moves[kind], stop - begin) if kind >= 0 else file[begin:stop]


def _kinds(file: mmap.mmap, copy: mmap.mmap, moves: list[int]) -> np.ndarray:
    """Returns the index of the first move that finds each block of the file in the copy, or -1: (blocks,) int."""
    kinds = np.full(-(-len(file) // _BLOCK), -1)
    for number, moved in enumerate(moves):
        kinds[(kinds < 0) & _equal_blocks(file, copy, moved)] = number
    return kinds


def _runs(kinds: np.ndarray) -> list[tuple[int, int]]:
    """Returns the runs of equal kinds as [first, end)."""
    starts = np.flatnonzero(np.diff(kinds, prepend=-2)).tolist()
    return list(zip(starts, [*starts[1:], len(kinds)], strict=True))


def _equal_blocks(file: mmap.mmap, copy: mmap.mmap, moved: int) -> np.ndarray:
    """Returns whether the copy has each block of the file `moved` bytes farther on: (blocks,) bool."""
    equal = np.zeros(len(file), bool)
    begin, end = max(0, -moved), min(len(file), len(copy) - moved)
    former, present = np.frombuffer(file, np.uint8), np.frombuffer(copy, np.uint8)
    np.equal(former[begin:end], present[begin + moved : end + moved], out=equal[begin:end])
    blocks: np.ndarray = np.logical_and.reduceat(equal, np.arange(0, len(file), _BLOCK))
    return blocks


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

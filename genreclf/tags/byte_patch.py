"""Restores a file's exact bytes from its changed copy: what to take from the copy, and the few bytes it lacks."""

import base64
import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

_BLOCK = 64  # bytes that are compared at a time
_MAX_OTHERS = 2**16  # bytes that are not in the copy: more of them would fill the log


class BytePatch(NamedTuple):
    """What makes a file from its changed copy."""

    copy_sha256: str
    sha256: str  # of the file
    parts: tuple[tuple[int, int] | bytes, ...]  # first byte and length in the copy, or the bytes themselves


def patch_between(file: Path, copy: Path) -> BytePatch | None:
    """How `file` can be made from `copy`; None if too many of its bytes are nowhere in it."""
    parts = tuple(_parts(_mapped(file), _mapped(copy)))
    if sum(len(part) for part in parts if isinstance(part, bytes)) > _MAX_OTHERS:
        return None
    return BytePatch(_sha256(copy), _sha256(file), parts)


def belongs_to(patch: BytePatch, copy: Path) -> bool:
    """Whether nothing has changed the copy since."""
    return _sha256(copy) == patch.copy_sha256


def write_patched(patch: BytePatch, copy: Path, out: Path) -> None:
    """Writes the file. Raises ValueError if it would not be the same."""
    with copy.open("rb") as source, out.open("wb") as target:
        for part in patch.parts:
            target.write(part if isinstance(part, bytes) else _read(source, *part))
    if _sha256(out) != patch.sha256:
        raise ValueError("the bytes in the log do not belong to this file")


def to_json(patch: BytePatch) -> dict[str, object]:
    """A patch for a line of the log."""
    parts = [base64.b64encode(part).decode() if isinstance(part, bytes) else list(part) for part in patch.parts]
    return {"copy_sha256": patch.copy_sha256, "sha256": patch.sha256, "parts": parts}


def from_json(values: dict[str, object]) -> BytePatch:
    """Undoes `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
    parts = values["parts"]
    if not isinstance(parts, list):
        raise TypeError("parts")
    read = (base64.b64decode(part) if isinstance(part, str) else (int(part[0]), int(part[1])) for part in parts)
    return BytePatch(str(values["copy_sha256"]), str(values["sha256"]), tuple(read))


def _mapped(path: Path) -> mmap.mmap:
    """The content of a file, which may be an album of hours and is not read into memory."""
    with path.open("rb") as source:
        return mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)


def _parts(file: mmap.mmap, copy: mmap.mmap) -> Iterator[tuple[int, int] | bytes]:
    """The audio is where it was, or moved by as much as the file has grown; a picture may have moved by less."""
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
    """(blocks,) int: the number of the first move by which the copy has a block of the file; -1 for none."""
    kinds = np.full(-(-len(file) // _BLOCK), -1)
    for number, moved in enumerate(moves):
        kinds[(kinds < 0) & _equal_blocks(file, copy, moved)] = number
    return kinds


def _runs(kinds: np.ndarray) -> list[tuple[int, int]]:
    """[first, end) of the runs of one kind."""
    starts = np.flatnonzero(np.diff(kinds, prepend=-2)).tolist()
    return list(zip(starts, [*starts[1:], len(kinds)], strict=True))


def _equal_blocks(file: mmap.mmap, copy: mmap.mmap, moved: int) -> np.ndarray:
    """(blocks,) bool: which blocks of the file the copy has `moved` bytes farther on."""
    equal = np.zeros(len(file), bool)
    begin, end = max(0, -moved), min(len(file), len(copy) - moved)
    former, present = np.frombuffer(file, np.uint8), np.frombuffer(copy, np.uint8)
    np.equal(former[begin:end], present[begin + moved : end + moved], out=equal[begin:end])
    blocks: np.ndarray = np.logical_and.reduceat(equal, np.arange(0, len(file), _BLOCK))
    return blocks


def _read(source: BinaryIO, first: int, length: int) -> bytes:
    source.seek(first)
    return source.read(length)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

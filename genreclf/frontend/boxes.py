"""Rectangles of pixels: what a picture falls into at its empty rows and columns, and where its frames are."""

from dataclasses import dataclass

import numpy as np

MAX_FRAME = 8  # pixels: the frame's thickness of 0.8 points at 600 dots per inch, and what blends with it
_BLENDED = 56  # of 255
_OFF_MAP = 6.0  # of 255: what blends with the frame is farther from the map's colours


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels, without `bottom` and `right`."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """In pixels."""
        return self.right - self.left

    @property
    def area(self) -> int:
        """In pixels."""
        return self.height * self.width

    @property
    def smaller_side(self) -> int:
        """In pixels."""
        return min(self.height, self.width)

    def shrunk(self, lines: int) -> "Box":
        """Without so many lines on each side."""
        return Box(self.top + lines, self.bottom - lines, self.left + lines, self.right - lines)

    def within(self, outer: "Box") -> "Box":
        """A box that was found in the pixels of another one, in the picture of that."""
        return Box(outer.top + self.top, outer.top + self.bottom, outer.left + self.left, outer.left + self.right)

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """The view of (height, width, ...) pixels inside."""
        return pixels[self.top : self.bottom, self.left : self.right]


def whole(pixels: np.ndarray) -> Box:
    """The box of (height, width, ...) pixels."""
    height, width = pixels.shape[:2]
    return Box(0, height, 0, width)


def blocks(box: Box, ink: np.ndarray) -> list[Box]:
    """Cuts a box at the rows and columns where (height, width) bool ink has none, until there are none."""
    inside = box.of(ink)
    rows, columns = (_runs(np.asarray(inside.any(axis=axis))) for axis in (1, 0))
    parts = [Box(top, bottom, left, right).within(box) for top, bottom in rows for left, right in columns]
    if len(parts) <= 1:
        return parts
    return [block for part in parts for block in blocks(part, ink)]


def _runs(used: np.ndarray) -> list[tuple[int, int]]:
    """[first, end) of the runs of True."""
    places = np.flatnonzero(used)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > 1)
    first, last = places[np.r_[0, breaks + 1]], places[np.r_[breaks, len(places) - 1]]
    return list(zip(first.tolist(), (last + 1).tolist(), strict=True))


def without_ticks(box: Box, ink: np.ndarray, least: float) -> Box:
    """The box without the lines at its edges that have less ink than this share of the fullest: tick marks, labels."""
    inside = box.of(ink)
    rows, columns = (
        np.flatnonzero(share >= least * share.max()) for share in (inside.mean(axis=1), inside.mean(axis=0))
    )
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1).within(box)


def without_frame(box: Box, pixels: np.ndarray) -> Box:
    """The box without the axes' frame, whose lines have one colour on all four sides.

    Beside a silent part of a plot a side may seem to have more of them, so the side with the fewest counts. Sides at
    the edge of the picture may have been cut, and do not count.
    """
    inside = box.of(pixels).astype(np.int16)
    across = inside.swapaxes(0, 1)
    height, width = pixels.shape[:2]
    are_whole = (box.top > 0, box.bottom < height, box.left > 0, box.right < width)
    sides = (inside, inside[::-1], across, across[::-1])  # each (lines, length, 3), from the edge inwards
    inner = [side for side, is_whole in zip(sides, are_whole, strict=True) if is_whole]
    if len(inner) < 2:  # of one side alone, a frame cannot be told from silence
        return box
    colour = np.median(np.concatenate([side[0] for side in inner]), axis=0)
    frame = min(_frame_lines(side, colour) for side in inner)
    top, bottom, left, right = (frame * is_whole for is_whole in are_whole)
    return Box(box.top + top, box.bottom - bottom, box.left + left, box.right - right)


def _frame_lines(lines: np.ndarray, colour: np.ndarray) -> int:
    """How many of the first lines are of a colour, or blended with at most a fifth of the plot's."""
    outer = lines[: min(MAX_FRAME, len(lines) // 8)]
    of_frame = (np.abs(outer - colour).max(axis=2) <= _BLENDED).mean(axis=1) >= 0.97
    return int(np.argmin(np.append(of_frame, False)))


def off_map_edges(distance: np.ndarray) -> Box:
    """(height, width) distances of colours from a map -> the box without lines at its edges that are not of the map.

    They are what a frame that is not as wide as a pixel leaves.
    """
    height, width = distance.shape
    limit = max(_OFF_MAP, 3 * float(np.median(distance)))
    top, bottom = _inner(np.median(distance, axis=1) > limit, height)
    left, right = _inner(np.median(distance, axis=0) > limit, width)
    return Box(top, bottom, left, right)


def _inner(strange: np.ndarray, size: int) -> tuple[int, int]:
    limit = min(MAX_FRAME, size // 8)
    first = next((line for line in range(limit) if not strange[line]), 0)
    last = next((line for line in range(limit) if not strange[size - 1 - line]), 0)
    return first, size - last

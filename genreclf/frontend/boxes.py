"""Rectangles of pixels: divides a picture at its empty rows and columns, and finds frames."""

from dataclasses import dataclass

import numpy as np

MAX_FRAME = 8  # pixels: a frame of 0.8 points at 600 dots per inch, and what blends with it
_BLENDED = 56  # of 255
_OFF_MAP = 6.0  # of 255: pixels that blend with the frame are farther from the map's colours


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels. `bottom` and `right` are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """The height in pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """The width in pixels."""
        return self.right - self.left

    @property
    def area(self) -> int:
        """The area in pixels."""
        return self.height * self.width

    @property
    def smaller_side(self) -> int:
        """The shorter side in pixels."""
        return min(self.height, self.width)

    def shrunk(self, lines: int) -> "Box":
        """Returns the box without `lines` lines on each side."""
        return Box(self.top + lines, self.bottom - lines, self.left + lines, self.right - lines)

    def turned(self) -> "Box":
        """Returns the box in a picture whose rows and columns are swapped."""
        return Box(self.left, self.right, self.top, self.bottom)

    def within(self, outer: "Box") -> "Box":
        """Converts a box found inside `outer` to the coordinates of the picture that `outer` is in."""
        return Box(outer.top + self.top, outer.top + self.bottom, outer.left + self.left, outer.left + self.right)

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """Returns a view of the pixels inside the box, from (height, width, ...)."""
        return pixels[self.top : self.bottom, self.left : self.right]


def whole(pixels: np.ndarray) -> Box:
    """Returns the box of all (height, width, ...) pixels."""
    return Box(0, pixels.shape[0], 0, pixels.shape[1])


def blocks(box: Box, ink: np.ndarray) -> list[Box]:
    """Divides a box at rows and columns without (height, width) bool ink, until there are none."""
    inside = box.of(ink)
    rows, columns = (_runs(np.asarray(inside.any(axis=axis))) for axis in (1, 0))
    parts = [Box(top, bottom, left, right).within(box) for top, bottom in rows for left, right in columns]
    if len(parts) <= 1:
        return parts
    return [block for part in parts for block in blocks(part, ink)]


def _runs(used: np.ndarray) -> list[tuple[int, int]]:
    """Returns the runs of True as [first, end)."""
    edges = np.flatnonzero(np.diff(used, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def without_ticks(box: Box, ink: np.ndarray, least: float) -> Box:
    """Removes lines at a box's edges with less ink than `least` times the fullest line's: tick marks and labels."""
    inside = box.of(ink)
    shares = inside.mean(axis=1), inside.mean(axis=0)
    rows, columns = (np.flatnonzero(share >= least * share.max()) for share in shares)
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1).within(box)


def without_frame(box: Box, pixels: np.ndarray) -> Box:
    """Removes the axes' frame, whose lines have one colour on all four sides, from a box.

    Beside a silent part of a plot, a side may seem to have more lines, so the side with the fewest lines counts. Sides
    at the edge of the picture may have been cut, and do not count.
    """
    inside = box.of(pixels).astype(np.int16)
    across = inside.swapaxes(0, 1)
    height, width = pixels.shape[:2]
    are_whole = (box.top > 0, box.bottom < height, box.left > 0, box.right < width)
    sides = (inside, inside[::-1], across, across[::-1])  # each (lines, length, 3), from the edge inwards
    inner = [side for side, is_whole in zip(sides, are_whole, strict=True) if is_whole]
    if len(inner) < 2:  # with only one side, a frame cannot be distinguished from silence
        return box
    colour = np.median(np.concatenate([side[0] for side in inner]), axis=0)
    frame = min(_frame_lines(side, colour) for side in inner)
    top, bottom, left, right = (frame * is_whole for is_whole in are_whole)
    return Box(box.top + top, box.bottom - bottom, box.left + left, box.right - right)


def _frame_lines(lines: np.ndarray, colour: np.ndarray) -> int:
    """Counts the first lines that have this colour, blended with at most a fifth of the plot's."""
    outer = lines[: min(MAX_FRAME, len(lines) // 8)]
    of_frame = (np.abs(outer - colour).max(axis=2) <= _BLENDED).mean(axis=1) >= 0.97
    return int(np.argmin(np.append(of_frame, False)))


def off_map_edges(distance: np.ndarray) -> Box:
    """Returns the box without lines at its edges whose (height, width) distances show that they are not of the map.

    A frame that is narrower than a pixel leaves such lines.
    """
    limit = max(_OFF_MAP, 3 * float(np.median(distance)))
    (top, bottom), (left, right) = (_ends(np.median(distance, axis=axis) > limit) for axis in (1, 0))
    return Box(top, distance.shape[0] - bottom, left, distance.shape[1] - right)


def _ends(strange: np.ndarray) -> tuple[int, int]:
    """Counts the lines at both ends that are strange, 0 if they do not end within a frame's width."""
    most = max(1, min(MAX_FRAME, len(strange) // 8))
    return int(np.argmin(strange[:most])), int(np.argmin(strange[::-1][:most]))

"""The colours at the edges of a picture: what may be the border of a figure, and what stands out from it."""

import numpy as np

SAME = 24  # of 255: how far colours of one paint differ after JPEG, and the border where a frame's edge blends with it
CONTRAST = 128  # of 255: frames and labels are black on white or white on black
_EDGE, _LABELLED_EDGE = 0.8, 0.6  # of an edge, and of one that tick labels may reach: the border's colour


def border_colour(pixels: np.ndarray) -> np.ndarray | None:
    """The (3,) int16 colour of all edges of (height, width, 3) uint8, if it is one; a label may reach an edge."""
    return _common_colour(_edges(pixels))


def cut_borders(pixels: np.ndarray) -> list[np.ndarray]:
    """The colours that the left edge, where tick labels stand, has in common with another one."""
    top, bottom, left, right = _edges(pixels)
    colours = (_common_colour([left, other]) for other in (bottom, top, right))
    return [colour for colour in colours if colour is not None]


def edge_colours(pixels: np.ndarray) -> list[np.ndarray]:
    """The colours of single edges."""
    colours = (_common_colour([edge], _LABELLED_EDGE) for edge in _edges(pixels))
    return [colour for colour in colours if colour is not None]


def is_drawn_line(line: np.ndarray, border: np.ndarray) -> bool:
    """Whether (length, 3) pixels are an axes' line, which stands out from the border; sounds fade in."""
    return bool(np.abs(np.median(line, axis=0) - border).max() > CONTRAST)


def differs(pixels: np.ndarray, colour: np.ndarray, by: int = SAME) -> np.ndarray:
    """(height, width) bool: the ink on a ground of this colour."""
    ink: np.ndarray = (np.abs(pixels.astype(np.int16) - colour) > by).any(axis=2)
    return ink


def _edges(pixels: np.ndarray) -> list[np.ndarray]:
    """Each (length, 3) int16: the upper, lower, left and right edge."""
    return [edge.astype(np.int16) for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])]


def _common_colour(edges: list[np.ndarray], least: float = _EDGE) -> np.ndarray | None:
    colour = np.median(np.concatenate(edges), axis=0).astype(np.int16)
    shares = [(np.abs(edge - colour).max(axis=1) <= SAME).mean() for edge in edges]
    return colour if min(shares) >= least else None

"""Finds the colours at the edges of a picture: possible borders of a figure, and what stands out from them."""

import numpy as np

SAME = 24  # of 255: difference of equal colours after JPEG, and of the border where a frame's edge blends with it
CONTRAST = 128  # of 255: frames and labels are black on white or white on black
_WHITE = 230  # of 255: dark borders cannot be distinguished from silence
_EDGE, _LABELLED_EDGE = 0.8, 0.6  # least share of the border's colour in an edge, and in one that tick labels may reach


def border_colour(pixels: np.ndarray) -> np.ndarray | None:
    """Returns the common colour of all edges of (height, width, 3) uint8, (3,) int16, or None.

    Labels may reach an edge.
    """
    return _common_colour(_edges(pixels))


def cut_borders(pixels: np.ndarray) -> list[np.ndarray]:
    """Returns the colours that the left edge, where the tick labels are, has in common with another edge."""
    top, bottom, left, right = _edges(pixels)
    colours = (_common_colour([left, other]) for other in (bottom, top, right))
    return [colour for colour in colours if colour is not None]


def white_edges(pixels: np.ndarray) -> list[np.ndarray]:
    """Returns the colours of single white edges."""
    colours = (_common_colour([edge], _LABELLED_EDGE) for edge in _edges(pixels))
    return [colour for colour in colours if colour is not None and is_white(colour)]


def is_white(colour: np.ndarray | None) -> bool:
    """Returns whether a border has a colour that cannot be silence."""
    return colour is not None and bool(colour.min() >= _WHITE)


def is_drawn_line(line: np.ndarray, border: np.ndarray) -> bool:
    """Returns whether (length, 3) pixels are a line of axes, which stands out from the border. Sounds fade in."""
    return bool(np.abs(np.median(line, axis=0) - border).max() > CONTRAST)


def differs(pixels: np.ndarray, colour: np.ndarray, by: int = SAME) -> np.ndarray:
    """Returns the ink on a background of this colour: (height, width) bool."""
    return np.asarray((np.abs(pixels.astype(np.int16) - colour) > by).any(axis=2))


def _edges(pixels: np.ndarray) -> list[np.ndarray]:
    """Returns the upper, lower, left and right edge, each (length, 3) int16."""
    return [edge.astype(np.int16) for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])]


def _common_colour(edges: list[np.ndarray], least: float = _EDGE) -> np.ndarray | None:
    colour = np.median(np.concatenate(edges), axis=0).astype(np.int16)
    shares = [(np.abs(edge - colour).max(axis=1) <= SAME).mean() for edge in edges]
    return colour if min(shares) >= least else None

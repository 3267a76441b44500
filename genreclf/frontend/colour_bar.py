"""The colour bar beside a plot: which block of a figure it is, and its colours."""

import numpy as np

from genreclf.frontend.borders import SAME
from genreclf.frontend.boxes import Box

_LENGTH = 0.7  # of the plot's side: matplotlib's are as long, plotly's 0.9, SoX's 0.78
# How far the widest channel reaches, and the sum of all changes. Of matplotlib's maps only the longest lists of
# colours change by more.
_RANGE, _CHANGES = 64, 3000
_ENDS = 100  # of its length, at both ends: what the outline may blend with
_OUTLINE = 2  # lines on each side, that may blend with what is inside


def is_colour_bar(block: Box, plot: Box, pixels: np.ndarray) -> bool:
    """Whether a block stands beside a plot, is as long, and has colours that change evenly."""
    if is_upright(block):
        beside = block.left >= plot.right or block.right <= plot.left
        shared = _shared(block.top, block.bottom, plot.top, plot.bottom)
    else:
        beside = block.top >= plot.bottom or block.bottom <= plot.top
        shared = _shared(block.left, block.right, plot.left, plot.right)
    if not beside or shared < _LENGTH:
        return False
    colours = bar_colours(block, pixels).astype(np.int16)
    inside = block.shrunk(min(_OUTLINE, block.smaller_side // 3)).of(pixels)
    across = np.ptp(inside.astype(np.int16), axis=1 if is_upright(block) else 0)
    if np.median(across) > SAME:
        return False
    return bool(np.ptp(colours, axis=0).max() >= _RANGE and np.abs(np.diff(colours, axis=0)).sum() <= _CHANGES)


def bar_colours(bar: Box, pixels: np.ndarray) -> np.ndarray:
    """(length, 3) uint8: the colours of a bar from its lower or left end on, without its outline."""
    inside = bar.of(pixels)
    inside = inside[::-1, inside.shape[1] // 2] if is_upright(bar) else inside[inside.shape[0] // 2]
    outline = 1 + len(inside) // _ENDS
    return inside[outline : len(inside) - outline]


def is_upright(box: Box) -> bool:
    """Whether a box is higher than wide."""
    return box.height > box.width


def _shared(low: int, high: int, plot_low: int, plot_high: int) -> float:
    """The share of a plot's side that a block's side is beside."""
    return (min(high, plot_high) - max(low, plot_low)) / (plot_high - plot_low)

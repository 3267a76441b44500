"""Finds the colour bar beside a plot, and its colours."""

import numpy as np

from genreclf.frontend.borders import SAME
from genreclf.frontend.boxes import Box

_LENGTH = 0.7  # of the plot's side: 1 in matplotlib, 0.9 in plotly, 0.78 in SoX
# Least range of the widest channel, and largest sum of all changes. Among matplotlib's maps, only the longest lists of
# colours change by more.
_RANGE, _CHANGES = 64, 3000
_ENDS = 100  # 1 / 100 of the length at both ends may blend with the outline
_OUTLINE = 2  # lines on each side that may blend with the outline


def is_colour_bar(block: Box, plot: Box, pixels: np.ndarray) -> bool:
    """Returns whether a block is beside a plot, about as long as the plot, and has colours that change evenly."""
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
    """Returns the colours of a bar from its lower or left end, without its outline: (length, 3) uint8."""
    inside = bar.of(pixels)
    inside = inside[::-1, inside.shape[1] // 2] if is_upright(bar) else inside[inside.shape[0] // 2]
    outline = 1 + len(inside) // _ENDS
    return inside[outline : len(inside) - outline]


def is_upright(box: Box) -> bool:
    """Returns whether a box is higher than wide."""
    return box.height > box.width


def _shared(low: int, high: int, plot_low: int, plot_high: int) -> float:
    """Returns the share of a plot's side that a block's side covers."""
    return (min(high, plot_high) - max(low, plot_low)) / (plot_high - plot_low)

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
    if not is_upright(block):
        return block.width > block.height and is_colour_bar(block.turned(), plot.turned(), pixels.swapaxes(0, 1))
    shared = min(block.bottom, plot.bottom) - max(block.top, plot.top)
    if (plot.left < block.right and block.left < plot.right) or shared < _LENGTH * plot.height:
        return False
    inside = block.shrunk(min(_OUTLINE, block.width // 3)).of(pixels)
    if np.median(np.ptp(inside.astype(np.int16), axis=1)) > SAME:
        return False
    colours = bar_colours(block, pixels).astype(np.int16)
    return bool(np.ptp(colours, axis=0).max() >= _RANGE and np.abs(np.diff(colours, axis=0)).sum() <= _CHANGES)


def bar_colours(bar: Box, pixels: np.ndarray) -> np.ndarray:
    """Returns the colours of a bar from its lower or left end, without its outline: (length, 3) uint8."""
    inside = bar.of(pixels)
    inside = inside[::-1, inside.shape[1] // 2] if is_upright(bar) else inside[inside.shape[0] // 2]
    outline = 1 + len(inside) // _ENDS
    return inside[outline : len(inside) - outline]


def has_steps(colours: np.ndarray) -> bool:
    """Returns whether a bar's colours, (length, 3) uint8, are a list of few: most of their change is in large steps."""
    steps = np.abs(np.diff(colours.astype(np.int16), axis=0)).max(axis=1)
    return bool(steps[steps > SAME].sum() > steps.sum() / 2)


def is_upright(box: Box) -> bool:
    """Returns whether a box is higher than wide."""
    return box.height > box.width

"""Finds the plots in a figure: inside its border, titles, tick labels and frames, and beside colour bars.

`figure_levels` reads the plots. `boxes` finds rectangles, `borders` borders, and `colour_bar` bars.
"""

from dataclasses import dataclass, replace

import numpy as np

from genreclf.frontend.borders import (
    CONTRAST,
    SAME,
    border_colour,
    cut_borders,
    differs,
    is_drawn_line,
    white_edges,
)
from genreclf.frontend.boxes import MAX_FRAME, Box, blocks, whole, without_frame, without_ticks
from genreclf.frontend.colour_bar import bar_colours, is_colour_bar, is_upright

_NESTED = 3  # a plot in a figure in a window on a desktop
_MIN_SIDE = 32  # pixels: smaller blocks are labels or colour bars
_OTHER_PLOT = 0.3  # of the largest plot's area
_COLOURED = 0.2  # least share of colours in a coloured plot; silence may be white only in grey ones
_SILENT = 0.002  # least share of the border's colour in a plot with silence
_TWO_COLOURS = 0.9  # of a plot's pixels, in its two most frequent colours in steps of 16 levels
_HALF, _TICKS = 0.5, 0.1  # of the fullest line's ink: lines of a frame have more than half of it, tick marks less
_TITLE = 8  # the least ratio of a plot's side to a title's height
_BLENDED_LINES = 2  # lines on each side that may blend with the frame
_CENTRED = 2  # pixels: largest distance of a title's centre from its plot's


@dataclass(frozen=True)
class Plot:
    """A plot in a figure."""

    box: Box  # the whole picture if it has no border
    fault: str  # why it is not a spectrogram; empty if it may be one
    framed: bool = False  # whether the axes have a frame
    stands_out: bool = False  # whether the frame stands out from what is around it; sounds fade in
    bar: np.ndarray | None = None  # (length, 3) uint8: the colours of its colour bar, from the lower or left end
    edges_seen: bool = True  # whether silence at its edges can be distinguished from what is around it


class _Ground:
    """(height, width, 3) pixels on a background of one colour, and the ink that differs from it."""

    def __init__(self, pixels: np.ndarray, colour: np.ndarray) -> None:
        self.pixels, self.colour = pixels, colour
        self.ink = differs(pixels, colour)  # (height, width) bool


def find_plots(pixels: np.ndarray) -> list[Plot]:
    """Finds the plots in (height, width, 3) uint8, at least one: the whole picture if it has no border."""
    return [inner for outer in _outer_plots(pixels) for inner in _of_window(outer, pixels, _NESTED)]


def _of_window(outer: Plot, pixels: np.ndarray, nested: int) -> list[Plot]:
    """Returns the framed plots if `outer` is a figure in a window, on a page or on a desktop, or else `outer`."""
    inside = outer.box.of(pixels)
    if outer.bar is not None or not nested:
        return [outer]
    border = border_colour(inside)
    for colour in cut_borders(inside) if border is None and not outer.framed else [border]:
        if colour is not None:
            parts = _plots_inside(_Ground(inside, colour))
            inner = [plot for part in parts for plot in _of_window(part, inside, nested - 1)]
            if found := [replace(plot, box=plot.box.within(outer.box)) for plot in inner if plot.stands_out]:
                return found
    return [outer]


def _outer_plots(pixels: np.ndarray) -> list[Plot]:
    if (border := border_colour(pixels)) is not None:
        return _plots_inside(_Ground(pixels, border))
    # A figure that was cut at its labels or axes has a border only at some edges. A plot without a border may have
    # silent edges, but it has no frame farther inside, no colour bar, and no text on white beside it.
    for colour in cut_borders(pixels):
        if framed := [plot for plot in _plots_inside(_Ground(pixels, colour)) if plot.stands_out]:
            return framed
    for colour in white_edges(pixels):
        ground = _Ground(pixels, colour)
        plots = _plots_inside(ground)
        if plots[0].bar is not None or _is_beside_labels(plots[0].box, ground) or _is_below_title(plots[0].box, ground):
            return plots
    return [_unbordered(pixels)]


def _unbordered(pixels: np.ndarray) -> Plot:
    return Plot(whole(pixels), _lines(pixels))


def _plots_inside(ground: _Ground) -> list[Plot]:
    parts = blocks(whole(ground.ink), ground.ink)
    inner = [without_ticks(part, ground.ink, _HALF) for part in parts]
    largest = max((one.area for one in inner if one.smaller_side >= _MIN_SIDE), default=0)
    plots = [
        _plot(part, one, next((bar for bar in inner if is_colour_bar(bar, one, ground.pixels)), None), ground)
        for part, one in zip(parts, inner, strict=True)
        if one.smaller_side >= _MIN_SIDE and one.area >= _OTHER_PLOT * largest
    ]
    return plots or [_unbordered(ground.pixels)]


def _plot(block: Box, inner: Box, bar: Box | None, ground: _Ground) -> Plot:
    """Makes the plot of a block of ink and its colour bar. `inner` is the block without its tick marks."""
    pixels, box = ground.pixels, without_frame(inner, ground.pixels)
    framed, stands_out, edges_seen = box != inner, False, True
    if framed:
        stands_out = box.left > 0 and is_drawn_line(pixels[:, box.left - 1], ground.colour)
        box = _inside_frame(box, ground)
    else:
        box, edges_seen = _unframed_axes(block, inner, bar, ground)
    colours = None if bar is None else bar_colours(bar, pixels)
    return Plot(box, _lines(box.of(pixels)), framed, stands_out, colours, edges_seen)


def _inside_frame(box: Box, ground: _Ground) -> Box:
    """Returns the box of what is drawn inside a frame, without margins and tick marks. Silence is not a margin."""
    ink, inner = ground.ink, box.shrunk(_BLENDED_LINES)
    if (colour := border_colour(inner.of(ground.pixels))) is not None:
        ink = differs(ground.pixels, colour)  # axes may have another background than the figure
    drawn = without_ticks(inner, ink, _TICKS)
    if _has_silence(drawn, ink):
        return box
    return Box(  # sides without a margin stay, whatever remains of the frame's line
        box.top if drawn.top == inner.top else drawn.top,
        box.bottom if drawn.bottom == inner.bottom else drawn.bottom,
        box.left if drawn.left == inner.left else drawn.left,
        box.right if drawn.right == inner.right else drawn.right,
    )


def _unframed_axes(block: Box, inner: Box, bar: Box | None, ground: _Ground) -> tuple[Box, bool]:
    """Returns the axes around the visible part of a plot without a frame, and whether they are known."""
    figure, quiet = whole(ground.ink), differs(ground.pixels, ground.colour, 2 * SAME)
    if not _has_silence(inner.shrunk(_BLENDED_LINES), quiet):
        return inner, True  # what is beside it in the block are tick labels that touch it
    box = without_ticks(block, ground.ink, _TICKS)
    if bar is None:
        return box, figure.height - box.height <= MAX_FRAME and figure.width - box.width <= MAX_FRAME
    if is_upright(bar):
        return (replace(box, top=bar.top, bottom=bar.bottom) if bar.height > box.height + MAX_FRAME else box), True
    return (replace(box, left=bar.left, right=bar.right) if bar.width > box.width + MAX_FRAME else box), True


def _is_below_title(plot: Box, ground: _Ground) -> bool:
    """Returns whether a plot fills its picture except for ink above it that is centred and narrower."""
    height, width = ground.ink.shape
    fills = plot.left <= _CENTRED and plot.right >= width - _CENTRED and plot.bottom >= height - _CENTRED
    columns = np.flatnonzero(ground.ink[: plot.top].any(axis=0))
    if not fills or not len(columns) or plot.top > width // _TITLE:
        return False
    left, right = int(columns[0]), width - int(columns[-1]) - 1
    return bool(min(left, right) > 0.02 * width and abs(left - right) <= 2 * _CENTRED)


def _is_beside_labels(plot: Box, ground: _Ground) -> bool:
    """Returns whether something outside a coloured plot stands out from the border, whose colour is not in the plot."""
    outside = np.abs(ground.pixels.astype(np.int16) - ground.colour).max(axis=2) > CONTRAST
    plot.of(outside)[:] = False
    inside = plot.of(ground.pixels)
    is_coloured = (np.ptp(inside, axis=2) > SAME).mean() > _COLOURED
    return bool(outside.any() and is_coloured) and not _has_silence(plot, ground.ink)


def _has_silence(box: Box, ink: np.ndarray) -> bool:
    """Returns whether a plot contains its border's colour, so that silence at its edges cannot be seen."""
    return bool(1 - box.of(ink).mean() > _SILENT)


def _lines(pixels: np.ndarray) -> str:
    """Returns why a plot with almost only two colours is not a spectrogram; "" for other plots, and for one colour."""
    coarse = (pixels >> 4).astype(np.int32) @ np.array([256, 16, 1], np.int32)
    counts = np.sort(np.bincount(coarse.reshape(-1)))[::-1]
    two_colours = counts[0] < coarse.size and counts[:2].sum() > _TWO_COLOURS * coarse.size
    return "nearly all of two colours: a waveform, lines, text, or power that is not in decibels" if two_colours else ""

"""Finds the plot in a figure: inside its border, titles, tick labels and the axes' frame, beside its colour bar."""

from dataclasses import dataclass, replace

import numpy as np

_SAME = 24  # of 255: how far colours of one paint differ after JPEG, and the border where a frame's edge blends with it
_EDGE, _LABELLED_EDGE = 0.8, 0.6  # of an edge, and of one that tick labels may reach: the border's colour
_GAP = 3  # pixels between a plot and its labels: 3.5 points, matplotlib's, at 72 dots per inch
_MIN_SIDE = 32  # pixels: what is smaller is a label or a colour bar
_SECOND_PLOT = 0.3  # of the largest plot's area
_WHITE = 230  # of 255: dark borders cannot be told from silence
_COLOURED = 0.2  # of a plot; silence may be white only in grey ones
_SILENT = 0.002  # of a plot
_BAR = 0.95  # of a plot's side: its colour bar's
# The colours of a bar: how far the widest channel reaches, and the sum of all changes. Of matplotlib's maps only the
# longest lists of colours change by more.
_BAR_RANGE, _BAR_CHANGES = 64, 3000
_USUAL_BOTTOMS = (0.11, 0.1, 0.125)  # of a figure's height below the axes: matplotlib 2 and later, 1, Kaggle's figures
_TWO_COLOURS = 0.9  # of a plot, in the steps of 16 levels that are most frequent
_CONTRAST = 128  # of 255: frames are black on white or white on black
_MAX_FRAME = 8  # pixels: the frame's thickness of 0.8 points at 600 dots per inch, and what blends with it
_FULL_LINE = 0.8  # of the fullest line's ink: a line of the plot; titles have less
_BLENDED_LINES = 2  # on each side, that may blend with the frame
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
    def area(self) -> int:
        """In pixels."""
        return (self.bottom - self.top) * (self.right - self.left)

    def shrunk(self, lines: int) -> "Box":
        """Without so many lines on each side."""
        return Box(self.top + lines, self.bottom - lines, self.left + lines, self.right - lines)

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """The view of (height, width, ...) pixels inside."""
        return pixels[self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class Plot:
    """Where a figure's plot is."""

    box: Box  # the whole picture if it has no border
    fault: str  # why the figure is not that of one spectrogram; empty if it may be
    framed: bool = False  # whether the axes' frame is around it
    bar: np.ndarray | None = None  # (length, 3) uint8: the colours of its colour bar, from the lower or left end


def find_plot(pixels: np.ndarray) -> Plot:
    """The plot of (height, width, 3) uint8; the whole picture if there is no border around it."""
    plot = _outer_plot(pixels)
    inside = plot.box.of(pixels)
    if plot.bar is not None or (border := _border_colour(_edges(inside))) is None:
        return plot
    inner = _framed_plot(border, inside)  # of a figure in a window, or on a page
    if inner is None:
        return plot
    top, left = plot.box.top, plot.box.left
    box = Box(top + inner.box.top, top + inner.box.bottom, left + inner.box.left, left + inner.box.right)
    return replace(inner, box=box)


def _outer_plot(pixels: np.ndarray) -> Plot:
    edges = _edges(pixels)
    if (border := _border_colour(edges)) is not None:
        return _plot_inside(border, pixels)
    # Cut at its labels or axes, a figure has its border at some edges only. A plot without a border may have silent
    # edges, but no frame further in, no colour bar, and nothing that is written on white beside it.
    for colour in _cut_borders(edges):
        if plot := _framed_plot(colour, pixels):
            return plot
    for colour in _edge_colours(edges):
        if colour.min() < _WHITE:
            continue
        plot = _plot_inside(colour, pixels)
        if plot.bar is not None or _is_beside_labels(plot.box, colour, pixels):
            return plot
    return Plot(_whole(pixels), _lines(pixels))


def _framed_plot(border: np.ndarray, pixels: np.ndarray) -> Plot | None:
    """The plot inside a border, if it has a frame that stands out from it."""
    plot = _plot_inside(border, pixels)
    has_frame = plot.framed and plot.box.left and _is_drawn_line(pixels[:, plot.box.left - 1], border)
    return plot if has_frame else None


def _plot_inside(border: np.ndarray, pixels: np.ndarray) -> Plot:
    whole, ink = _whole(pixels), _differs(pixels, border)
    blocks = [_without_ticks(block, ink) for block in _blocks(whole, ink)]
    large = sorted((one for one in blocks if _smaller_side(one) >= _MIN_SIDE), key=lambda one: -one.area)
    if not large:
        return Plot(whole, _lines(pixels))
    plots = [one for one in large if one.area >= _SECOND_PLOT * large[0].area]
    box = _without_frame(large[0], pixels)
    framed = box != large[0]
    bar = next((one for one in blocks if _is_colour_bar(one, box, pixels)), None)
    if framed and (ground := _border_colour(_edges(box.shrunk(_BLENDED_LINES).of(pixels)))) is not None:
        ink = _differs(pixels, ground)  # axes may have another ground than the figure
    box = _axes(box, framed, bar, ink)
    fault = f"a figure of {len(plots)} plots" if len(plots) > 1 else _lines(box.of(pixels))
    return Plot(box, fault, framed, None if bar is None else _along(bar, pixels))


def _axes(box: Box, framed: bool, bar: Box | None, ink: np.ndarray) -> Box:
    """What is drawn inside the axes, given what is inside their frame, or all that is seen of it."""
    drawn = _without_margins(box, ink)
    if not _has_silence(drawn, ink):
        return drawn
    if framed:
        return box
    if bar is None:
        return _usual_axes(box, _whole(ink))
    if _is_upright(bar):
        is_longer = bar.bottom - bar.top > box.bottom - box.top + _MAX_FRAME
        return Box(bar.top, bar.bottom, box.left, box.right) if is_longer else box
    is_longer = bar.right - bar.left > box.right - box.left + _MAX_FRAME
    return Box(box.top, box.bottom, bar.left, bar.right) if is_longer else box


def _without_margins(box: Box, ink: np.ndarray) -> Box:
    """The box without empty space inside the frame, and without a title close to what is drawn.

    Sides without any stay, whatever the frame leaves of a line.
    """
    inner = box.shrunk(_BLENDED_LINES)
    drawn = _without_ticks(inner, ink, _FULL_LINE)
    return Box(
        box.top if drawn.top == inner.top else drawn.top,
        box.bottom if drawn.bottom == inner.bottom else drawn.bottom,
        box.left if drawn.left == inner.left else drawn.left,
        box.right if drawn.right == inner.right else drawn.right,
    )


def _is_colour_bar(block: Box, plot: Box, pixels: np.ndarray) -> bool:
    """Whether a block stands beside a plot, is as long, and has colours that change evenly."""
    if _is_upright(block):
        beside = block.left >= plot.right or block.right <= plot.left
        shared = _shared(block.top, block.bottom, plot.top, plot.bottom)
    else:
        beside = block.top >= plot.bottom or block.bottom <= plot.top
        shared = _shared(block.left, block.right, plot.left, plot.right)
    if not beside or shared < _BAR:
        return False
    colours = _along(block, pixels).astype(np.int16)
    inside = block.shrunk(min(_BLENDED_LINES, _smaller_side(block) // 3)).of(pixels)
    across = np.ptp(inside.astype(np.int16), axis=1 if _is_upright(block) else 0)
    if np.median(across) > _SAME:
        return False
    return bool(np.ptp(colours, axis=0).max() >= _BAR_RANGE and np.abs(np.diff(colours, axis=0)).sum() <= _BAR_CHANGES)


def _along(bar: Box, pixels: np.ndarray) -> np.ndarray:
    """(length, 3) uint8: the colours of a bar from its lower or left end on, without its outline."""
    inside = bar.of(pixels)
    inside = inside[::-1, inside.shape[1] // 2] if _is_upright(bar) else inside[inside.shape[0] // 2]
    outline = len(inside) // 16
    return inside[outline : len(inside) - outline]


def _is_upright(box: Box) -> bool:
    return box.bottom - box.top > box.right - box.left


def _shared(low: int, high: int, plot_low: int, plot_high: int) -> float:
    """The share of a plot's side that a block's side is beside."""
    return (min(high, plot_high) - max(low, plot_low)) / (plot_high - plot_low)


def _is_beside_labels(plot: Box, border: np.ndarray, pixels: np.ndarray) -> bool:
    """Whether something that stands out from a border is outside a coloured plot without the border's colour inside."""
    outside = np.abs(pixels.astype(np.int16) - border).max(axis=2) > _CONTRAST
    plot.of(outside)[:] = False
    inside = plot.of(pixels)
    is_coloured = (np.ptp(inside, axis=2) > _SAME).mean() > _COLOURED
    return bool(outside.any() and is_coloured) and not _has_silence(plot, _differs(pixels, border))


def _has_silence(box: Box, ink: np.ndarray) -> bool:
    """Whether a plot has its border's colour inside, so that silence at its edges cannot be seen."""
    return bool(1 - box.of(ink).mean() > _SILENT)


def _usual_axes(box: Box, whole: Box) -> Box:
    """The axes of matplotlib's usual figure, if a box fills them but for an empty part; else the box."""
    height, width = whole.bottom, whole.right
    for bottom in _USUAL_BOTTOMS:
        top, left, right = 0.12 * height, 0.125 * width, 0.9 * width
        axes = Box(round(top), round(height - bottom * height), round(left), round(right))
        inside = axes.top <= box.top + 1 and box.bottom <= axes.bottom + 1 and axes.left <= box.left + 1
        beside = min(abs(box.left - axes.left), abs(box.right - axes.right))
        if inside and box.right <= axes.right + 1 and max(abs(box.bottom - axes.bottom), beside) <= 1:
            return axes
    return box


def _lines(pixels: np.ndarray) -> str:
    """Why a plot that has next to only two colours is no spectrogram; empty for others, and for one colour."""
    coarse = (pixels >> 4).astype(np.int32) @ np.array([256, 16, 1], np.int32)
    counts = np.sort(np.bincount(coarse.reshape(-1)))[::-1]
    two_colours = counts[0] < coarse.size and counts[:2].sum() > _TWO_COLOURS * coarse.size
    return "nearly all of two colours: a waveform, lines, text, or power that is not in decibels" if two_colours else ""


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
    limit = min(_MAX_FRAME, size // 8)
    first = next((line for line in range(limit) if not strange[line]), 0)
    last = next((line for line in range(limit) if not strange[size - 1 - line]), 0)
    return first, size - last


def _whole(pixels: np.ndarray) -> Box:
    height, width = pixels.shape[:2]
    return Box(0, height, 0, width)


def _edges(pixels: np.ndarray) -> list[np.ndarray]:
    """Each (length, 3) int16: the upper, lower, left and right edge."""
    return [edge.astype(np.int16) for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])]


def _border_colour(edges: list[np.ndarray], least: float = _EDGE) -> np.ndarray | None:
    """The (3,) colour of these edges, if it is one; a label may reach an edge."""
    colour = np.median(np.concatenate(edges), axis=0).astype(np.int16)
    shares = [(np.abs(edge - colour).max(axis=1) <= _SAME).mean() for edge in edges]
    return colour if min(shares) >= least else None


def _cut_borders(edges: list[np.ndarray]) -> list[np.ndarray]:
    """The colours that the left edge, where tick labels stand, has in common with another one."""
    top, bottom, left, right = edges
    colours = (_border_colour([left, other]) for other in (bottom, top, right))
    return [colour for colour in colours if colour is not None]


def _edge_colours(edges: list[np.ndarray]) -> list[np.ndarray]:
    """The colours of single edges."""
    colours = (_border_colour([edge], _LABELLED_EDGE) for edge in edges)
    return [colour for colour in colours if colour is not None]


def _is_drawn_line(line: np.ndarray, border: np.ndarray) -> bool:
    """Whether (length, 3) pixels are an axes' line, which stands out from the border; sounds fade in."""
    return bool(np.abs(np.median(line, axis=0) - border).max() > _CONTRAST)


def _differs(pixels: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(height, width) bool."""
    differs: np.ndarray = (np.abs(pixels.astype(np.int16) - colour) > _SAME).any(axis=2)
    return differs


def _blocks(box: Box, ink: np.ndarray) -> list[Box]:
    """Cuts a box at empty rows and columns until there are none."""
    inside = box.of(ink)
    rows, columns = (_runs(np.asarray(inside.any(axis=axis))) for axis in (1, 0))
    parts = [
        Box(box.top + top, box.top + bottom, box.left + left, box.left + right)
        for top, bottom in rows
        for left, right in columns
    ]
    if len(parts) <= 1:
        return parts
    return [block for part in parts for block in _blocks(part, ink)]


def _runs(used: np.ndarray) -> list[tuple[int, int]]:
    """[first, end) of the runs of True, those joined that are less than a gap apart."""
    places = np.flatnonzero(used)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > _GAP)
    first, last = places[np.r_[0, breaks + 1]], places[np.r_[breaks, len(places) - 1]]
    return list(zip(first.tolist(), (last + 1).tolist(), strict=True))


def _without_ticks(box: Box, ink: np.ndarray, least: float = 0.5) -> Box:
    """The box without the lines at its edges that have less ink than this share of the fullest: tick marks, labels."""
    inside = box.of(ink)
    rows, columns = (
        np.flatnonzero(share >= least * share.max()) for share in (inside.mean(axis=1), inside.mean(axis=0))
    )
    top, bottom, left, right = map(int, (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    return Box(box.top + top, box.top + bottom, box.left + left, box.left + right)


def _smaller_side(box: Box) -> int:
    return min(box.bottom - box.top, box.right - box.left)


def _without_frame(box: Box, pixels: np.ndarray) -> Box:
    """The box without the axes' frame, whose lines have one colour on all four sides.

    Beside a silent part of a plot a side may seem to have more of them, so the side with the fewest counts. Sides at
    the edge of the picture may have been cut, and do not count.
    """
    inside = box.of(pixels).astype(np.int16)
    across = inside.swapaxes(0, 1)
    height, width = pixels.shape[:2]
    whole = (box.top > 0, box.bottom < height, box.left > 0, box.right < width)
    sides = (inside, inside[::-1], across, across[::-1])  # each (lines, length, 3), from the edge inwards
    inner = [side for side, is_whole in zip(sides, whole, strict=True) if is_whole]
    if len(inner) < 2:  # of one side alone, a frame cannot be told from silence
        return box
    colour = np.median(np.concatenate([side[0] for side in inner]), axis=0)
    frame = min(_frame_lines(side, colour) for side in inner)
    top, bottom, left, right = (frame * is_whole for is_whole in whole)
    return Box(box.top + top, box.bottom - bottom, box.left + left, box.right - right)


def _frame_lines(lines: np.ndarray, colour: np.ndarray) -> int:
    """How many of the first lines are of a colour, or blended with at most a fifth of the plot's."""
    outer = lines[: min(_MAX_FRAME, len(lines) // 8)]
    of_frame = (np.abs(outer - colour).max(axis=2) <= _BLENDED).mean(axis=1) >= 0.97
    return int(np.argmin(np.append(of_frame, False)))

"""Converts the plots of a figure to levels of the 128 bands: colours to levels, rows to bands, and notes on both."""

from dataclasses import dataclass, replace

import numpy as np

from genreclf.frontend.axis_bands import to_bands
from genreclf.frontend.band_axis import AUTO, BandAxis, FigureAxis, find_axis
from genreclf.frontend.boxes import Box, off_map_edges, whole
from genreclf.frontend.colour_bar import has_steps
from genreclf.frontend.colour_maps import (
    GREY,
    SOX,
    Inverted,
    bar_direction,
    exact,
    is_cyclic,
    mostly_exact,
    nearest,
    uses_part,
)
from genreclf.frontend.drawn_over import filled, grid_lines, is_drawn_over
from genreclf.frontend.figure import Plot
from genreclf.frontend.kaggle_figure import kaggle_range
from genreclf.frontend.log_mel import N_BANDS
from genreclf.frontend.picture_content import fault_of_plot, likeness, turned, upright

UPPER_40_DB = "the upper 40 dB"
_USUAL_DB = 80
_SOX_DB = 120  # of SoX's and ffmpeg's colours
# matplotlib's specgram shows all that there is (120 to 214 dB in nine songs), and smooths rare low levels away: of 255,
# the lowest one is 70 to 101 then. Other figures use the lowest colours.
_SPECGRAM_DB, _SPECGRAM_LOWEST = 180, 60
_FEW_COLOURS = 64  # fewer are a list of colours; maps have 256
_EXACT = 1.0  # of 255: median distance from the map's colours; less if a plot is neither resized nor JPEG
_FRAME_LINES = 4  # lines that may blend with a plot
_MAX_DISTANCE = 14.0  # of 255, from the map's colours: up to 12 after JPEG, 16 and more in photos
# For plots with a colour bar, which are not photos; JPEG mixes the colours of a bar with few
_MAX_BAR_DISTANCE, _MAX_STEPS_DISTANCE = 20.0, 4.0
# Two channels, one above the other: part of the height above and below the middle that is compared, least difference of
# their mean levels, and least correlation of both halves. In 3,720 spectrograms of one channel it is at most 0.48.
_PART, _JUMP, _SAME_SOUND = 32, 10, 0.6
_COARSE = 16
_MANY_PLOTS = 12
_ALIKE = 0.3  # least correlation of plots of the same sound; of 5,000 pairs of different songs, 99.9 % are below 0.2


@dataclass(frozen=True)
class Reading:
    """The contents of a plot."""

    bands: np.ndarray  # (128, columns) uint8, row 0 the lowest band
    colours: str  # "grey", the name of the colour map, or `colour_maps.BAR`
    axis: str  # one of `band_axis.KINDS`
    note: str  # how it was read
    fault: str  # why it is not a mel spectrogram; empty if it may be one


def read_plots(pixels: np.ndarray, plots: list[Plot], settings: FigureAxis) -> Reading:
    """Reads the spectrogram among the plots of (height, width, 3) uint8. `settings` are the user's for its axis.

    If several show the same sound, such as both channels, a mel spectrogram is preferred, or else the first one.
    """
    count = f"a figure of {len(plots)} plots"
    if len(plots) > _MANY_PLOTS:
        fault = f"{count}, or one that grid lines divide; cut one out, or draw no grid"
        return replace(_read_plot(pixels, plots[0], settings), note="", fault=fault)
    readings = [_read_plot(pixels, plot, settings) for plot in plots]
    if len(readings) == 1:
        return readings[0]
    spectrograms = [one for one in readings if not one.fault]
    if not spectrograms:
        return replace(readings[0], fault=f"{count}: {'; '.join({one.fault: None for one in readings})}")
    chosen = next((one for one in spectrograms if one.axis in ("bands", "mel")), spectrograms[0])
    if min(likeness(chosen.bands, one.bands) for one in spectrograms) < _ALIKE:
        fault = f"{count}, of them {len(spectrograms)} spectrograms of different sound; cut one out"
        return replace(chosen, note="", fault=fault)
    number = 1 + [one is chosen for one in readings].index(True)
    return replace(chosen, note=f"{chosen.note}, plot {number} of {len(readings)}")


def _read_plot(pixels: np.ndarray, found: Plot, settings: FigureAxis) -> Reading:
    whole = _inverted(pixels, found.box, found.bar)
    plot = _one_channel(whole)
    drawn = plot.levels[::-1]
    levels = upright(drawn, loud_is_high=None if found.bar is None else bar_direction(found.bar, plot.colours) > 0)
    axis, range_db = _axis_and_range(levels, plot.colours, settings)
    bands, decibels = to_bands(levels, axis, range_db), f"{range_db} dB"
    # Kaggle's plots that were cut out and then resized, made grey or saved as JPEG
    may_be_kaggles = axis.kind == "bands" and (plot.colours == GREY or plot.distance.any())
    upper = kaggle_range(bands, plot.colours) if may_be_kaggles else None
    is_scale_known = upper is not None and plot.colours != GREY  # saved as JPEG, it resembles log1p
    fault = found.fault or _fault_of_colours(plot, found.bar) or fault_of_plot(levels, bands, is_scale_known)
    if fault:
        return Reading(bands, plot.colours, axis.kind, "", fault)
    if upper is not None:
        bands, decibels = upper, UPPER_40_DB
    is_told = settings.kind != AUTO and axis.kind in ("bands", "mel") and decibels != UPPER_40_DB
    channel = "" if plot is whole else ", the lower of two channels"
    edges = "" if found.edges_seen else ", assumed: it ends where its sound does"
    colours = _colours_note(plot, turned(drawn, levels, of_grey=plot.colours == GREY and found.bar is None))
    note = f"figure: {colours}, {_axis_note(axis, decibels, is_told)}{channel}{edges}"
    return Reading(bands, plot.colours, axis.kind, note, "")


def _axis_and_range(levels: np.ndarray, colours: str, settings: FigureAxis) -> tuple[BandAxis, int]:
    """Returns the axis of (rows, columns) levels, low frequency first, and the range of its colours in dB."""
    axis, of_specgram = find_axis(levels, settings), len(levels) > N_BANDS and levels.min() >= _SPECGRAM_LOWEST
    if not axis.seen and (colours == SOX or of_specgram):
        axis = replace(find_axis(levels, replace(settings, kind="linear")), seen=False)
    if axis.kind not in ("linear", "log"):
        return axis, _USUAL_DB
    return axis, _SOX_DB if colours == SOX else _SPECGRAM_DB if of_specgram else _USUAL_DB


def _fault_of_colours(plot: Inverted, bar: np.ndarray | None) -> str:
    if plot.distance.any() and is_cyclic(plot.colours):
        return f"the colours of {plot.colours} end as they begin, so that loud and quiet are mistaken"
    most = _MAX_DISTANCE if bar is None else _MAX_STEPS_DISTANCE if has_steps(bar) else _MAX_BAR_DISTANCE
    if np.sqrt(np.square(plot.distance).mean()) <= most:
        return ""
    return "its colours fit no colour map: a photo, a cover, JPEG of few colours, or much is drawn over it"


def _one_channel(plot: Inverted) -> Inverted:
    """Returns the lower half if both halves show the same sound, which are two channels, or else the whole plot."""
    half, edge = len(plot.levels) // 2, len(plot.levels) // _PART
    if not edge:
        return plot
    upper, lower = plot.levels[:half], plot.levels[-half:]
    jump = abs(float(lower[:edge].mean()) - float(upper[-edge:].mean()))
    if jump < _JUMP or likeness(_coarse(upper), _coarse(lower)) < _SAME_SOUND:
        return plot
    return replace(plot, levels=lower, distance=plot.distance[-half:])


def _coarse(levels: np.ndarray) -> np.ndarray:
    """Averages rows, so that one row more or less does not matter: (rows, columns) -> (16, columns)."""
    rows = len(levels) // _COARSE
    return np.asarray(levels[: _COARSE * rows].reshape(_COARSE, rows, -1).mean(axis=1))


def _colours_note(plot: Inverted, way_up: str) -> str:
    """Returns a note on the map, and on few colours and lines or text over the plot."""
    covered = round(100 * plot.covered)
    hidden = f", {covered} % of it hidden by lines or text and filled in" if covered else ""
    part = " in a part of its colours" if plot.distance.any() and uses_part(plot.levels) else ""
    return f"{plot.colours}{way_up}{few_colours(plot.levels) or part}{hidden}"


def few_colours(levels: np.ndarray) -> str:
    """Returns a note on uint8 levels that are too few for a map, or ""."""
    count = len(np.unique(levels))
    return f" in only {count} colours" if count < _FEW_COLOURS else ""


def _axis_note(axis: BandAxis, decibels: str, is_told: bool) -> str:
    """Returns a note on a figure's axis and levels, and on what is assumed, unless the user gave the axis."""
    kind = {"bands": f"{axis.count} bands", "mel": f"mel of {axis.count} bands"}.get(axis.kind, axis.kind)
    shown = f"{axis.kind if axis.count in (0, N_BANDS) else kind} to {axis.top_hz:,.0f} Hz"
    if not axis.seen:
        return f"assumed: {shown}, {decibels}"
    scale = "Slaney's scale, " if axis.kind == "bands" else ""
    return shown if is_told else f"{shown}, assumed: {scale}{decibels}"


def _inverted(pixels: np.ndarray, box: Box, bar: np.ndarray | None) -> Inverted:
    """Returns the levels inside a box, without lines at its edges that blend with a frame."""
    framed = box.area < pixels.shape[0] * pixels.shape[1]
    inner = [exact(box.shrunk(lines).of(pixels)) for lines in range(1 + _FRAME_LINES * framed)]
    found = min(filter(None, inner), key=lambda one: one.colours == GREY, default=None)  # a frame is grey, too
    if found and (bar is None or bar_direction(bar, found.colours)):
        return found
    found = nearest(box.of(pixels), bar)
    if np.median(found.distance) < _EXACT:
        resized = replace(found, distance=np.where(grid_lines(found.distance), np.inf, found.distance))
        under_lines = mostly_exact(box.of(pixels)) or resized
        if is_drawn_over(np.isinf(under_lines.distance), found.distance):
            found = under_lines
    is_array = not framed and len(pixels) == N_BANDS
    inside = whole(found.distance) if is_array else off_map_edges(found.distance)
    levels, distance = inside.of(found.levels), inside.of(found.distance)
    covered = np.isinf(distance)
    return Inverted(filled(levels, covered), found.colours, np.where(covered, 0, distance), float(covered.mean()))

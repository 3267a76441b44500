"""PNG and JPEG pictures <-> uint8 levels."""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from genreclf.errors import GenreclfError, reason
from genreclf.files import write_atomically
from genreclf.frontend.audio import check_input_file
from genreclf.frontend.band_axis import ANY_AXIS, BandAxis, FigureAxis, find_axis, to_bands
from genreclf.frontend.colour_maps import (
    GREY,
    WRITTEN,
    Inverted,
    distinct_colours,
    exact,
    levels_of,
    mostly_exact,
    nearest,
    written_table,
)
from genreclf.frontend.drawn_over import filled, is_drawn_over
from genreclf.frontend.figure import Box, find_plot, off_map_edges
from genreclf.frontend.kaggle_figure import kaggle_levels, seems_upper_40_db, upper_40_db
from genreclf.frontend.log_mel import N_BANDS
from genreclf.frontend.picture_content import ARRAY_SLOPE, fault_of_array, fault_of_plot, upright

KAGGLE_NOTE = "figure: magma, the upper 40 dB"
_DECIBELS = "80 dB"  # that colours are taken to show

MAX_BYTES = 256 * 1024**2
# The longest audio, two hours, has 310,079 columns.
MAX_PIXELS = 40_000_000
MAX_COLUMNS = MAX_PIXELS // N_BANDS

# What Pillow's decoders raise for a broken picture.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
_FEW_COLOURS = 64  # of a map: a list of colours
_EXACT = 1.0  # of 255, from the map's colours: less in most of a plot that is neither resized nor JPEG
_FRAME_LINES = 4  # that may blend with a plot
_MAX_DISTANCE = 14.0  # of 255, from the map's colours. JPEG moves them by up to 12; of photos they are 16 and more away


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    levels: np.ndarray  # (128, columns) uint8, row 0 the lowest band
    colours: str  # "grey" or the name of the colour map
    note: str  # how a figure was read, such as "figure: magma, mel to 8,000 Hz"; empty for other pictures
    unsuitable: str  # why it is no mel spectrogram; empty if it may be one


def read_picture(path: Path, figure: FigureAxis = ANY_AXIS) -> Picture:
    """Reads a picture of a spectrogram, or a figure that was drawn of one.

    Grey pictures of 128 rows, and figures as Kaggle's GTZAN set has them, are read without error. In other figures the
    plot is found, its colours are converted back to levels, and its rows to our bands: `figure` says
    what the picture does not show.

    Raises GenreclfError for a file that is missing, broken, neither PNG nor JPEG, not opaque, or above the bounds,
    which are checked before decoding.
    """
    image = _decoded(path)
    if image.mode.startswith("I"):  # 16-bit grey
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    pixels, opaque = _pixels(image)
    if len(pixels) == N_BANDS and (array := exact(pixels)) and array.colours == GREY and opaque.all():
        levels = upright(array.levels[::-1], ARRAY_SLOPE).copy()
        return Picture(levels, GREY, "", _no_mel(fault_of_array(levels)))
    if (levels_of_kaggle := kaggle_levels(pixels)) is not None:
        return Picture(levels_of_kaggle, "magma", KAGGLE_NOTE, "")
    plot = find_plot(pixels)
    if not plot.box.of(opaque).all():
        raise GenreclfError(f"{path}: has transparent pixels; save it without an alpha channel")
    inverted = _inverted(pixels, plot.box)
    return _read_plot(inverted, plot.fault, figure, _loud_is_high(plot.bar, inverted.colours))


def _loud_is_high(bar: np.ndarray | None, colours: str) -> bool | None:
    """Whether a colour bar, (length, 3) from its low end on, begins with a map's first levels; None without one."""
    if bar is None:
        return None
    levels = levels_of(bar.astype(np.float32), colours).astype(int)
    return bool(levels[-1] > levels[0])


def _read_plot(plot: Inverted, fault: str, figure: FigureAxis, loud_is_high: bool | None) -> Picture:
    distance = float(np.sqrt(np.square(plot.distance).mean()))
    drawn = plot.levels[::-1]
    levels = upright(drawn, loud_is_high=loud_is_high)
    if not fault and distance > _MAX_DISTANCE:
        fault = "its colours fit no colour map: a photo, a cover, or much is drawn over it"
    axis = find_axis(levels, figure)
    bands = to_bands(levels, axis)
    fault, decibels = fault or fault_of_plot(levels, bands), _DECIBELS
    # Kaggle's plots that were cut out and then resized or saved as JPEG.
    if plot.colours == "magma" and distance and axis.kind == "bands" and seems_upper_40_db(bands):
        bands, decibels = upper_40_db(bands), "the upper 40 dB"
    note = "" if fault else f"figure: {_colours_note(plot, _turned(drawn, levels))}, {_axis_note(axis, decibels)}"
    return Picture(bands, plot.colours, note, _no_mel(fault))


def _turned(drawn: np.ndarray, levels: np.ndarray) -> str:
    """What `upright` has done, as far as it can be seen in a note: what it judges by may deceive."""
    kinds = {
        "": drawn,
        " reversed": 255 - drawn,
        " upside down": drawn[::-1],
        " reversed, upside down": 255 - drawn[::-1],
    }
    return next(name for name, turned in kinds.items() if np.array_equal(levels, turned))


def _colours_note(plot: Inverted, turned: str) -> str:
    """The map, and what it cost: few colours, lines or text over the plot."""
    few, covered = distinct_colours(plot.colours), round(100 * plot.covered)
    steps = f" in only {few} colours" if few < _FEW_COLOURS else ""
    hidden = f", {covered} % of it hidden by lines or text and filled in" if covered else ""
    return f"{plot.colours}{turned}{steps}{hidden}"


def _axis_note(axis: BandAxis, decibels: str) -> str:
    """What is known of a figure's levels, and what is assumed because the figure does not show it."""
    shown = f"{axis.kind} to {axis.top_hz:,.0f} Hz"
    if not axis.seen:
        return f"assumed: {shown}, {decibels}"
    matters = axis.kind in ("linear", "log") or decibels != _DECIBELS
    return f"{shown}, assumed: {decibels}" if matters else shown


def _no_mel(fault: str) -> str:
    return f"no mel spectrogram: {fault}" if fault else ""


def _inverted(pixels: np.ndarray, box: Box) -> Inverted:
    """The levels inside a box, without lines at its edges that blend with a frame."""
    framed = box.area < pixels.shape[0] * pixels.shape[1]
    inner = [exact(box.shrunk(lines).of(pixels)) for lines in range(1 + _FRAME_LINES * framed)]
    if found := min(filter(None, inner), key=lambda one: one.colours == GREY, default=None):  # a frame is grey, too
        return found
    found = nearest(box.of(pixels))
    under_lines = mostly_exact(box.of(pixels)) if np.median(found.distance) < _EXACT else None
    if under_lines and is_drawn_over(np.isinf(under_lines.distance), found.distance):
        found = under_lines
    inside = off_map_edges(found.distance)
    levels, distance = inside.of(found.levels), inside.of(found.distance)
    covered = np.isinf(distance)
    return Inverted(filled(levels, covered), found.colours, np.where(covered, 0, distance), float(covered.mean()))


def _pixels(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """(height, width, 3) uint8 on white, and (height, width) bool: opaque."""
    image = image.convert("RGBA")
    opaque = np.asarray(image.getchannel("A")) == 255
    if not opaque.all():
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image)
        image = ground
    return np.asarray(image.convert("RGB")), opaque


def write_picture(path: Path, levels: np.ndarray, colours: str = "grey") -> None:
    """Writes (128, columns) uint8 levels as a PNG with the lowest band at the bottom, in grey or with a colour map.

    `read_picture` returns the same levels, for every map. Raises GenreclfError for unknown colours, too many columns
    and a path that cannot be written; ValueError for an array of another shape or type.
    """
    if levels.dtype != np.uint8 or levels.ndim != 2 or levels.shape[0] != N_BANDS or not levels.shape[1]:
        raise ValueError(f"levels must be uint8 ({N_BANDS}, columns), got {levels.dtype} {levels.shape}")
    if colours != "grey" and colours not in WRITTEN:
        raise GenreclfError(f"{path}: unknown colours {colours!r}; choose one of grey, {', '.join(WRITTEN)}")
    _check_size(path, levels.shape[1], N_BANDS)
    upside_down = np.ascontiguousarray(levels[::-1])
    pixels = upside_down if colours == "grey" else written_table(colours)[upside_down]  # (128, columns[, 3])
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise GenreclfError(f"{path}: cannot be written ({error.strerror}); choose another path") from error


def _decoded(path: Path) -> Image.Image:
    check_input_file(path, "PNG or JPEG", MAX_BYTES)
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            _check_size(path, *image.size)
            return ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:
        raise GenreclfError(f"{path}: more than {MAX_PIXELS:,} pixels; cut it into shorter pictures") from error
    except UnidentifiedImageError as error:
        raise GenreclfError(f"{path}: no PNG or JPEG picture; give a PNG or JPEG file") from error
    except _BROKEN as error:
        raise GenreclfError(f"{path}: broken picture ({reason(error)}); save it again") from error


def _check_size(path: Path, columns: int, rows: int) -> None:
    if columns > MAX_COLUMNS or columns * rows > MAX_PIXELS:
        bounds = f"{MAX_COLUMNS:,} columns and {MAX_PIXELS:,} pixels"
        raise GenreclfError(f"{path}: {columns:,} x {rows:,} pixels, more than {bounds}; cut it into shorter pictures")

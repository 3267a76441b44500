"""Reads pictures of spectrograms, and writes uint8 levels as PNG."""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from genreclf.errors import GenreclfError, reason
from genreclf.files import write_atomically
from genreclf.frontend.band_axis import ANY_AXIS, AUTO, NYQUIST_HZ, FigureAxis
from genreclf.frontend.borders import border_colour, is_white
from genreclf.frontend.colour_maps import GREY, WRITTEN, exact, written_table
from genreclf.frontend.figure import find_plots
from genreclf.frontend.figure_levels import UPPER_40_DB, few_colours, read_plots
from genreclf.frontend.kaggle_figure import kaggle_levels, kaggle_range
from genreclf.frontend.limits import check_input_file
from genreclf.frontend.log_mel import N_BANDS
from genreclf.frontend.picture_content import ARRAY_SLOPE, fault_of_array, turned, upright

KAGGLE_NOTE = f"figure: magma, {UPPER_40_DB}"
_SOFTWARE = "genreclf"  # in a text of the pictures that `write_picture` writes, which need no assumptions

_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
_READABLE = "PNG, JPEG, GIF, BMP, TIFF or WebP"
_MAX_LEVEL = 65_535  # of 16-bit grey
MAX_BYTES = 256 * 1024**2
# The longest audio, two hours, has 310,079 columns.
MAX_PIXELS = 40_000_000
MAX_COLUMNS = MAX_PIXELS // N_BANDS

# Exceptions of Pillow's decoders for a broken picture.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    levels: np.ndarray  # (128, columns) uint8, row 0 the lowest band
    colours: str  # "grey" or the name of the colour map
    note: str  # how it was read and what was assumed; empty for pictures by `write_picture`
    unsuitable: str  # why it is not a mel spectrogram; empty if it may be one


def read_picture(path: Path, figure: FigureAxis = ANY_AXIS) -> Picture:
    """Reads a picture of a spectrogram, or a figure that shows one.

    Grey pictures of 128 rows, and the figures of Kaggle's GTZAN set, are read exactly. In other figures, the plot is
    found, its colours are converted back to levels, and its rows to bands. `figure` gives what the picture does not
    show. A grey picture of 128 rows with a white border is a figure, too.

    Raises GenreclfError if the file is missing, broken, of another format, not opaque, or exceeds the limits, which are
    checked before decoding.
    """
    image = _decoded(path)
    if image.info.get("Software") == _SOFTWARE:
        figure = FigureAxis("bands", NYQUIST_HZ)
    pixels, opaque = _pixels(image)
    is_array = len(pixels) == N_BANDS and opaque.all() and (figure.kind != AUTO or not is_white(border_colour(pixels)))
    if is_array and (array := exact(pixels)) and array.colours == GREY:
        return _of_array(array.levels[::-1], is_told=figure.kind != AUTO)
    if (levels_of_kaggle := kaggle_levels(pixels)) is not None:
        return Picture(levels_of_kaggle, "magma", KAGGLE_NOTE, "")
    plots = find_plots(pixels)
    if not all(plot.box.of(opaque).all() for plot in plots):
        raise GenreclfError(f"{path}: has transparent pixels; save it without an alpha channel")
    found = read_plots(pixels, plots, figure)
    return Picture(found.bands, found.colours, found.note, _no_mel(found.fault))


def _of_array(drawn: np.ndarray, is_told: bool) -> Picture:
    """Reads the (128, columns) levels of a grey picture, the bottom row first. `is_told`: no assumption is needed."""
    levels = upright(drawn, ARRAY_SLOPE).copy()
    if fault := fault_of_array(levels):
        return Picture(levels, GREY, "", _no_mel(fault))
    way_up, upper = turned(drawn, levels, of_grey=True), None if is_told else kaggle_range(levels, GREY)
    decibels = "80 dB" if upper is None else UPPER_40_DB
    assumed = "" if is_told else f"{few_colours(levels)}, assumed: Slaney's 128 bands to 11,025 Hz, {decibels}"
    note = f"read as grey{way_up}{assumed}" if way_up or assumed else ""
    return Picture(levels if upper is None else upper, GREY, note, "")


def _no_mel(fault: str) -> str:
    return f"no mel spectrogram: {fault}" if fault else ""


def _pixels(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pixels on white, (height, width, 3) uint8, and which ones are opaque, (height, width) bool."""
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
    text = PngInfo()
    text.add_text("Software", _SOFTWARE)
    Image.fromarray(pixels).save(content, format="PNG", pnginfo=text)
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise GenreclfError(f"{path}: cannot be written ({error.strerror}); choose another path") from error


def _decoded(path: Path) -> Image.Image:
    check_input_file(path, _READABLE, MAX_BYTES)
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_size(path, *image.size)
            upright = ImageOps.exif_transpose(image)
            return (_of_8_bits(path, upright) if upright.mode[0] in "IF" else upright).convert("RGBA")
    except Image.DecompressionBombError as error:
        raise GenreclfError(f"{path}: more than {MAX_PIXELS:,} pixels; cut it into shorter pictures") from error
    except UnidentifiedImageError as error:
        raise GenreclfError(f"{path}: not a {_READABLE} picture; save it as PNG") from error
    except _BROKEN as error:
        raise GenreclfError(f"{path}: broken picture ({reason(error)}); save it again") from error


def _of_8_bits(path: Path, image: Image.Image) -> Image.Image:
    """Converts 16-bit grey. Raises GenreclfError for other numbers, whose range is not known."""
    levels = np.asarray(image)
    if image.mode == "F" or levels.min() < 0 or levels.max() > _MAX_LEVEL:
        raise GenreclfError(f"{path}: its levels are not those of 8 or 16 bits; save it as a grey PNG")
    return Image.fromarray(np.rint(levels / (_MAX_LEVEL / 255)).astype(np.uint8))


def _check_size(path: Path, columns: int, rows: int) -> None:
    if columns > MAX_COLUMNS or columns * rows > MAX_PIXELS:
        bounds = f"{MAX_COLUMNS:,} columns and {MAX_PIXELS:,} pixels"
        raise GenreclfError(f"{path}: {columns:,} x {rows:,} pixels, more than {bounds}; cut it into shorter pictures")

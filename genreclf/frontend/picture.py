"""PNG and JPEG pictures <-> uint8 levels."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from genreclf.errors import GenreclfError
from genreclf.files import write_atomically
from genreclf.frontend.audio import check_input_file

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
BANDS = 128
COLOUR_MAPS = ("magma", "viridis", "inferno", "plasma")

MAX_BYTES = 256 * 1024**2
# The longest audio, two hours, has 310,079 columns.
MAX_PIXELS = 40_000_000
MAX_COLUMNS = MAX_PIXELS // BANDS

# What Pillow's decoders raise for a broken picture.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    levels: np.ndarray  # (128, columns) uint8, row 0 the lowest band
    colours: str  # how pixels became levels: "grey" or a colour map (both exact), else "luminance" (ITU-R 601)


def read_picture(path: Path) -> Picture:
    """Reads a picture whose lowest band is at the bottom. Heights other than 128 are averaged (box) to 128 rows.

    A picture drawn with one colour map is converted back to levels, for both roundings that matplotlib uses (imshow,
    pcolormesh); of two levels with the same colour, it is the lower. 16-bit grey is rounded to 8 bits.

    Raises GenreclfError for a file that is missing, broken, neither PNG nor JPEG, not opaque, or above the bounds,
    which are checked before decoding.
    """
    image = _decoded(path)
    if image.mode.startswith("I"):  # 16-bit grey
        levels, colours = np.rint(np.asarray(image) / 257).astype(np.uint8), "grey"
    else:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise GenreclfError(f"{path}: has transparent pixels; save it without an alpha channel")
        levels, colours = _levels(image)
    if len(levels) != BANDS:  # box averages undo drawing each band n times
        size = levels.shape[1], BANDS
        levels = np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BOX))
    return Picture(levels[::-1].copy(), colours)


def write_picture(path: Path, levels: np.ndarray, colours: str = "grey") -> None:
    """Writes (128, columns) uint8 levels as a PNG with the lowest band at the bottom, in grey or with a colour map.

    `read_picture` returns the same levels, for every map. Raises GenreclfError for unknown colours, too many columns
    and a path that cannot be written; ValueError for an array of another shape or type.
    """
    if levels.dtype != np.uint8 or levels.ndim != 2 or levels.shape[0] != BANDS or not levels.shape[1]:
        raise ValueError(f"levels must be uint8 ({BANDS}, columns), got {levels.dtype} {levels.shape}")
    if colours != "grey" and colours not in COLOUR_MAPS:
        raise GenreclfError(f"{path}: unknown colours {colours!r}; choose one of grey, {', '.join(COLOUR_MAPS)}")
    _check_size(path, levels.shape[1], BANDS)
    upright = np.ascontiguousarray(levels[::-1])
    pixels = upright if colours == "grey" else _written_table(colours)[upright]  # (128, columns[, 4])
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
            image.load()
            return image
    except Image.DecompressionBombError as error:
        raise GenreclfError(f"{path}: more than {MAX_PIXELS:,} pixels; cut it into shorter pictures") from error
    except UnidentifiedImageError as error:
        raise GenreclfError(f"{path}: cannot be read as a picture; give a PNG or JPEG file") from error
    except _BROKEN as error:
        raise GenreclfError(f"{path}: broken picture ({error}); save it again") from error


def _check_size(path: Path, columns: int, rows: int) -> None:
    if columns > MAX_COLUMNS or columns * rows > MAX_PIXELS:
        bounds = f"{MAX_COLUMNS:,} columns and {MAX_PIXELS:,} pixels"
        raise GenreclfError(f"{path}: {columns:,} x {rows:,} pixels, more than {bounds}; cut it into shorter pictures")


def _levels(image: Image.Image) -> tuple[np.ndarray, str]:
    """The (height, columns) levels of an opaque RGBA image, and `Picture.colours`."""
    red, green, blue, _ = image.split()
    if red.tobytes() == green.tobytes() == blue.tobytes():
        return np.asarray(red), "grey"
    distinct = image.getcolors(256)  # None for more than a map can have
    if distinct:
        found = np.array([colour for _, colour in distinct], np.uint8)  # (colours, 4)
        for name, table in _read_tables():
            if np.isin(_packed(found), _packed(table)).all():
                colours, first_level = np.unique(_packed(table), return_index=True)
                return first_level.astype(np.uint8)[np.searchsorted(colours, _packed(np.asarray(image)))], name
    return np.asarray(image.convert("RGB").convert("L")), "luminance"


def _read_tables() -> Iterator[tuple[str, np.ndarray]]:
    """Name and (256, 4) table of each map, first as `write_picture` uses it: there, shared colours have one level."""
    yield from ((name, _written_table(name)) for name in COLOUR_MAPS)
    yield from ((name, np.rint(_map(name)).astype(np.uint8)) for name in COLOUR_MAPS)  # pcolormesh rounds


def _written_table(name: str) -> np.ndarray:
    """The map as imshow draws it, (256, 4) uint8 RGBA, with distinct colours."""
    table = _map(name).astype(np.uint8)  # imshow truncates
    table[1:, 2] += (table[1:] == table[:-1]).all(axis=1)  # viridis repeats two colours: one more level of blue
    return table


def _map(name: str) -> np.ndarray:
    """The map's colours, (256, 4) RGBA in [0, 255], not rounded."""
    from matplotlib import colormaps  # slow to import, and only needed for colours

    return colormaps[name](np.arange(256)) * 255


def _packed(pixels: np.ndarray) -> np.ndarray:
    """RGBA (..., 4) uint8 -> one integer per pixel (...)."""
    return np.ascontiguousarray(pixels).view("<u4")[..., 0]

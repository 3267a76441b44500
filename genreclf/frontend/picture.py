"""PNG and JPEG pictures <-> uint8 levels. The only file that opens images."""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from genreclf.errors import GenreclfError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
BANDS = 128
COLOUR_MAPS = ("magma", "viridis", "inferno", "plasma")

MAX_BYTES = 256 * 1024**2
# Two hours, audio's bound, are 310,079 columns.
MAX_PIXELS = 40_000_000
MAX_COLUMNS = MAX_PIXELS // BANDS

# What Pillow raises, between its formats, for the bytes of a broken picture.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    `levels` is (128, columns) uint8, row 0 the lowest band. `colours` says how the pixels were read: "grey" or a
    colour map's name (both exact), or "luminance" (ITU-R 601: the picture is in colour but not on any known map).
    """

    levels: np.ndarray
    colours: str


def read_picture(path: Path) -> Picture:
    """The picture as levels; its low band is at the bottom. Heights other than 128 are averaged (box) to 128 rows.

    A picture on one colour map is turned back into that map's levels, as matplotlib's imshow and as its pcolormesh
    draw it; where two levels have one colour, it is the lower. 16-bit grey is rounded to 8 bits; any other kind of
    PNG or JPEG (palette, 1-bit, CMYK) is read by its colours.

    Raises GenreclfError for a file that is missing, broken, neither PNG nor JPEG, not opaque, or above the bounds,
    which are checked on the header, before decoding.
    """
    image = _decoded(path)
    if image.mode.startswith("I"):  # 16-bit grey
        levels, colours = np.rint(np.asarray(image) / 257).astype(np.uint8), "grey"
    else:
        levels, colours = _levels(_opaque(path, image))
    return Picture(_resized(levels)[::-1].copy(), colours)


def write_picture(path: Path, levels: np.ndarray, colours: str = "grey") -> None:
    """`levels` (128, columns) uint8, row 0 the lowest band, as a PNG, low band at the bottom, grey or on a colour map.

    `read_picture` gives the same levels back, for every map.

    Raises GenreclfError for unknown colours, too many columns or a path that cannot be written.
    """
    if levels.dtype != np.uint8 or levels.ndim != 2 or levels.shape[0] != BANDS or not levels.shape[1]:
        raise ValueError(f"levels must be uint8 ({BANDS}, columns), got {levels.dtype} {levels.shape}")
    if colours != "grey" and colours not in COLOUR_MAPS:
        raise GenreclfError(f"{path}: unknown colours {colours!r}; choose one of grey, {', '.join(COLOUR_MAPS)}")
    _check_size(path, levels.shape[1], BANDS)
    upright = np.ascontiguousarray(levels[::-1])
    pixels = upright if colours == "grey" else _written_table(colours)[upright]  # (128, columns[, 4])
    try:
        Image.fromarray(pixels).save(path, format="PNG")
    except OSError as error:
        raise GenreclfError(f"{path}: cannot be written: {error.strerror}") from error


def _decoded(path: Path) -> Image.Image:
    if not path.is_file():
        raise GenreclfError(f"{path}: no such file, or no plain one; give a PNG or JPEG file")
    if not os.access(path, os.R_OK):
        raise GenreclfError(f"{path}: no right to read it; change its permissions")
    if path.stat().st_size > MAX_BYTES:
        raise GenreclfError(f"{path}: larger than {MAX_BYTES // 1024**2} MiB; cut it into shorter pictures")
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


def _opaque(path: Path, image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    if image.getextrema()[3] != (255, 255):
        raise GenreclfError(f"{path}: has transparent pixels; save it without an alpha channel")
    return image


def _levels(image: Image.Image) -> tuple[np.ndarray, str]:
    """Levels (height, columns) of an opaque RGBA image, and how they were read."""
    red, green, blue, _ = image.split()
    if red.tobytes() == green.tobytes() == blue.tobytes():
        return np.asarray(red), "grey"
    distinct = image.getcolors(256)  # None for more than a map can have
    if distinct:
        found = np.array([colour for _, colour in distinct], np.uint8)  # (colours, 4)
        for name, table in _read_tables():
            if np.isin(_packed(found), _packed(table)).all():
                return _inverted(np.asarray(image), table), name
    return np.asarray(image.convert("RGB").convert("L")), "luminance"


def _read_tables() -> Iterator[tuple[str, np.ndarray]]:
    """Name and table of each map. All tables that `write_picture` uses come first: where maps share a colour, its
    level is the same among those, but not in the others.
    """
    yield from ((name, _written_table(name)) for name in COLOUR_MAPS)
    yield from ((name, np.rint(_map(name)).astype(np.uint8)) for name in COLOUR_MAPS)  # pcolormesh rounds


def _written_table(name: str) -> np.ndarray:
    """The map as imshow draws it, (256, 4) uint8 RGBA, but no colour twice: viridis repeats two of its colours, and
    the second of each pair gets one more step of blue.
    """
    table = _map(name).astype(np.uint8)  # imshow truncates
    table[1:, 2] += (table[1:] == table[:-1]).all(axis=1)
    return table


def _map(name: str) -> np.ndarray:
    """The map's colours (256, 4), RGBA in [0, 255], not yet whole numbers."""
    from matplotlib import colormaps  # only a picture in colour pays for this import

    return colormaps[name](np.arange(256)) * 255


def _inverted(pixels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Levels (height, columns) uint8 of RGBA pixels (height, columns, 4), all of which are in the table (256, 4)."""
    colours, first_level = np.unique(_packed(table), return_index=True)
    return first_level.astype(np.uint8)[np.searchsorted(colours, _packed(pixels))]


def _packed(pixels: np.ndarray) -> np.ndarray:
    """RGBA (..., 4) uint8 -> one integer a pixel (...)."""
    return np.ascontiguousarray(pixels).view("<u4")[..., 0]


def _resized(levels: np.ndarray) -> np.ndarray:
    """(height, columns) -> (128, columns): box averages along frequency, the inverse of drawing each band n times."""
    height, columns = levels.shape
    if height == BANDS:
        return levels
    return np.asarray(Image.fromarray(levels).resize((columns, BANDS), Image.Resampling.BOX))

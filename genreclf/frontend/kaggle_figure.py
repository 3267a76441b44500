"""Reads the figures of Kaggle's GTZAN set (`images_original`) exactly, and changed copies of them.

They have 432 x 288 pixels with a white border, and inside the axes' frame every pixel is a colour of magma. The
geometry was derived from real figures, and agrees with all of the 71,928 pixels inside.
"""

from itertools import pairwise

import numpy as np

from genreclf.frontend.boxes import Box
from genreclf.frontend.colour_maps import GREY, exact, nearest, written_table
from genreclf.frontend.log_mel import N_BANDS

_SIZE = (288, 432)
# Where the figure, or a part that people cut out to keep only the plot, begins, by its (height, width)
_BEGINS = {_SIZE: (0, 0), (218, 336): (35, 54), (217, 335): (35, 54)}
_INSIDE = Box(36, 252, 55, 388)  # column 388 is blended with the frame
_FRAMED = Box(35, 253, 54, 390)
_FRAME = 51  # of 255, at most, because a fifth of a colour shows through
# A row's band, from the lowest. A column's frame in a clip of n is ceil((column - 53) * n / 334.8 - 0.0085) - 1.
_ROWS_A_BAND = 217.44 / N_BANDS
_BANDS = np.floor((252 - np.arange(_INSIDE.top, _INSIDE.bottom)) / _ROWS_A_BAND).astype(int)
_MIN_ROWS, _MIN_COLUMNS = 200, 300  # for a plot that was cut out
_MIN_CHANGES = 20  # from row to row; by chance, each is at a band's end in 3 of 5 cases, all of 20 once in 30,000
_MIN_SIDE = 96  # for a resized figure
_BORDER = 245  # of 255: least mean brightness of the border after JPEG
_LABELS = 0.002  # of the border: a title or tick labels fill more
_INK = 128
# Share of the lowest colours in a plot: 14 to 71 % in Kaggle's figures, less than 6 % in 9 of 10 figures of 80 dB
_LOST, _LOWEST = 0.1, 6
_DARK = 70  # of 255: the mean is lower in 99 % of Kaggle's plots, and in 3 % of 3,720 drawn with 80 dB


def kaggle_levels(pixels: np.ndarray) -> np.ndarray | None:
    """Reads (height, width, 3) uint8 as (128, columns) uint8 levels, row 0 the lowest band; None for other pictures.

    The figures' decibels were doubled by mistake (amplitude_to_db of power), so that the colours show only the upper 40
    of 80 dB: levels from 128 on, and lower ones are 128. The figure begins 7 frames after the beginning of a clip of
    30 s. It may be cut at its frame or inside, or, with its border, be resized, saved as JPEG or made grey.
    """
    for read in (_whole, _cut_inside, _changed):
        index = read(pixels)
        if index is not None:
            return upper_40_db(index)
    return None


def upper_40_db(index: np.ndarray) -> np.ndarray:
    """Converts colour numbers, uint8, that show the upper 40 of 80 dB to levels."""
    levels: np.ndarray = np.rint(127.5 + 127.5 * (index + 0.5) / 256).astype(np.uint8)
    return levels


def seems_upper_40_db(index: np.ndarray) -> bool:
    """Returns whether a plot with these colour numbers is more similar to Kaggle's than to one of 80 dB."""
    return bool(index.mean() < _DARK)


def _whole(pixels: np.ndarray) -> np.ndarray | None:
    """Returns the (128, 333) colour numbers of a whole figure, or None."""
    if pixels.shape[:2] not in _BEGINS:
        return None
    figure = np.full((*_SIZE, 3), 255, np.uint8)
    figure[252, 54:390] = figure[35:253, 389] = _FRAME
    top, left = _BEGINS[pixels.shape[:2]]
    figure[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return _by_band(_INSIDE.of(figure), _BANDS) if _is_framed(figure) else None


def _cut_inside(pixels: np.ndarray) -> np.ndarray | None:
    """Returns the colour numbers of a part of the plot without its frame, recognised by its repeated rows, or None."""
    height, width = pixels.shape[:2]
    if not (_MIN_ROWS <= height <= len(_BANDS) and _MIN_COLUMNS <= width <= _INSIDE.right - _INSIDE.left + 1):
        return None
    inside = pixels[:, : _INSIDE.right - _INSIDE.left]
    repeats = (inside[1:] == inside[:-1]).all(axis=(1, 2))
    starts = range(len(_BANDS) - height + 1)
    found = [first for first in starts if (repeats >= (np.diff(_BANDS[first : first + height]) == 0)).all()]
    if len(found) != 1 or (~repeats).sum() < _MIN_CHANGES:
        return None
    return _by_band(inside, _BANDS[found[0] : found[0] + height])


def _changed(pixels: np.ndarray) -> np.ndarray | None:
    """Returns the colour numbers of a figure with other colours or another size, or None.

    It is recognised by its proportions and its share of the lowest colours.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < _MIN_SIDE:
        return None
    tall, wide = height / _SIZE[0], width / _SIZE[1]
    outside = np.ones((height, width), bool)
    outside[int(33 * tall) : int(256 * tall) + 1, int(52 * wide) : int(393 * wide) + 1] = False
    brightness = pixels.mean(axis=2)
    if brightness[outside].mean() < _BORDER or (brightness[outside] < _INK).mean() > _LABELS:
        return None
    lines = [brightness[int(37 * tall) : int(251 * tall), int(column * wide)].mean() for column in (56, 386)]
    if max(lines) > _BORDER:
        return None
    band_rows = 252.5 - (np.arange(N_BANDS) + 0.5) * _ROWS_A_BAND
    rows = np.clip((band_rows * tall).astype(int), int(37 * tall), int(251 * tall))
    inside = pixels[rows][:, int(np.ceil(56 * wide)) : int(387 * wide)]
    found = nearest(inside)
    levels = _of_brightness(inside) if found.colours == GREY else found.levels
    of_kaggle = (levels <= _LOWEST).mean() >= _LOST and seems_upper_40_db(levels)
    return levels if found.colours in (GREY, "magma") and of_kaggle else None


def _of_brightness(inside: np.ndarray) -> np.ndarray:
    """Converts grey pixels to the numbers of magma's colours, whose brightness always increases."""
    brightness = written_table("magma") @ np.array([0.299, 0.587, 0.114])
    between = [(low + high) / 2 for low, high in pairwise(brightness)]
    return np.searchsorted(between, inside[..., 0]).astype(np.uint8)


def _by_band(inside: np.ndarray, bands: np.ndarray) -> np.ndarray | None:
    """Converts magma's colours, (rows, columns, 3), to (128, columns). Bands without a row take the nearest one."""
    inverted = exact(inside)
    if inverted is None or inverted.colours != "magma":
        return None
    rows = np.abs(bands[:, None] - np.arange(N_BANDS)).argmin(axis=0)
    levels: np.ndarray = inverted.levels[rows]
    return levels


def _is_framed(pixels: np.ndarray) -> bool:
    border, frame = np.ones(_SIZE, bool), np.zeros(_SIZE, bool)
    _FRAMED.of(border)[:] = False
    _FRAMED.of(frame)[:] = True
    Box(36, 252, 55, 389).of(frame)[:] = False
    return bool((pixels[border] == 255).all() and (pixels[frame] <= _FRAME).all())

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
# Where a part that people cut out to keep only the plot begins, by its (height, width)
_BEGINS = {(218, 336): (35, 54), (217, 335): (35, 54)}
_INSIDE = Box(36, 252, 55, 388)  # column 388 is blended with the frame
_FRAMED = Box(35, 253, 54, 390)
_FRAME = 51  # of 255, at most, because a fifth of a colour shows through
# A row's band, from the lowest. A column's frame in a clip of n is ceil((column - 53) * n / 334.8 - 0.0085) - 1.
_ROWS_A_BAND = 217.44 / N_BANDS
_BANDS = np.floor((252 - np.arange(_INSIDE.top, _INSIDE.bottom)) / _ROWS_A_BAND).astype(int)
_BAND_ROWS = 252.5 - (np.arange(N_BANDS) + 0.5) * _ROWS_A_BAND  # the centres of the bands
_MIN_ROWS, _MIN_COLUMNS = 200, 300  # for a plot that was cut out
_MIN_CHANGES = 20  # from row to row; by chance, each is at a band's end in 3 of 5 cases, all of 20 once in 30,000
_MIN_SIDE = 96  # for a resized figure
_BORDER = 245  # of 255: least mean brightness of the border after JPEG
_LABELS = 0.002  # of the border: a title or tick labels fill more
_INK = 128
# Share of the lowest colours in a plot: 14 to 71 % in Kaggle's figures, less than 6 % in 9 of 10 figures of 80 dB
_LOST, _LOWEST = 0.1, 6
_DARK = 70  # of 255: the mean is lower in 99 % of Kaggle's plots, and in 3 % of 3,720 drawn with 80 dB
# Of grey plots, only the loudest quarter of the columns is judged: it must be dark, and lose some of the lowest bands.
# So are 94 % of 3,720 pictures whose upper 40 dB are left (97 % as the brightness of magma), and one with all 80 dB.
_LOUDEST, _DARK_LOUDEST, _BASS, _LOST_BASS = 0.75, 80, 32, 0.003


def kaggle_levels(pixels: np.ndarray) -> np.ndarray | None:
    """Reads (height, width, 3) uint8 as (128, columns) uint8 levels, row 0 the lowest band; None for other pictures.

    The figures' decibels were doubled by mistake (amplitude_to_db of power), so that the colours show only the upper 40
    of 80 dB: levels from 128 on, and lower ones are 128. The figure begins 7 frames after the beginning of a clip of
    30 s. It may be cut at its frame or inside, or, with its border, be resized, saved as JPEG or made grey.
    """
    if pixels.shape[:2] in _BEGINS:
        top, left = _BEGINS[pixels.shape[:2]]
        figure = np.full((*_SIZE, 3), 255, np.uint8)
        figure[252, 54:390] = figure[35:253, 389] = _FRAME
        figure[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        pixels = figure
    index = _cut_inside(pixels)
    if index is None and pixels[0, 0].min() >= _BORDER and min(pixels.shape[:2]) >= _MIN_SIDE:
        index = _whole(pixels)
    return None if index is None else _upper_40_db(index)


def kaggle_range(plot: np.ndarray, colours: str) -> np.ndarray | None:
    """Converts a plot to levels if it seems to show the upper 40 of 80 dB, as Kaggle's do, or else returns None.

    `plot` are (128, columns) uint8 colour numbers, low frequency first, of "magma" or "grey", which may be the
    brightness of magma.
    """
    if colours == "magma":
        return _upper_40_db(plot) if plot.mean() < _DARK else None
    loudness = plot.mean(axis=0)
    loudest = plot[:, loudness >= np.quantile(loudness, _LOUDEST)]
    if colours != GREY or loudest.mean() >= _DARK_LOUDEST or (loudest[:_BASS] <= _LOWEST).mean() < _LOST_BASS:
        return None
    return _upper_40_db(_index_of_brightness(plot))


def _upper_40_db(index: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(127.5 + 127.5 * (index + 0.5) / 256), np.uint8)


def _whole(pixels: np.ndarray) -> np.ndarray | None:
    """Returns the (128, columns) colour numbers of a whole figure, or None.

    If it was changed, it is recognised by its proportions and its share of the lowest colours, and lines that blend
    with the frame are left out.
    """
    tall, wide = (size / usual for size, usual in zip(pixels.shape, _SIZE, strict=False))
    changed = 0 if _is_framed(pixels) else 1
    if changed and not _is_bordered(pixels, tall, wide):
        return None
    rows = np.clip((_BAND_ROWS * tall).astype(int), int((36 + changed) * tall), int(251 * tall))
    inside = pixels[rows][:, int(np.ceil((55 + changed) * wide)) : int((388 - changed) * wide)]
    found = exact(inside) or nearest(inside)
    if found.colours == "magma" and not changed:
        return found.levels
    levels = _index_of_brightness(found.levels) if found.colours == GREY else found.levels
    of_kaggle = (levels <= _LOWEST).mean() >= _LOST and levels.mean() < _DARK
    return levels if found.colours in (GREY, "magma") and of_kaggle else None


def _is_framed(pixels: np.ndarray) -> bool:
    """Returns whether a figure has its size, white border and dark frame unchanged."""
    if pixels.shape[:2] != _SIZE:
        return False
    white, framed = (pixels == 255).all(axis=2), _FRAMED.of(pixels)
    _FRAMED.of(white)[:] = True
    return bool(white.all() and max(framed[[0, -1]].max(), framed[:, [0, -1]].max()) <= _FRAME)


def _is_bordered(pixels: np.ndarray, tall: float, wide: float) -> bool:
    """Returns whether a figure has a border without labels, and a plot that is not white at its left and right."""
    brightness = pixels.mean(axis=2)
    outside = np.ones(brightness.shape, bool)
    outside[int(33 * tall) : int(256 * tall) + 1, int(52 * wide) : int(393 * wide) + 1] = False
    border = brightness[outside]
    lines = [brightness[int(37 * tall) : int(251 * tall), int(column * wide)].mean() for column in (56, 386)]
    return bool(border.mean() >= _BORDER and (border < _INK).mean() <= _LABELS and max(lines) <= _BORDER)


def _cut_inside(pixels: np.ndarray) -> np.ndarray | None:
    """Returns the colour numbers of a part of the plot without its frame, recognised by its repeated rows, or None."""
    height, width = pixels.shape[:2]
    if not (_MIN_ROWS <= height <= len(_BANDS) and _MIN_COLUMNS <= width <= _INSIDE.width + 1):
        return None
    inside = pixels[:, : _INSIDE.width]
    repeats = (inside[1:] == inside[:-1]).all(axis=(1, 2))
    starts = range(len(_BANDS) - height + 1)
    found = [first for first in starts if (repeats >= (np.diff(_BANDS[first : first + height]) == 0)).all()]
    if len(found) != 1 or (~repeats).sum() < _MIN_CHANGES:
        return None
    inverted = exact(inside)
    if inverted is None or inverted.colours != "magma":
        return None
    bands = _BANDS[found[0] : found[0] + height]
    return np.asarray(inverted.levels[np.abs(bands[:, None] - np.arange(N_BANDS)).argmin(axis=0)])


def _index_of_brightness(greys: np.ndarray) -> np.ndarray:
    """Converts the brightness of magma's colours, which always increases, to their numbers.

    Brighter greys than magma's show that they are numbers.
    """
    brightness = written_table("magma") @ np.array([0.299, 0.587, 0.114])
    if greys.max() > brightness[-1] + 1:
        return greys
    return np.searchsorted([(low + high) / 2 for low, high in pairwise(brightness)], greys).astype(np.uint8)

"""The figures of Kaggle's GTZAN set (`images_original`), read without error.

432 x 288 pixels with a white border; inside the axes' frame every pixel is a colour of magma. The geometry was found
from real ones: their 71,928 pixels inside agree with it.
"""

import numpy as np

from genreclf.frontend.colour_maps import exact
from genreclf.frontend.figure import Box

_SIZE = (288, 432)
# The figure, and what people cut out of it to have the plot alone: where it begins, by its (height, width)
_BEGINS = {_SIZE: (0, 0), (218, 336): (35, 54), (217, 335): (35, 54)}
_INSIDE = Box(36, 252, 55, 388)  # column 388 is blended with the frame
_FRAMED = Box(35, 253, 54, 390)
_FRAME = 51  # of 255, at most: a fifth of a colour shines through
# A row's band, from the lowest. A column's frame of a clip of n is ceil((column - 53) * n / 334.8 - 0.0085) - 1.
_BANDS = np.floor((252 - np.arange(_INSIDE.top, _INSIDE.bottom)) * 128 / 217.44).astype(int)


def kaggle_levels(pixels: np.ndarray) -> np.ndarray | None:
    """(height, width, 3) uint8 -> (128, 333) uint8 levels, row 0 the lowest band; None if it is no such figure.

    Its decibels were doubled by mistake (amplitude_to_db of power), so that the colours show the upper 40 of 80 dB:
    levels from 128 on, and what is lower is 128. The figure begins 7 frames into a clip of 30 s. It may be cut at its
    frame.
    """
    if pixels.shape[:2] not in _BEGINS:
        return None
    figure = np.full((*_SIZE, 3), 255, np.uint8)
    figure[252, 54:390] = figure[35:253, 389] = _FRAME
    top, left = _BEGINS[pixels.shape[:2]]
    figure[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    if not _is_framed(figure):
        return None
    inverted = exact(_INSIDE.of(figure))
    if inverted is None or inverted.colours != "magma":
        return None
    _, first_row = np.unique(_BANDS, return_index=True)
    index = inverted.levels[first_row]  # (128, 333)
    return np.rint(127.5 + 127.5 * (index + 0.5) / 256).astype(np.uint8)


def _is_framed(pixels: np.ndarray) -> bool:
    border, frame = np.ones(_SIZE, bool), np.zeros(_SIZE, bool)
    _FRAMED.of(border)[:] = False
    _FRAMED.of(frame)[:] = True
    Box(36, 252, 55, 389).of(frame)[:] = False
    return bool((pixels[border] == 255).all() and (pixels[frame] <= _FRAME).all())

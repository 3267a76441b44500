"""The colours of a picture -> the levels of the colour map that it was drawn with: any of matplotlib's, or grey.

A colour bar shows other maps, too. A map and its reverse have the same colours; which of the two it was is for the bar
or for `picture_content` to tell.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

GREY = "grey"
BAR = "the colour bar's colours"
_FILE = Path(__file__).with_name("colour_maps.npz")  # written by scripts/make_colour_maps.py
WRITTEN = ("magma", "viridis", "inferno", "plasma")  # that `picture.write_picture` offers
# Defaults of librosa and matplotlib, and the old one. In JPEG of low quality another map may be nearer than the right
# one, by 5 to 13 %; usually the right one is two to twenty times as near.
_USUAL, _UNUSUAL = (GREY, *WRITTEN, "coolwarm", "jet"), 1.25
_GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
_SAMPLE = 2048  # pixels that choose the map
_ROUGH_STEP, _LIKELY = 8, 4.0  # of them; maps that fit so much worse than the best of these are not compared further
_MOSTLY = 0.5  # of the pixels: lines at each beat take up to 45 %
_AT_ONCE = 8192  # colours that are compared with a map at a time: 8 MB
# Of a bar's levels: how far, of 255, they may be from a straight line, and how flat it may be. What is as light as the
# ground around the bar is missing.
_UNEVEN, _LEAST_SLOPE = 4.0, 0.7
_MANY_GREYS = 100  # of 256. So many of an even map lie among those of the uneven one by chance once in 10 million
# JPEG stores brightness finer than colour. Rows: brightness, blue and red difference (ITU-R 601) at half weight.
_COMPARED = np.array([[0.299, 0.587, 0.114], [-0.084, -0.166, 0.25], [0.25, -0.209, -0.041]], np.float32)


@dataclass(frozen=True)
class Inverted:
    """A picture's levels."""

    levels: np.ndarray  # (height, width) uint8
    colours: str  # "grey", the name of a map, or BAR
    distance: np.ndarray  # (height, width) float32: of each pixel from its map's colour, RMS of the channels
    covered: float = 0.0  # the share of the plot that something drawn over it hides, and that was filled in


def exact(pixels: np.ndarray) -> Inverted | None:
    """(height, width, 3) uint8 -> levels, if all colours are grey or of one map as imshow or as pcolormesh round them.

    Of the levels of one colour, the middle one, or of two the lower.
    """
    colours, place = np.unique(_packed(pixels), return_inverse=True)
    if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all() and not _uneven(colours):
        return Inverted(pixels[..., 0].copy(), GREY, np.zeros(pixels.shape[:2], np.float32))
    if len(colours) > 256:
        return None
    for name, table in _exact_tables():
        known, level_of_known = _known(table)
        if np.isin(colours, known).all():
            levels = level_of_known[np.searchsorted(known, colours)]
            levels = levels[place].reshape(pixels.shape[:2])
            return Inverted(levels, name, np.zeros(levels.shape, np.float32))
    return None


def mostly_exact(pixels: np.ndarray) -> Inverted | None:
    """(height, width, 3) uint8 -> levels, if most colours are grey or of one map, and the others drawn over it.

    Lines and text: `distance` is infinite where they are, and 0 elsewhere.
    """
    packed = _packed(pixels)
    sample = packed.reshape(-1)[:: -(-packed.size // _SAMPLE)]
    tables = {(GREY, 0): _GREYS} | {(name, place): table for place, (name, table) in enumerate(_exact_tables())}
    shares = {key: np.isin(sample, _packed(table)).mean() for key, table in tables.items()}
    best = max(shares, key=lambda key: shares[key])
    if shares[best] < _MOSTLY:
        return None
    known, level_of_known = _known(tables[best])
    place = np.minimum(np.searchsorted(known, packed), len(known) - 1)
    distance = np.where(known[place] == packed, 0, np.inf).astype(np.float32)
    return Inverted(level_of_known[place], best[0], distance)


def nearest(pixels: np.ndarray, bar: np.ndarray | None = None) -> Inverted:
    """(height, width, 3) uint8 -> the levels of the nearest colours, of grey or the map that fits best.

    For JPEG, and for drawings that were resized. The colours of a bar, (length, 3) uint8 from its low end on, are the
    map if they are of no other.
    """
    colours, place = np.unique(_packed(pixels), return_inverse=True)
    place = place.reshape(pixels.shape[:2])
    distinct = _unpacked(colours)
    name = _best_map(distinct[place.reshape(-1)[:: -(-place.size // _SAMPLE)]])
    table = _mean_tables()[name]
    if bar is not None and not bar_direction(bar, name):
        name, table = BAR, bar[np.linspace(0, len(bar) - 1, 256).round().astype(int)].astype(np.float32)
    levels = _levels(distinct, table)
    distance = np.sqrt(np.square(distinct - table[levels]).mean(axis=1))
    return Inverted(levels[place], name, distance[place])


def bar_direction(bar: np.ndarray, name: str) -> int:
    """1 if the colours of a bar, (length, 3) uint8 from its low end on, are grey or a map's, -1 if reversed; else 0."""
    if name == BAR:
        return 1
    levels, place = _levels(bar.astype(np.float32), _mean_tables()[name]), np.linspace(0, 255, len(bar))
    slope, start = np.polyfit(place, levels, 1)
    is_even = np.abs(levels - (start + slope * place)).mean() < _UNEVEN and abs(slope) > _LEAST_SLOPE
    return int(np.sign(slope)) if is_even else 0


def _best_map(sample: np.ndarray) -> str:
    """The map that fits (N, 3) colours best, or grey."""
    compared = sample @ _COMPARED.T
    maps = _mean_tables()
    rough = {one: _misfit(compared[::_ROUGH_STEP], table) for one, table in maps.items()}
    likely = [one for one in maps if rough[one] <= _LIKELY * min(rough.values())]
    return min(likely, key=lambda one: _misfit(compared, maps[one]) * (1 if one in _USUAL else _UNUSUAL))


def _levels(colours: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(N, 3) colours, 0 to 255 -> (N,) uint8 levels of the nearest of (256, 3); of levels of one colour, the middle."""
    known, first, count = np.unique(table, axis=0, return_index=True, return_counts=True)
    middle = (first + (count - 1) // 2).astype(np.uint8)
    compared = known @ _COMPARED.T
    levels = np.empty(len(colours), np.uint8)
    for start in range(0, len(colours), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        levels[part] = middle[_squares(colours[part] @ _COMPARED.T, compared).argmin(axis=1)]
    return levels


def _misfit(sample: np.ndarray, table: np.ndarray) -> float:
    """The mean square of the compared colours' distances from a map's."""
    return float(_squares(sample, table @ _COMPARED.T).min(axis=1).mean())


def _uneven(greys: np.ndarray) -> bool:
    """Whether packed greys are of matplotlib's Greys, its one map of them that is uneven: it leaves out 30 of 256."""
    return len(greys) >= _MANY_GREYS and any(np.isin(greys, _packed(table)).all() for table in _tables()["Grays"])


def written_table(name: str) -> np.ndarray:
    """The (256, 3) uint8 colours of a map as imshow draws it, all distinct."""
    table: np.ndarray = _tables()[name][0].copy()
    table[1:, 2] += (table[1:] == table[:-1]).all(axis=1)  # viridis repeats two colours: one more level of blue
    return table


@cache
def _tables() -> dict[str, np.ndarray]:
    """Each map's (2, 256, 3) uint8 colours, as imshow (truncated) and as pcolormesh (rounded) draw them."""
    with np.load(_FILE) as file:
        return dict(zip(file["names"].tolist(), file["tables"], strict=True))


@cache
def _mean_tables() -> dict[str, np.ndarray]:
    """The (256, 3) float32 colours of grey and of each map, the mean of both roundings."""
    means = {name: tables.mean(axis=0, dtype=np.float32) for name, tables in _tables().items()}
    return {GREY: _GREYS.astype(np.float32), **means}


def _known(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(256, 3) uint8 -> the packed colours that differ, sorted, and the middle of the uint8 levels of each."""
    known, first, count = np.unique(_packed(table), return_index=True, return_counts=True)
    return known, (first + (count - 1) // 2).astype(np.uint8)


def _exact_tables() -> Iterator[tuple[str, np.ndarray]]:
    """Names and (256, 3) colours, first as `written_table` makes them."""
    yield from ((name, written_table(name)) for name in WRITTEN)
    yield from ((name, table) for name, tables in _tables().items() for table in tables)


def _squares(colours: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(N, 3), (256, 3) -> (N, 256) squared distances."""
    squares: np.ndarray = (colours**2).sum(axis=1)[:, None] - 2 * colours @ table.T + (table**2).sum(axis=1)
    return squares


def _packed(colours: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 -> (...) uint32."""
    red, green, blue = (colours[..., part].astype(np.uint32) for part in range(3))
    return red << 16 | green << 8 | blue


def _unpacked(packed: np.ndarray) -> np.ndarray:
    """(N,) uint32 -> (N, 3) float32."""
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(np.float32)

"""Converts the colours of a picture to the levels of its colour map: any of matplotlib's, or grey.

A colour bar shows other maps, too. A map and its reverse have the same colours. The bar or `picture_content` decides
which of the two it is.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

GREY = "grey"
SOX = "SoX"
BAR = "the colour bar's colours"
_FILE = Path(__file__).with_name("colour_maps.npz")  # written by scripts/make_colour_maps.py
WRITTEN = ("magma", "viridis", "inferno", "plasma")  # the choices of `picture.write_picture`
# Defaults of librosa and matplotlib, and the old one. With JPEG of low quality, another map may be 5 to 13 % nearer
# than the right one; usually the right one is two to twenty times as near.
_USUAL, _UNUSUAL = (GREY, *WRITTEN, "coolwarm", "jet"), 1.25
_PARTLY = 1.5  # handicap of a map of which only a part is used: jet's last third is autumn
_EQUAL = 24  # of 255
_GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
_SAMPLE = 2048  # number of pixels that choose the map
_ROUGH_STEP, _LIKELY = 8, 4.0  # step between pixels of a rough choice, and the worst misfit relative to the best one
_MOSTLY = 0.5  # least share of the pixels: lines at each beat take up to 45 %
_AT_ONCE = 8192  # number of colours compared with a map at a time: 8 MB
# A bar's levels: largest distance from a straight line, of 255, and least slope of the line. Colours as light as the
# background around the bar are missing.
_UNEVEN, _LEAST_SLOPE = 4.0, 0.7
_MANY_GREYS = 100  # of 256: so many greys of an even map are among the uneven one's by chance once in 10 million cases
# JPEG stores brightness finer than colour. Rows: brightness, blue and red difference (ITU-R 601) at half weight.
_COMPARED = np.array([[0.299, 0.587, 0.114], [-0.084, -0.166, 0.25], [0.25, -0.209, -0.041]], np.float32)


@dataclass(frozen=True)
class Inverted:
    """A picture's levels."""

    levels: np.ndarray  # (height, width) uint8
    colours: str  # "grey", the name of a map, or BAR
    distance: np.ndarray  # (height, width) float32: distance of each pixel from its map's colour, RMS of the channels
    covered: float = 0.0  # share of the plot that was hidden by something drawn over it, and was filled in


def exact(pixels: np.ndarray) -> Inverted | None:
    """Returns the levels of (height, width, 3) uint8 if all colours are grey or of one map; None otherwise.

    Colours may be rounded as by imshow or pcolormesh. If a colour has several levels, the middle one is used, or the
    lower one of two.
    """
    red = pixels[..., 0]
    if (red == pixels[..., 1]).all() and (red == pixels[..., 2]).all() and not _uneven(red):
        return Inverted(red.copy(), GREY, np.zeros(red.shape, np.float32))
    packed = _packed(pixels)
    for colour_map in _exact_maps():
        if not colour_map.inverted(_sample(packed)).distance.any():
            found = colour_map.inverted(packed)
            if not found.distance.any():
                return found
    return None


def mostly_exact(pixels: np.ndarray) -> Inverted | None:
    """Returns the levels of (height, width, 3) uint8 if most colours are grey or of one map; None otherwise.

    Other colours are lines and text over it, where `distance` is infinite. It is 0 elsewhere.
    """
    packed = _packed(pixels)
    shares = [(colour_map.inverted(_sample(packed)).distance == 0).mean() for colour_map in _exact_maps()]
    return _exact_maps()[int(np.argmax(shares))].inverted(packed) if max(shares) >= _MOSTLY else None


def nearest(pixels: np.ndarray, bar: np.ndarray | None = None) -> Inverted:
    """Returns the levels of the colours nearest to (height, width, 3) uint8, in grey or the map that fits best.

    This is for JPEG and for resized drawings. The colours of a bar, (length, 3) uint8 from its low end, are the map if
    they are not those of another one.
    """
    colours, place = np.unique(_packed(pixels), return_inverse=True)
    place = place.reshape(pixels.shape[:2])
    distinct = _unpacked(colours)
    name = _best_map(distinct[_sample(place)])
    table = _mean_tables()[name]
    if bar is not None and not bar_direction(bar, name):
        name, table = BAR, bar[np.linspace(0, len(bar) - 1, 256).round().astype(int)].astype(np.float32)
    levels = _levels(distinct, table)
    distance = np.sqrt(np.square(distinct - table[levels]).mean(axis=1))
    return Inverted(levels[place], name, distance[place])


def bar_direction(bar: np.ndarray, name: str) -> int:
    """Returns 1 if a bar's colours, (length, 3) uint8 from its low end, are those of a map, -1 if reversed, else 0."""
    if name == BAR:
        return 1
    levels, place = _levels(bar.astype(np.float32), _mean_tables()[name]), np.linspace(0, 255, len(bar))
    slope, start = np.polyfit(place, levels, 1)
    is_even = np.abs(levels - (start + slope * place)).mean() < _UNEVEN and abs(slope) > _LEAST_SLOPE
    return int(np.sign(slope)) if is_even else 0


def _best_map(sample: np.ndarray) -> str:
    """Returns the name of the map, or grey, that fits (N, 3) colours best."""
    compared = sample @ _COMPARED.T
    maps = _mean_tables()
    rough = {one: _misfit(compared[::_ROUGH_STEP], table) for one, table in maps.items()}
    likely = [one for one in maps if rough[one] <= _LIKELY * min(rough.values())]
    partly = {one: _PARTLY if uses_part(_levels(sample, maps[one])) else 1 for one in likely}
    return min(likely, key=lambda one: _misfit(compared, maps[one]) * partly[one] * (1 if one in _USUAL else _UNUSUAL))


def uses_part(levels: np.ndarray) -> bool:
    """Returns whether uint8 levels, but for rare ones, are less than half of a map: another map may have them all."""
    return bool(np.ptp(np.quantile(levels, [0.01, 0.99])) < 128)


def is_cyclic(name: str) -> bool:
    """Returns whether a map's first and last colour are nearly equal, so that its ends are mistaken in JPEG."""
    return name != BAR and bool(np.abs(_mean_tables()[name][0] - _mean_tables()[name][-1]).max() < _EQUAL)


def _levels(colours: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Returns the (N,) uint8 levels of (N, 3) colours, 0 to 255, in a (256, 3) table, by the nearest colour.

    If a colour has several levels, the middle one is used.
    """
    known, middle = _distinct(table)
    compared = known @ _COMPARED.T
    levels = np.empty(len(colours), np.uint8)
    for start in range(0, len(colours), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        levels[part] = middle[_squares(colours[part] @ _COMPARED.T, compared).argmin(axis=1)]
    return levels


def _misfit(sample: np.ndarray, table: np.ndarray) -> float:
    """Returns the mean square of the colours' distances from a map's."""
    return float(_squares(sample, table @ _COMPARED.T).min(axis=1).mean())


def _uneven(greys: np.ndarray) -> bool:
    """Returns whether uint8 greys are those of matplotlib's Greys, its only uneven grey map, which lacks 30 of 256."""
    used = np.flatnonzero(np.bincount(greys.ravel(), minlength=256))
    return len(used) >= _MANY_GREYS and any(np.isin(used, table[:, 0]).all() for table in _tables()["Grays"])


def written_table(name: str) -> np.ndarray:
    """Returns the (256, 3) uint8 colours of a map as drawn by imshow, all distinct."""
    table: np.ndarray = _tables()[name][0].copy()
    table[1:, 2] += (table[1:] == table[:-1]).all(axis=1)  # viridis repeats two colours: one more level of blue
    return table


@cache
def _tables() -> dict[str, np.ndarray]:
    """Returns each map's (2, 256, 3) uint8 colours, as drawn by imshow (truncated) and pcolormesh (rounded)."""
    with np.load(_FILE) as file:
        return dict(zip(file["names"].tolist(), file["tables"], strict=True))


@cache
def _mean_tables() -> dict[str, np.ndarray]:
    """Returns the (256, 3) float32 colours of grey, of each map, as means of both roundings, and of SoX's."""
    means = {name: tables.mean(axis=0, dtype=np.float32) for name, tables in _tables().items()}
    return {GREY: _GREYS.astype(np.float32), **means, SOX: _sox_table()}


def _sox_table() -> np.ndarray:
    """Returns the (256, 3) float32 colours of SoX's spectrograms, which ffmpeg approximates by straight lines."""
    level = np.linspace(0, 1, 256)
    red, green = (np.sin(np.clip((level - low) / size, 0, 1) * np.pi / 2) for low, size in ((0.13, 0.6), (0.6, 0.31)))
    blue = np.where(level < 0.6, np.sin(level / 0.6 * np.pi) / 2, np.clip((level - 0.78) / 0.22, 0, 1))
    return np.asarray(255 * np.stack([red, green, blue], axis=1), np.float32)


def _distinct(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct colours of a (256, 3) map, sorted, and the middle uint8 level of each."""
    known, first, count = np.unique(table, axis=0, return_index=True, return_counts=True)
    return known, (first + (count - 1) // 2).astype(np.uint8)


@dataclass(frozen=True)
class _ExactMap:
    name: str
    known: np.ndarray  # its distinct packed colours, sorted
    levels: np.ndarray  # their uint8 levels

    def inverted(self, packed: np.ndarray) -> Inverted:
        """Returns the levels of packed colours. The distances of those of other maps are infinite."""
        places = np.minimum(np.searchsorted(self.known, packed), len(self.known) - 1)
        distance = np.where(self.known[places] == packed, 0, np.inf).astype(np.float32)
        return Inverted(self.levels[places], self.name, distance)


@cache
def _exact_maps() -> list[_ExactMap]:
    """Returns all maps with exact colours, first those of `written_table`, last grey."""
    tables = [(name, written_table(name)) for name in WRITTEN]
    tables += [(name, table) for name, both in _tables().items() for table in both] + [(GREY, _GREYS)]
    distinct = [(name, *_distinct(table)) for name, table in tables]
    return [_ExactMap(name, _packed(known), levels) for name, known, levels in distinct]


def _sample(values: np.ndarray) -> np.ndarray:
    """Returns up to _SAMPLE of the values, evenly spaced."""
    return values.reshape(-1)[:: -(-values.size // _SAMPLE)]


def _squares(colours: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Returns squared distances: (N, 3), (256, 3) -> (N, 256)."""
    return np.asarray((colours**2).sum(axis=1)[:, None] - 2 * colours @ table.T + (table**2).sum(axis=1))


def _packed(colours: np.ndarray) -> np.ndarray:
    """Packs colours into integers: (..., 3) uint8 -> (...) uint32."""
    red, green, blue = (colours[..., part].astype(np.uint32) for part in range(3))
    return red << 16 | green << 8 | blue


def _unpacked(packed: np.ndarray) -> np.ndarray:
    """Inverse of `_packed`: (N,) uint32 -> (N, 3) float32."""
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(np.float32)

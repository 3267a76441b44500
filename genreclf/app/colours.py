"""Colours for genres, on light and dark pages, that differ from each other as much as possible.

They are chosen in OKLab, where equal distances look about equally different (Björn Ottosson, 2020,
https://bottosson.github.io/posts/oklab/), and also by how people with protanopia and deuteranopia see them (Machado,
Oliveira and Fernandes, 2009).
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

# Linear sRGB -> cone responses; their cube roots -> OKLab
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# Linear sRGB as seen without the long-wavelength and without the medium-wavelength cones
_COLOUR_BLIND = np.array(
    [
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ]
)
# The candidates are all combinations of lightness, chroma and hue. Their contrast with the page is above 3:1.
_LIGHT_PAGE, _DARK_PAGE = (0.36, 0.44, 0.52, 0.60), (0.62, 0.71, 0.80, 0.89)  # lightness of the same colours
_CHROMAS, _HUES = (0.03, 0.09, 0.15, 0.2), tuple(range(0, 360, 12))  # degrees
# Colour-blind people can tell fewer colours apart, so distances as they see them are multiplied by this.
_COLOUR_BLIND_WEIGHT = 3.0


def colours(*models: Sequence[str]) -> dict[str, str]:
    """Returns the CSS colour of each genre of one or several models. Models share the colour of a common genre."""
    names = list(dict.fromkeys(name for classes in models for name in classes))
    light, dark = palette(len(names))
    return {name: f"light-dark({light[place]}, {dark[place]})" for place, name in enumerate(names)}


@cache
def palette(count: int) -> tuple[list[str], list[str]]:
    """Returns `count` colours for a light page and `count` for a dark one. After all 480 candidates, colours repeat.

    Each colour is the candidate that differs most from the previous ones, so a longer palette begins with a shorter
    one.
    """
    pages = [_candidates(_LIGHT_PAGE), _candidates(_DARK_PAGE)]
    seen = np.concatenate([_as_seen(page) for page in pages])  # (2 pages * 3 kinds of vision, candidates, 3)
    chosen = [_HUES.index(264) * len(_LIGHT_PAGE) * len(_CHROMAS) + len(_CHROMAS) - 1]  # a strong, dark blue
    nearest = _distances(seen, chosen[0])
    while len(chosen) < min(count, len(nearest)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _distances(seen, chosen[-1]))
    places = np.resize(chosen, count)
    light, dark = ([_hex(colour) for colour in page[places]] for page in pages)
    return light, dark


def _candidates(lightness: Sequence[float]) -> np.ndarray:
    """Returns (candidates, 3) linear sRGB colours, with the chroma reduced to what a screen can show."""
    hue, light, chroma = (axis.ravel() for axis in np.meshgrid(np.radians(_HUES), lightness, _CHROMAS, indexing="ij"))
    for _ in range(100):
        colour = _linear(np.stack([light, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1))
        outside = ((colour < 0) | (colour > 1)).any(axis=1)
        chroma = np.where(outside, 0.95 * chroma, chroma)
    return colour.clip(0, 1)


def _as_seen(colour: np.ndarray) -> np.ndarray:
    """(N, 3) linear sRGB -> (3, N, 3) OKLab, for three kinds of vision."""
    blind = [_COLOUR_BLIND_WEIGHT * _oklab((colour @ kind.T).clip(0, 1)) for kind in _COLOUR_BLIND]
    return np.stack([_oklab(colour), *blind])


def _distances(seen: np.ndarray, place: int) -> np.ndarray:
    """Returns each colour's distance to the one at `place`, (N,): the minimum over pages and kinds of vision."""
    return np.linalg.norm(seen - seen[:, place, None], axis=2).min(axis=0)


def _oklab(colour: np.ndarray) -> np.ndarray:
    return np.cbrt(colour @ _CONES.T) @ _LAB.T


def _linear(lab: np.ndarray) -> np.ndarray:
    return (lab @ np.linalg.inv(_LAB).T) ** 3 @ np.linalg.inv(_CONES).T


def _hex(colour: np.ndarray) -> str:
    """Linear sRGB -> #rrggbb."""
    encoded = np.where(colour <= 0.0031308, 12.92 * colour, 1.055 * colour ** (1 / 2.4) - 0.055)
    return "#" + bytes(np.round(255 * encoded).astype(np.uint8)).hex()

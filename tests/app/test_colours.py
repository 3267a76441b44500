"""The colours of genres, checked with independent formulas: CIELAB for distances, WCAG for contrast."""

import itertools
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from genreclf.app import colours as module
from genreclf.app.colours import colours, palette

THEME = tomllib.loads((Path(module.__file__).parent / ".streamlit" / "config.toml").read_text())["theme"]
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _XYZ.sum(axis=1)


def linear(colour: str) -> np.ndarray:
    """#rrggbb -> linear sRGB, as defined by WCAG."""
    value = np.array(list(bytes.fromhex(colour[1:]))) / 255
    return np.where(value <= 0.03928, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def cielab(colour: str) -> np.ndarray:
    share = _XYZ @ linear(colour) / _WHITE
    root = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def least_distance(shown: list[str]) -> float:
    """Returns the least CIE76 distance; 2.3 is just noticeable."""
    return min(float(np.linalg.norm(cielab(a) - cielab(b))) for a, b in itertools.combinations(shown, 2))


@pytest.mark.parametrize(("count", "least"), [(10, 20), (20, 10), (40, 7)])
def test_any_two_of_the_colours_are_clearly_different(count, least):
    for shown in palette(count):
        assert least_distance(shown) > least


def test_colours_stand_out_from_both_backgrounds_of_their_page():
    for shown, page in zip(palette(40), (THEME["light"], THEME["dark"]), strict=True):
        for colour in shown:
            assert contrast(colour, page["backgroundColor"]) >= 3
            assert contrast(colour, page["secondaryBackgroundColor"]) >= 3


@pytest.mark.parametrize("page", ["light", "dark"])
def test_the_pages_text_is_legible(page):
    theme = THEME[page]
    for background in (theme["backgroundColor"], theme["secondaryBackgroundColor"]):
        assert contrast(theme["textColor"], background) >= 7
        assert contrast(theme["primaryColor"], background) >= 4.5


def test_a_genre_of_two_models_has_one_colour():
    one, both = colours(["rock", "jazz"]), colours(["rock", "jazz"], ["jazz", "tango", "rock"])
    assert both.keys() == {"rock", "jazz", "tango"} and len(set(both.values())) == 3
    assert one == {name: both[name] for name in one}
    assert all(re.fullmatch(r"light-dark\(#[0-9a-f]{6}, #[0-9a-f]{6}\)", colour) for colour in both.values())


def test_there_is_a_colour_for_each_of_very_many_genres():
    names = [str(number) for number in range(600)]
    assert list(colours(names)) == names and len(set(colours(names).values())) > 400

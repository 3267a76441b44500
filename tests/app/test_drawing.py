"""The bars of the genres, read back from their HTML."""

import re

import numpy as np

from genreclf.app.colours import colours
from genreclf.app.drawing import bars
from genreclf.inference.predictor import Prediction

CLASSES = ("blues", "<i>", "rock")


def test_bars_are_ranked_as_long_as_probable_and_in_the_genres_colours():
    prediction = Prediction(("rock",), 0.7, (0.1, 0.2, 0.7), (), 1.0, "", None, np.zeros(4, np.float32))
    colour = colours(CLASSES)
    shown = bars(prediction, CLASSES, colour)
    assert re.findall(r'aria-label="([^"]+): (\d+%)"', shown) == [
        ("rock", "70%"),
        ("&lt;i&gt;", "20%"),
        ("blues", "10%"),
    ]
    drawn = re.findall(r"width:([\d.]+%);background:(light-dark\([^)]+\))", shown)
    assert drawn == [("70.0%", colour["rock"]), ("20.0%", colour["<i>"]), ("10.0%", colour["blues"])]
    assert "<i>" not in shown

"""The genres' bars, read back from their HTML."""

import re

import numpy as np

from genreclf.app.colours import colours
from genreclf.app.drawing import bars
from genreclf.inference.predictor import Prediction
from genreclf.inference.task import MULTILABEL

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
    assert "<i>" not in shown and "threshold" not in shown


def test_thresholds_are_marked_and_read_out():
    shares = (0.1, 0.2, 0.7)
    prediction = Prediction(("rock",), 0.7, shares, (), 1.0, "", None, np.zeros(4, np.float32), task=MULTILABEL)
    shown = bars(prediction, CLASSES, colours(CLASSES), (0.3, 0.25, 0.5))
    assert re.findall(r': (\d+%), threshold (\d+%)"', shown) == [("70%", "50%"), ("20%", "25%"), ("10%", "30%")]
    assert re.findall(r"left:([\d.]+%)", shown) == ["50.0%", "25.0%", "30.0%"]

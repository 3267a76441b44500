from dataclasses import replace

import numpy as np
import pytest

from genreclf.app.words import agreement, also_likely, clock, plain, trust
from genreclf.inference.predictor import Prediction, Segment

CLASSES = ("ska", "dub", "rock")


def prediction(*segments: tuple[float, float, float]) -> Prediction:
    """Of segments of 10 s that start every 5 s."""
    pieces = tuple(Segment(5.0 * place, 5.0 * place + 10, values) for place, values in enumerate(segments))
    mean = tuple(sum(values) / len(values) for values in zip(*segments, strict=True))
    return Prediction(CLASSES[mean.index(max(mean))], max(mean), mean, pieces, 20.0, "", None, np.zeros(2))


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.36, "guess"), (0.44, "four in ten"), (0.86, "nine in ten"), (0.94, "nine in ten"), (0.98, "nearly all")],
)
def test_trust_follows_the_probability(probability, expected):
    assert expected in trust(prediction((probability, 0.6 * (1 - probability), 0.4 * (1 - probability))))


def test_the_next_genres_come_in_order():
    text = also_likely(prediction((0.2, 0.5, 0.3)), CLASSES)
    assert "dub" not in text and text.index("rock (30%)") < text.index("ska (20%)")


@pytest.mark.parametrize(("seconds", "expected"), [(0, "0:00"), (65.9, "1:05"), (3_600, "60:00")])
def test_clock(seconds, expected):
    assert clock(seconds) == expected


def test_agreement_names_the_parts_that_differ():
    one, other = prediction((0.9, 0.1, 0), (0.6, 0.4, 0)), prediction((0.8, 0.1, 0.1), (0.3, 0.7, 0))
    text = agreement(one, other, CLASSES, CLASSES)
    assert "predict ska" in text and "1 of 2" in text and "0:05 to 0:15 (ska or dub)" in text and "0:00" not in text
    assert "every part" in agreement(one, one, CLASSES, CLASSES)
    # With other segments, parts are not compared.
    assert "ska or rock" in agreement(one, prediction((0, 0, 1)), CLASSES, CLASSES)


def test_agreement_lists_few_parts():
    one, other = prediction(*[(0.9, 0.1, 0.0)] * 8), prediction(*[(0.1, 0.9, 0.0)] * 8)
    text = agreement(one, other, CLASSES, CLASSES)
    assert "8 of 8" in text and text.count("(ska or dub)") == 5 and "3 more" in text


def test_plain_text_has_no_markdown_left():
    assert plain("50 % dub, raï") == "50 % dub, raï"
    assert plain("*a* [b](c)") == r"\*a\* \[b\]\(c\)"
    assert plain(":smile: 0:05") == ":\u2060smile: 0:\u206005"
    assert plain("http://x me@y.z www.y.z") == "http:\u2060//x me@\u2060y\\.z www\u2060\\.y\\.z"
    assert plain("a -> b -- c\n\u202e\udce9") == r"a \-⁠\> b \-⁠\- c\\n\\u202e\\udce9".replace("⁠", "\u2060")


def test_a_model_whose_genres_do_not_fit_says_so():
    one = prediction((0.9, 0.1, 0))
    none = replace(one, genre="", no_genre="none of these genres; nearest: ska")
    assert "ska or none of its genres" in agreement(one, none, CLASSES, CLASSES)
    assert "Both models predict none of its genres" in agreement(none, none, CLASSES, CLASSES)

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genreclf.app.words import agreement, file_stem, no_genre, plain, prediction_sentence, trust
from genreclf.inference.catalog import Scores
from genreclf.inference.predictor import Prediction, Segment
from genreclf.inference.reliability import ReliabilityBin
from genreclf.inference.task import MULTILABEL
from genreclf.text import one_line

CLASSES = ("ska", "dub", "rock")


def prediction(*segments: tuple[float, float, float]) -> Prediction:
    """Returns a prediction with segments of 10 s that start every 5 s."""
    pieces = tuple(Segment(5.0 * place, 5.0 * place + 10, values, ()) for place, values in enumerate(segments))
    mean = tuple(sum(values) / len(values) for values in zip(*segments, strict=True))
    return Prediction((CLASSES[mean.index(max(mean))],), max(mean), mean, pieces, 20.0, "", None, np.zeros(2))


def several(*genres: str) -> Prediction:
    """Returns a prediction of a multi-label model."""
    return replace(prediction((0.2, 0.7, 0.3)), genres=genres, task=MULTILABEL)


def test_the_answer_in_words():
    assert prediction_sentence(prediction((0.25, 0.5, 0.25)), CLASSES) == "dub, probability 50\u00a0%"
    assert prediction_sentence(several("dub", "ska"), CLASSES) == "dub 70\u00a0%, ska 20\u00a0%"
    none = prediction_sentence(several(), CLASSES)
    assert "threshold" in none and "dub (70\u00a0%)" in none
    assert "thresholds" in trust(several("dub"), None, averaged=False)


MEASURED = Scores(
    0.7,
    (0.6, 0.8),
    5,
    (ReliabilityBin(0.4, 0.8, 57, 0.61), ReliabilityBin(0.8, 0.9, 63, 0.84), ReliabilityBin(0.9, 1, 9, 1)),
)


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.5, ("57", "40", "80", "61")), (0.84, ("63", "80", "90", "84")), (1.0, ("9", "100"))],
)
def test_trust_is_what_was_measured_at_this_probability(probability, expected):
    one = prediction((probability, 1 - probability, 0))
    said = trust(one, MEASURED, averaged=False)
    assert set(expected) <= set(re.findall(r"\d+", said))
    assert "averag" not in said and "averag" in trust(
        prediction((probability, 1 - probability, 0)), MEASURED, averaged=True
    )


def test_without_a_measurement_there_is_no_number():
    rare = prediction((0.35, 0.33, 0.32))
    assert "guess" in trust(rare, MEASURED, averaged=False)
    for scores in (None, Scores(0.7, (0.6, 0.8), 5)):
        said = trust(prediction((0.9, 0.1, 0)), scores, averaged=False)
        assert "not been measured" in said and not re.search(r"\d", said)


def test_a_song_without_a_genre_has_the_reason_and_the_nearest_genre():
    none = replace(prediction((0.2, 0.5, 0.3)), genres=(), no_genre="none of these genres; nearest: dub")
    assert "None of these" in no_genre(none, CLASSES) and "dub (50" in no_genre(none, CLASSES)
    silent = replace(none, probabilities=(), segments=(), no_genre="silence: no sound")
    assert "silence" in no_genre(silent, CLASSES) and "dub" not in no_genre(silent, CLASSES)


@given(st.text())
def test_the_name_of_a_download_is_one_plain_word_of_a_path(name):
    stem = file_stem(name)
    assert stem and len(stem) <= 100 and not set(stem) & set('/\\:*?"<>|\n\u202e') and stem == one_line(stem)
    assert not stem.startswith(".")


def test_usual_names_stay():
    assert file_stem("01 Raï & dub.tar.mp3") == "01 Raï & dub.tar" and file_stem(".mp3") == "mp3"


def test_agreement_names_the_parts_that_differ():
    one, other = prediction((0.9, 0.1, 0), (0.6, 0.4, 0)), prediction((0.8, 0.1, 0.1), (0.3, 0.7, 0))
    text = agreement(one, other, CLASSES, CLASSES)
    assert "predict ska" in text and "1 of 2" in text and "0:05 to 0:15 (ska or dub)" in text and "0:00" not in text
    assert "every part" in agreement(one, one, CLASSES, CLASSES)
    withheld = replace(other, genres=(), no_genre="none of these genres; nearest: ska")
    for pair in ((one, withheld), (withheld, one), (withheld, withheld)):
        said = agreement(*pair, CLASSES, CLASSES)
        assert "none of" in said and "part" not in said and ("ska" in said) == (one in pair)
    # With different segments, parts are not compared.
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

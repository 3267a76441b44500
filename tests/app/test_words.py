import pytest

from genreclf.app.words import agreement, also_likely, clock, trust
from genreclf.inference.prediction import Prediction, Segment

CLASSES = ("ska", "dub", "rock")


def answer(*shares: tuple[float, float, float]) -> Prediction:
    """Of segments of 10 s, each 5 s after the other."""
    pieces = tuple(Segment(5.0 * place, 5.0 * place + 10, own) for place, own in enumerate(shares))
    mean = tuple(sum(own) / len(own) for own in zip(*shares, strict=True))
    return Prediction(CLASSES[mean.index(max(mean))], max(mean), mean, pieces, 20.0, "")


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.36, "Hardly more than a guess"), (0.44, "about four were"), (0.86, "about nine were"), (0.98, "Nearly all")],
)
def test_how_far_to_trust_follows_the_probability(share, said):
    assert said in trust(answer((share, 0.6 * (1 - share), 0.4 * (1 - share))))


def test_the_next_guesses_are_told_in_order():
    assert also_likely(answer((0.2, 0.5, 0.3)), CLASSES) == "After that: rock (30%), then ska (20%)."


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (65.9, "1:05"), (3_600, "60:00")])
def test_clock(seconds, said):
    assert clock(seconds) == said


def test_agreement_names_the_parts_that_differ():
    one, other = answer((0.9, 0.1, 0), (0.6, 0.4, 0)), answer((0.8, 0.1, 0.1), (0.3, 0.7, 0))
    said = agreement(one, other, CLASSES, CLASSES)
    assert said == "Both say ska. They differ in 1 of 2 parts: 0:05 to 0:15 (ska or dub)."
    assert agreement(one, one, CLASSES, CLASSES) == "Both say ska. They agree in every part of it."
    assert agreement(one, answer((0, 0, 1)), CLASSES, CLASSES) == "They disagree: ska or rock."

"""Reads and looks up the bins of a scores.json."""

import json

import pytest

from genreclf.inference.catalog import read_scores
from genreclf.inference.reliability import ReliabilityBin, at_least, bin_of

BINS = (ReliabilityBin(0.3, 0.6, 20, 0.5), ReliabilityBin(0.6, 0.8, 30, 0.7), ReliabilityBin(0.8, 1.0, 50, 0.9))


@pytest.mark.parametrize(
    ("probability", "place"), [(0.2, None), (0.3, 0), (0.59, 0), (0.6, 1), (0.8, 2), (0.99, 2), (1.0, 2)]
)
def test_a_probability_lies_in_one_bin(probability, place):
    assert bin_of(BINS, probability) == (None if place is None else BINS[place])


def test_from_a_probability_on_the_bins_are_pooled():
    assert at_least(BINS, 0.6) == (0.6, 80, 100, pytest.approx((30 * 0.7 + 50 * 0.9) / 80))
    assert at_least(BINS, 0.7) == (0.8, 50, 100, 0.9)  # a bin cannot be divided
    assert at_least(BINS, 0.1) == (0.3, 100, 100, pytest.approx((20 * 0.5 + 30 * 0.7 + 50 * 0.9) / 100))
    assert at_least(BINS, 0.9) is None and at_least((), 0.5) is None and bin_of((), 0.5) is None


def test_scores_with_and_without_reliability(tmp_path):
    scores = {"accuracy": 0.7, "interval": [0.6, 0.8], "parameters": 5}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    scored = read_scores(tmp_path)
    assert scored is not None and scored.reliability == ()
    (tmp_path / "scores.json").write_text(json.dumps({**scores, "reliability": [one._asdict() for one in BINS]}))
    scored = read_scores(tmp_path)
    assert scored is not None and scored.reliability == BINS

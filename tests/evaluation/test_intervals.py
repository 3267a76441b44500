import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from genreclf.evaluation.intervals import by_group, clustered, wilson


def share(drawn: np.ndarray) -> np.ndarray:
    return drawn[:, 1] / drawn[:, 0]


@given(st.integers(1, 400), st.data())
def test_wilson_is_scipys(n, data):
    hits = data.draw(st.integers(0, n))
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_nothing_is_known_of_no_clips():
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(-9, 9)), min_size=1, max_size=30))
def test_sums_of_groups_are_those_of_a_loop(clips):
    names, figures = zip(*clips, strict=True)
    expected = [sum(f for name, f in clips if name == own) for own in sorted(set(names))]
    assert by_group(np.array(figures), names) == pytest.approx(expected)


def test_with_a_group_a_clip_it_is_the_usual_bootstrap():
    right = np.random.default_rng(1).random(120) < 0.7
    sums = np.column_stack([np.ones(120), right])
    reference = scipy.stats.bootstrap((right.astype(float),), np.mean, n_resamples=20_000, method="percentile", rng=0)
    assert clustered(sums, share) == pytest.approx(tuple(reference.confidence_interval), abs=0.012)


def test_clips_that_are_alike_count_as_one():
    """Ten copies of each clip say no more than one: the interval stays as wide."""
    right = np.random.default_rng(2).random(60) < 0.6
    once = clustered(np.column_stack([np.ones(60), right]), share)
    tenfold = by_group(np.column_stack([np.ones(600), np.repeat(right, 10)]), np.repeat(np.arange(60), 10).astype(str))
    assert clustered(tenfold, share) == pytest.approx(once, abs=0.02)
    assert wilson(int(10 * right.sum()), 600)[0] > once[0] + 0.05  # what it would be if clips were independent


def test_intervals_hold_the_truth_as_often_as_they_say(monkeypatch):
    """Groups of unequal size whose members agree mostly; the truth is 0.6."""
    monkeypatch.setattr("genreclf.evaluation.intervals.DRAWS", 1_000)
    rng, covered, trials = np.random.default_rng(3), 0, 300
    for _ in range(trials):
        sizes = rng.integers(1, 8, 60)
        own = rng.beta(3, 2, 60)  # each group's own share of right answers; its mean is 0.6
        low, high = clustered(np.column_stack([sizes, rng.binomial(sizes, own)]), share)
        covered += low <= 0.6 <= high
    assert 0.91 <= covered / trials <= 0.98


def test_the_same_figures_give_the_same_interval_and_one_group_none():
    sums = np.array([[3.0, 1.0], [2.0, 2.0], [5.0, 4.0]])
    assert clustered(sums, share) == clustered(sums, share)
    assert clustered(sums[:1], share) is None

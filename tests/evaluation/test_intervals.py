import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from genreclf.evaluation.intervals import clustered, shown_interval, sum_by_group, wilson


def share(drawn: np.ndarray) -> np.ndarray:
    return drawn[:, 1] / drawn[:, 0]


@given(st.integers(1, 400), st.data())
def test_wilson_contains_the_shares_that_the_score_test_does_not_reject(n, data):
    hits = data.draw(st.integers(0, n))
    for share, observed_end in zip(wilson(hits, n), (hits == 0, hits == n), strict=True):
        if observed_end:
            assert share == pytest.approx(hits / n, abs=1e-12)
        else:
            assert abs(hits / n - share) == pytest.approx(1.959964 * (share * (1 - share) / n) ** 0.5, rel=1e-6)


def test_the_shown_interval_is_never_degenerate():
    assert shown_interval((0.5, 0.95), (0.6, 0.9)) == (0.5, 0.95)
    assert shown_interval((1.0, 1.0), (0.89, 1.0)) == (0.89, 1.0)
    assert shown_interval(None, (0.89, 1.0)) == (0.89, 1.0)
    assert shown_interval(None, None) is None and shown_interval((1.0, 1.0), None) is None


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(-9, 9)), min_size=1, max_size=30))
def test_sums_of_groups_equal_those_of_a_loop(clips):
    names, values = zip(*clips, strict=True)
    expected = [sum(value for name, value in clips if name == group) for group in sorted(set(names))]
    assert sum_by_group(np.array(values), names) == pytest.approx(expected)


def test_with_one_clip_per_group_it_is_the_usual_bootstrap():
    correct = np.random.default_rng(1).random(120) < 0.7
    sums = np.column_stack([np.ones(120), correct])
    reference = scipy.stats.bootstrap((correct.astype(float),), np.mean, n_resamples=20_000, method="percentile", rng=0)
    assert clustered(sums, share) == pytest.approx(tuple(reference.confidence_interval), abs=0.012)


def test_identical_clips_of_a_group_count_as_one():
    """Ten copies of each clip contain no more information than one, so the interval is equally wide."""
    correct = np.random.default_rng(2).random(60) < 0.6
    once = clustered(np.column_stack([np.ones(60), correct]), share)
    tenfold = sum_by_group(
        np.column_stack([np.ones(600), np.repeat(correct, 10)]), np.repeat(np.arange(60), 10).astype(str)
    )
    assert clustered(tenfold, share) == pytest.approx(once, abs=0.02)
    assert wilson(int(10 * correct.sum()), 600)[0] > once[0] + 0.05  # the interval for independent clips


@pytest.mark.slow
def test_intervals_cover_the_true_value_in_95_percent(monkeypatch):
    """Simulates groups of unequal size whose members mostly agree; the true value is 0.6."""
    monkeypatch.setattr("genreclf.evaluation.intervals.DRAWS", 1_000)
    rng, covered, trials = np.random.default_rng(3), 0, 300
    for _ in range(trials):
        sizes = rng.integers(1, 8, 60)
        accuracies = rng.beta(3, 2, 60)  # per group; the mean is 0.6
        low, high = clustered(np.column_stack([sizes, rng.binomial(sizes, accuracies)]), share)
        covered += low <= 0.6 <= high
    assert 0.91 <= covered / trials <= 0.98


def test_intervals_are_reproducible_and_one_group_has_none():
    sums = np.array([[3.0, 1.0], [2.0, 2.0], [5.0, 4.0]])
    assert clustered(sums, share) == clustered(sums, share)
    assert clustered(sums[:1], share) is None

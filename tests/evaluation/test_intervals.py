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


def test_intervals_are_reproducible_and_one_group_has_none():
    sums = np.array([[3.0, 1.0], [2.0, 2.0], [5.0, 4.0]])
    assert clustered(sums, share) == clustered(sums, share)
    assert clustered(sums[:1], share) is None

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genreclf.evaluation.thresholds import MIN_CLIPS, best_threshold, fit_thresholds

CLIPS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=25)


@given(CLIPS)
@example([(0.0, False), (5e-324, True)])
def test_no_other_threshold_has_a_higher_f1(clips):
    probabilities, target = (np.array(column) for column in zip(*clips, strict=True))
    if not target.any():
        return
    threshold = best_threshold(probabilities, target)
    assert 0 <= threshold <= 1

    def f1(least: float) -> float:
        predicted = probabilities >= least
        return 2 * (predicted & target).sum() / (predicted.sum() + target.sum())

    assert f1(threshold) >= max(map(f1, probabilities)) - 1e-12


def test_a_threshold_lies_between_clips_and_is_the_highest_of_equals():
    probabilities, target = np.array([0.9, 0.6, 0.4, 0.2, 0.1]), np.array([1, 1, 0, 0, 0], bool)
    assert best_threshold(probabilities, target) == pytest.approx(0.5)
    # F1 is 2 / 3 above 0.6 and above 0.2.
    assert best_threshold(probabilities[:4], np.array([1, 0, 0, 1], bool)) == pytest.approx(0.75)


def test_a_genre_of_few_clips_has_the_threshold_that_is_best_for_all_genres_together():
    rng = np.random.default_rng(0)
    target = rng.random((60, 3)) < 0.4
    target[:, 2] = np.arange(60) < MIN_CLIPS - 1
    probabilities = (0.4 * target + 0.6 * rng.random((60, 3))) * [1, 0.5, 0.1]
    found = fit_thresholds(probabilities, target)
    assert found[2] == best_threshold(probabilities.ravel(), target.ravel())
    assert found[:2] == tuple(best_threshold(probabilities[:, genre], target[:, genre]) for genre in (0, 1))
    target[MIN_CLIPS - 1, 2] = True
    assert fit_thresholds(probabilities, target)[2] == best_threshold(probabilities[:, 2], target[:, 2])

"""Checks average precision and ROC-AUC against scikit-learn, and their bootstrap against explicitly drawn clips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from genreclf.evaluation import ranking
from genreclf.evaluation.ranking import bootstrap_rankings, mean_over_genres, rankings

CLIPS = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.9]), st.booleans()), min_size=2, max_size=30)


@settings(max_examples=40)
@given(CLIPS)
def test_one_genre_is_scored_as_by_scikit_learn_with_ties(clips):
    probabilities, target = (np.array(column)[:, None] for column in zip(*clips, strict=True))
    (precision,), (area,) = rankings(probabilities, target)
    if target.all() or not target.any():
        assert np.isnan(precision) and np.isnan(area)
    else:
        assert precision == pytest.approx(average_precision_score(target[:, 0], probabilities[:, 0]))
        assert area == pytest.approx(roc_auc_score(target[:, 0], probabilities[:, 0]))


def clips_of_groups(seed: int = 0, n: int = 40, classes: int = 3) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    target = rng.random((n, classes)) < 0.3
    return (0.5 * target + rng.random((n, classes))).clip(0, 1), target, [f"group {clip % 9}" for clip in range(n)]


def test_each_draw_scores_the_clips_of_the_drawn_groups(monkeypatch):
    monkeypatch.setattr(ranking, "DRAWS", 12)
    monkeypatch.setattr(ranking, "_NUMBERS_AT_ONCE", 200)  # several batches of draws
    probabilities, target, groups = clips_of_groups()
    precisions, areas = bootstrap_rankings(probabilities, target, groups)
    assert precisions.shape == areas.shape == (12, 3)
    names, members = np.unique(groups), np.array(groups)
    counts = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=12)
    for draw, times in enumerate(counts):
        drawn = np.concatenate(
            [np.flatnonzero(members == name) for name, n in zip(names, times, strict=True) for _ in range(n)]
        )
        for genre in range(3):
            true, score = target[drawn, genre], probabilities[drawn, genre]
            if true.any() and not true.all():
                assert precisions[draw, genre] == pytest.approx(average_precision_score(true, score))
                assert areas[draw, genre] == pytest.approx(roc_auc_score(true, score))


def test_a_genre_without_clips_in_a_draw_is_left_out_of_its_mean():
    probabilities = np.linspace(0, 1, 6)[:, None].repeat(2, 1)
    target = np.array([[0, 0], [0, 1], [0, 0], [1, 1], [0, 0], [1, 0]], bool)
    target[:, 0] &= np.arange(6) == 5  # only one group has it
    precisions, _ = bootstrap_rankings(probabilities, target, list("abcdef"))
    missing = np.isnan(precisions[:, 0])
    assert 0.2 < missing.mean() < 0.5  # (5 / 6) ** 6 = 0.33
    means = mean_over_genres(precisions)
    both = ~missing & np.isfinite(precisions[:, 1])
    assert means[both] == pytest.approx(precisions[both].mean(1))
    assert np.array_equal(means[missing], precisions[missing, 1], equal_nan=True)

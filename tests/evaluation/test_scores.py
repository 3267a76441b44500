import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from genreclf.evaluation.scores import intervals, macro_f1, scores

CLASSES = ("blues", "jazz", "metal", "pop")


def random_predictions(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(4, 0.5), size=n), rng.integers(0, 4, n)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_scores_are_those_of_scikit_learn(seed, n):
    probabilities, target = random_predictions(seed, n)
    predicted = probabilities.argmax(1)
    ours = scores(probabilities, target, CLASSES)

    assert ours["n"] == n
    assert ours["accuracy"] == pytest.approx(reference.accuracy_score(target, predicted))
    for k in (2, 3):
        expected = reference.top_k_accuracy_score(target, probabilities, k=k, labels=range(4))
        assert ours[f"top{k}_accuracy"] == pytest.approx(expected)
    assert ours["macro_f1"] == pytest.approx(reference.f1_score(target, predicted, average="macro", zero_division=0))
    assert ours["log_loss"] == pytest.approx(reference.log_loss(target, probabilities, labels=range(4)), rel=1e-6)
    brier = reference.brier_score_loss(target, probabilities, labels=range(4), scale_by_half=False)
    assert ours["brier"] == pytest.approx(brier)
    matrix = reference.confusion_matrix(target, predicted, labels=range(4))
    assert ours["confusion"] == matrix.tolist()
    table = reference.precision_recall_fscore_support(target, predicted, labels=range(4), zero_division=0)
    for row, name, precision, recall, f1, support in zip(ours["per_class"], CLASSES, *table, strict=True):
        assert row["class"] == name and row["support"] == support
        assert row["predicted"] == (predicted == CLASSES.index(name)).sum()
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx((precision, recall, f1))


def test_a_tie_for_the_third_place_counts_against():
    probabilities = np.array([[0.25, 0.25, 0.25, 0.25]])
    assert scores(probabilities, np.array([0]), CLASSES)["top3_accuracy"] == 0


def test_a_certain_mistake_has_a_finite_loss():
    assert scores(np.array([[1.0, 0, 0, 0]]), np.array([1]), CLASSES)["log_loss"] == pytest.approx(-np.log(1e-15))


@given(st.integers(0, 10_000), st.integers(1, 60))
def test_many_matrices_have_the_macro_f1_of_each(seed, n):
    drawn = [random_predictions(seed + i, n) for i in range(3)]
    predicted = [(target, probabilities.argmax(1)) for probabilities, target in drawn]
    matrices = np.stack([reference.confusion_matrix(*pair, labels=range(4)).ravel() for pair in predicted])
    expected = [reference.f1_score(*pair, average="macro", zero_division=0) for pair in predicted]
    assert macro_f1(matrices, 4) == pytest.approx(expected)


def test_intervals_hold_their_scores_and_are_wider_where_clips_of_a_group_agree():
    probabilities, target = random_predictions(1, 80)
    target[:40] = probabilities[:40].argmax(1)
    own, alone = scores(probabilities, target, CLASSES), intervals(probabilities, target, [str(i) for i in range(80)])
    for name, kinds in alone.items():
        for low, high in kinds.values():
            assert low < own[name] < high
    # Tenfold copies, each with its original: the same width, not a third of it.
    copies = intervals(np.tile(probabilities, (10, 1)), np.tile(target, 10), [str(i) for i in range(80)] * 10)
    for name, kinds in copies.items():
        assert kinds["clustered"] == pytest.approx(alone[name]["clustered"], abs=0.02)
    assert np.ptp(copies["accuracy"]["wilson"]) < np.ptp(alone["accuracy"]["wilson"]) / 3


def test_one_group_leaves_nothing_to_draw():
    found = intervals(*random_predictions(2, 5), ["one"] * 5)
    assert all(kinds["clustered"] is None for kinds in found.values()) and found["accuracy"]["wilson"] is not None

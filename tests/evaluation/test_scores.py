import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from genreclf.evaluation.scores import scores

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
    assert ours["top3_accuracy"] == pytest.approx(
        reference.top_k_accuracy_score(target, probabilities, k=3, labels=range(4))
    )
    assert ours["macro_f1"] == pytest.approx(reference.f1_score(target, predicted, average="macro", zero_division=0))
    assert ours["log_loss"] == pytest.approx(reference.log_loss(target, probabilities, labels=range(4)), rel=1e-6)
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

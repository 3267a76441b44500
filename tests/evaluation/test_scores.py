import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from genreclf.evaluation.scores import f1_counts, hits_by_class, intervals, macro_accuracy, macro_f1, scores

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
    accuracies = reference.recall_score(target, predicted, labels=sorted(set(target.tolist())), average=None)
    assert ours["macro_accuracy"] == pytest.approx(accuracies.mean())
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


def test_a_tie_for_the_third_rank_counts_as_a_miss():
    probabilities = np.array([[0.25, 0.25, 0.25, 0.25]])
    assert scores(probabilities, np.array([0]), CLASSES)["top3_accuracy"] == 0


def test_a_certain_mistake_has_a_finite_loss():
    assert scores(np.array([[1.0, 0, 0, 0]]), np.array([1]), CLASSES)["log_loss"] == pytest.approx(-np.log(1e-15))


@given(st.integers(0, 10_000), st.integers(1, 60))
def test_many_draws_have_the_macro_f1_of_each(seed, n):
    drawn = [random_predictions(seed + i, n) for i in range(3)]
    predicted = [(target, probabilities.argmax(1)) for probabilities, target in drawn]
    sums = np.stack([f1_counts(*(np.eye(4, dtype=bool)[one] for one in pair)).sum(axis=0) for pair in predicted])
    expected = [reference.f1_score(*pair, average="macro", zero_division=0) for pair in predicted]
    assert macro_f1(sums) == pytest.approx(expected)


def test_intervals_contain_their_scores_and_are_wider_if_clips_of_a_group_agree():
    probabilities, target = random_predictions(1, 80)
    target[:40] = probabilities[:40].argmax(1)
    values, alone = (
        scores(probabilities, target, CLASSES),
        intervals(probabilities, target, [str(i) for i in range(80)]),
    )
    for name, kinds in alone.items():
        assert kinds["shown"] == kinds["clustered"]
        for interval in filter(None, kinds.values()):
            assert interval[0] < values[name] < interval[1]
    # Ten copies of each clip in one group give the same width, not a third of it.
    copies = intervals(np.tile(probabilities, (10, 1)), np.tile(target, 10), [str(i) for i in range(80)] * 10)
    for name, kinds in copies.items():
        assert kinds["clustered"] == pytest.approx(alone[name]["clustered"], abs=0.02)
    assert np.ptp(copies["accuracy"]["wilson"]) < np.ptp(alone["accuracy"]["wilson"]) / 3


@given(st.integers(0, 10_000), st.integers(4, 60))
def test_drawn_sums_have_the_balanced_accuracy_of_their_clips(seed, n):
    probabilities, target = random_predictions(seed, n)
    target[:4] = range(4)
    counts = np.random.default_rng(seed).integers(1, 4, n)  # how often each clip is drawn
    expected = reference.balanced_accuracy_score(target, probabilities.argmax(1), sample_weight=counts)
    assert macro_accuracy(counts[None] @ hits_by_class(probabilities, target)) == pytest.approx(expected)


def test_one_group_has_wilson_intervals_of_shares_only():
    found = intervals(*random_predictions(2, 5), ["one"] * 5)
    assert all(kinds["clustered"] is None for kinds in found.values())
    assert found["accuracy"]["shown"] == found["accuracy"]["wilson"] is not None and found["log_loss"]["shown"] is None


def test_all_correct_is_shown_with_the_wilson_interval():
    """With 12 of 12 correct, every bootstrap draw is 100 %."""
    found = intervals(np.eye(4)[np.arange(12) % 4], np.arange(12) % 4, [str(i) for i in range(12)])["accuracy"]
    assert found["clustered"] == (1, 1) and found["shown"] == found["wilson"] and 0.7 < found["shown"][0] < 0.8


def test_a_class_without_clips_is_in_the_table_but_not_in_macro_f1():
    found = scores(np.eye(4)[[0, 1, 1]], np.array([0, 1, 0]), CLASSES)
    assert found["macro_f1"] == pytest.approx(2 / 3) and len(found["per_class"]) == 4
    assert found["per_class"][3] == {"class": "pop", "precision": 0, "recall": 0, "f1": 0, "support": 0, "predicted": 0}

"""Scores by the values of a column, checked against scikit-learn, pandas and scipy."""

import json

import numpy as np
import pandas
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from genreclf.evaluation.out_of_scope import auroc, none_scores
from genreclf.evaluation.predictions import Predictions
from genreclf.evaluation.slices import MAX_VALUES, scores_of, slice_scores

CLASSES = ("a", "b", "c")


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr("genreclf.evaluation.intervals.DRAWS", 1_000)


def made(seed: int, n: int, groups: list[str] | None = None) -> Predictions:
    rng = np.random.default_rng(seed)
    names = tuple(f"{i:04d}.wav" for i in range(n))
    target = np.random.default_rng(n).integers(0, 3, n)  # the same for all seeds
    return Predictions(CLASSES, names, names, tuple(groups or names), target, rng.dirichlet(np.ones(3), n))


@settings(max_examples=20)
@given(st.integers(0, 1_000), st.lists(st.sampled_from(["x", "y", "", "<b>\n"]), min_size=1, max_size=40))
def test_each_value_has_the_scores_of_its_clips(seed, cells):
    predictions = made(seed, len(cells))
    found = slice_scores(predictions, {"source": cells})["source"]
    assert json.loads(json.dumps(found))["left_out"] == {"values": 0, "clips": 0}
    table = pandas.DataFrame(
        {"cell": cells, "true": predictions.target, "predicted": predictions.probabilities.argmax(1)}
    )
    assert {one["value"] for one in found["values"]} == set(cells)
    for one in found["values"]:
        rows = table[table.cell == one["value"]]
        assert (one["n"], one["groups"]) == (len(rows), len(rows))
        assert one["accuracy"] == pytest.approx((rows.true == rows.predicted).mean())
        recalls = sklearn.metrics.recall_score(rows.true, rows.predicted, labels=sorted(set(rows.true)), average=None)
        assert one["macro_accuracy"] == pytest.approx(recalls.mean())
        losses = predictions.probabilities[rows.index]
        assert one["log_loss"] == pytest.approx(sklearn.metrics.log_loss(rows.true, losses, labels=range(3)), rel=1e-6)
        assert (one["intervals"]["accuracy"] is None) == (len(rows) == 1)
    sizes = [one["n"] for one in found["values"]]
    assert sizes == sorted(sizes, reverse=True)


def test_the_interval_is_from_the_groups_of_the_slice():
    predictions = made(0, 90, [str(i // 3) for i in range(90)])
    cells = ["x" if i < 60 else "y" for i in range(90)]
    first, second = slice_scores(predictions, {"source": cells})["source"]["values"]
    by_group = predictions.correct[:60].reshape(20, 3).mean(1)
    reference = scipy.stats.bootstrap((by_group,), np.mean, n_resamples=5_000, method="percentile", rng=0)
    assert first["groups"] == 20 and second["groups"] == 10
    assert first["intervals"]["accuracy"] == pytest.approx(tuple(reference.confidence_interval), abs=0.03)
    low, high = first["intervals"]["macro_accuracy"]
    assert low < first["macro_accuracy"] < high


def test_one_group_has_no_interval_and_few_groups_wide_ones():
    one = slice_scores(made(0, 6, ["g"] * 6), {"x": ["v"] * 6})["x"]["values"][0]
    assert one["groups"] == 1 and one["intervals"] == {"accuracy": None, "macro_accuracy": None}
    right = made(0, 6)
    right = Predictions(CLASSES, right.paths, right.paths, right.paths, right.target, np.eye(3)[right.target])
    sure = slice_scores(right, {"x": ["v"] * 6})["x"]["values"][0]
    assert (
        sure["accuracy"] == 1
        and sure["intervals"]["accuracy"][0] < 0.65
        and sure["intervals"]["macro_accuracy"] is None
    )


def test_the_largest_of_many_values_are_kept_and_the_others_counted():
    cells = [f"value {i}" for i in range(300)] + ["often"] * 5 + ["seldom"] * 2
    found = slice_scores(made(0, len(cells)), {"title": cells})["title"]
    assert [one["value"] for one in found["values"][:3]] == ["often", "seldom", "value 0"]
    assert len(found["values"]) == MAX_VALUES
    assert found["left_out"] == {"values": 302 - MAX_VALUES, "clips": 300 - (MAX_VALUES - 2)}


def test_several_seeds_are_averaged():
    by_seed = [made(seed, 50) for seed in range(3)]
    found, single = scores_of(by_seed), [scores_of([one]) for one in by_seed]
    for name in ("accuracy", "macro_accuracy", "log_loss", "ece"):
        assert found[name] == pytest.approx(np.mean([one[name] for one in single]))
    for name in ("accuracy", "macro_accuracy"):
        low, high = found["intervals"][name]
        assert low < found[name] < high and high - low < max(np.ptp(one["intervals"][name]) for one in single)


VALUES = st.lists(st.sampled_from([0.2, 0.4, 0.5, 0.9, 1.0]), min_size=1, max_size=30).map(np.array)


@given(VALUES, VALUES)
def test_the_area_is_how_often_one_is_above_the_other_and_ties_count_half(higher, lower):
    pairs = np.sign(higher[:, None] - lower)  # (N, M)
    assert auroc(higher, lower) == pytest.approx((pairs + 1).mean() / 2)


def test_out_of_scope_clips_are_scored_by_value():
    known, none = np.array([0.9, 0.8, 0.4]), np.array([0.5, 0.3, 0.6, 0.2])
    columns = {"source": ["radio", "radio", "home"]}, {"source": ["radio", "talk", "talk", "radio"]}
    found = none_scores(known, none, *columns)

    def area(known_clips: list[int], none_clips: list[int]) -> float:
        values = np.concatenate([known[known_clips], none[none_clips]])
        return sklearn.metrics.roc_auc_score(np.repeat([1, 0], [len(known_clips), len(none_clips)]), values)

    assert (found["n"], found["auroc"]) == (4, pytest.approx(area([0, 1, 2], [0, 1, 2, 3])))
    by_value = {one["value"]: one for one in found["slices"]["source"]["values"]}
    assert {value: (one["known"], one["none"]) for value, one in by_value.items()} == {
        **{"radio": (2, 2), "talk": (0, 2), "home": (1, 0)}
    }
    assert by_value["radio"]["auroc"] == pytest.approx(area([0, 1], [0, 3]))
    assert by_value["talk"]["auroc"] == pytest.approx(area([0, 1, 2], [1, 2]))  # against all clips of the classes
    assert by_value["home"]["auroc"] == pytest.approx(area([2], [0, 1, 2, 3]))  # against all out-of-scope clips

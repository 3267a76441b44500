"""Multi-label scores, checked against scikit-learn and recomputed from the clips."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score

from genreclf.errors import GenreclfError
from genreclf.evaluation.calibration import calibration, calibration_error, fit_temperature
from genreclf.evaluation.comparison import System
from genreclf.evaluation.multilabel_comparison import compare_multilabel
from genreclf.evaluation.multilabel_plots import draw_multilabel_scores, draw_precision_recall
from genreclf.evaluation.multilabel_scores import multilabel_clip_scores
from genreclf.evaluation.predictions import Predictions, read_predictions, write_predictions
from genreclf.evaluation.ranking import bootstrap_rankings
from genreclf.evaluation.systems import Run, build_systems
from genreclf.inference.temperature import apply_temperature_to_each

CLASSES = ("pop", "rock", "rare", "none of them")


def predictions(seed: int = 0, n: int = 120, noise: float = 1.0, groups: int = 30) -> Predictions:
    """Returns predictions with calibrated probabilities; no clip has the last genre."""
    target = np.random.default_rng(0).random((n, 4)) < [0.5, 0.3, 0.05, 0]
    logits = 2 * target - 2 + noise * np.random.default_rng(seed).normal(size=(n, 4))
    paths = tuple(f"{clip:03d}.wav" for clip in range(n))
    groups_of = tuple(f"group {clip % groups}" for clip in range(n))
    return Predictions(CLASSES, paths, paths, groups_of, target, 1 / (1 + np.exp(-logits)), (0.4, 0.5, 0.3, 0.5))


def test_scores_are_scikit_learns():
    one = predictions()
    target, probabilities, scored = one.target, one.probabilities, [0, 1, 2]
    found = multilabel_clip_scores(one)
    precisions = [average_precision_score(target[:, genre], probabilities[:, genre]) for genre in scored]
    areas = [roc_auc_score(target[:, genre], probabilities[:, genre]) for genre in scored]
    assert found["genres_scored"] == 3
    assert found["mean_average_precision"] == pytest.approx(np.mean(precisions))
    assert found["roc_auc"] == pytest.approx(np.mean(areas))
    assert [row["average_precision"] for row in found["per_class"]] == [*map(pytest.approx, precisions), None]
    predicted = probabilities >= one.thresholds
    occurring = (target | predicted).any(0)
    f1 = f1_score(target, predicted, average=None, zero_division=0)
    assert found["macro_f1"] == pytest.approx(f1[occurring].mean())
    assert found["micro_f1"] == pytest.approx(f1_score(target, predicted, average="micro"))
    losses = [log_loss(target[:, genre], probabilities[:, genre], labels=[0, 1]) for genre in range(4)]
    assert found["log_loss"] == pytest.approx(np.mean(losses))
    assert [(row["class"], row["support"], row["predicted"]) for row in found["per_class"]] == [
        (name, target[:, genre].sum(), predicted[:, genre].sum()) for genre, name in enumerate(CLASSES)
    ]
    assert "NaN" not in json.dumps(found)


def test_intervals_come_from_draws_of_groups():
    one = predictions()
    found = multilabel_clip_scores(one)["intervals"]
    precisions, _ = bootstrap_rankings(one.probabilities, one.target, one.groups)
    expected = np.nanpercentile(np.nanmean(precisions[:, :3], axis=1), (2.5, 97.5))
    assert found["mean_average_precision"]["shown"] == pytest.approx(expected)
    # Macro-F1, with draws independent of the module
    members, rng, drawn = np.array(one.groups), np.random.default_rng(5), []
    clips_of = [np.flatnonzero(members == name) for name in np.unique(members)]
    for _ in range(200):
        clips = np.concatenate([clips_of[group] for group in rng.integers(len(clips_of), size=len(clips_of))])
        target, predicted = one.target[clips], one.predicted[clips]
        f1 = f1_score(target, predicted, average=None, zero_division=0)
        drawn.append(f1[(target | predicted).any(0)].mean())
    assert found["macro_f1"]["shown"] == pytest.approx(np.percentile(drawn, (2.5, 97.5)), abs=0.04)


def test_one_group_has_no_interval():
    found = multilabel_clip_scores(predictions(groups=1))
    assert all(interval["shown"] is None for interval in found["intervals"].values())
    assert all(row["average_precision_interval"] is None for row in found["per_class"])


def test_slices_score_the_clips_of_each_value():
    one = predictions()
    cells = ["a" if clip % 3 else "b" for clip in range(120)]
    (first, second) = multilabel_clip_scores(one, {"source": cells})["slices"]["source"]["values"]
    assert (first["value"], first["n"], second["value"], second["n"]) == ("a", 80, "b", 40)
    clips = np.flatnonzero(np.array(cells) == "b")
    expected = multilabel_clip_scores(one.subset(clips.tolist()))
    assert second["mean_average_precision"] == expected["mean_average_precision"]
    assert second["intervals"]["mean_average_precision"] == expected["intervals"]["mean_average_precision"]["shown"]


def test_the_temperature_undoes_overconfidence():
    """Makes calibrated probabilities overconfident by a factor of three."""
    rng = np.random.default_rng(0)
    true = rng.random((4_000, 5))
    target = rng.random(true.shape) < true
    sure = apply_temperature_to_each(true, 1 / 3)
    temperature = fit_temperature(sure, target)
    assert temperature == pytest.approx(3, rel=0.05)
    assert calibration_error(apply_temperature_to_each(sure, temperature), target) < 0.01
    assert calibration_error(sure, target) > 0.1


def test_calibration_is_over_all_pairs_of_a_clip_and_a_genre():
    one = predictions()
    found = calibration(one.probabilities, one.target)
    assert sum(bin["n"] for bin in found["bins"]) == one.target.size
    assert sum(bin["n"] * bin["accuracy"] for bin in found["bins"]) == pytest.approx(one.target.sum())
    assert sum(bin["n"] * bin["confidence"] for bin in found["bins"]) == pytest.approx(one.probabilities.sum())


def test_predictions_are_read_back_as_written(tmp_path):
    one = predictions()
    write_predictions(tmp_path / "p.parquet", {"none": one, "flip": predictions(1)})
    again = read_predictions(tmp_path / "p.parquet", "none")
    assert again.classes == CLASSES and again.paths == one.paths and again.thresholds == one.thresholds
    assert np.array_equal(again.target, one.target) and np.array_equal(again.probabilities, one.probabilities)
    assert np.array_equal(again.predicted, one.predicted)


def test_plots_are_drawn_for_each_state_of_the_scores(tmp_path):
    one = predictions()
    draw_multilabel_scores(multilabel_clip_scores(one), one, "a model", tmp_path, "none")
    nothing = predictions(n=3, groups=1)
    nothing = Predictions(CLASSES, *[nothing.paths] * 3, np.ones((3, 4), bool), nothing.probabilities, one.thresholds)
    draw_multilabel_scores(multilabel_clip_scores(nothing), nothing, "no genre to score", tmp_path, "all")
    assert len(list(tmp_path.glob("*.png"))) == 6


def test_the_legend_has_each_genre_with_any_name(monkeypatch):
    figures: list = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *_, **__: figures.append(figure))
    draw_precision_recall(dataclasses.replace(predictions(), classes=("_a", "$b$", "c", "none has it")), "t", Path())
    assert {text.get_text().strip() for text in figures[0].legends[0].get_texts()} == {"_a", "$b$", "c"}


# --- Comparison -------------------------------------------------------------------------------------------------------


def system(label: str, *seeds: Predictions) -> System:
    return System(label, ("run",), dict(enumerate(seeds)), np.arange(len(seeds[0].paths)) % 3)


def test_systems_are_compared_on_the_same_draws():
    good, bad = predictions(1, noise=0.5), predictions(2, noise=3)
    found = compare_multilabel([system("bad", bad), system("good", good)])
    assert [one["label"] for one in found["systems"]] == ["good", "bad"]
    (pair,) = found["pairs"]
    scores = [multilabel_clip_scores(one)["mean_average_precision"] for one in (good, bad)]
    assert pair["difference"] == pytest.approx(scores[0] - scores[1])
    drawn = [bootstrap_rankings(one.probabilities, one.target, one.groups)[0][:, :3] for one in (good, bad)]
    differences = np.nanmean(drawn[0], 1) - np.nanmean(drawn[1], 1)
    assert pair["clustered"] == pytest.approx(np.nanpercentile(differences, (2.5, 97.5)))
    assert pair["detectable"] == pytest.approx(2.8 * np.nanstd(differences), rel=0.01)
    assert pair["p"] < 0.01 and "better" in pair["verdict"]


def test_a_system_does_not_differ_from_itself():
    (pair,) = compare_multilabel([system("one", predictions(1)), system("other", predictions(1))])["pairs"]
    assert (pair["difference"], pair["clustered"], pair["p"], pair["detectable"]) == (0, (0, 0), 1, None)
    assert "No significant difference" in pair["verdict"]


def test_seeds_are_averaged_and_slices_scored():
    seeds = [predictions(seed) for seed in (1, 2)]
    found = compare_multilabel([system("two", *seeds)], {"source": ["a"] * 60 + ["b"] * 60})
    (one,) = found["systems"]
    expected = [multilabel_clip_scores(each)["mean_average_precision"] for each in seeds]
    assert one["mean_average_precision"] == pytest.approx(np.mean(expected))
    assert one["deviation_over_seeds"] == pytest.approx(np.std(expected, ddof=1))
    assert len(one["mean_average_precision_by_fold"]) == 3
    assert [value["clips"] for value in found["slices"]["source"]["values"]] == [60, 60]


def test_systems_of_different_tasks_are_refused():
    one, several = predictions(), predictions()
    one = dataclasses.replace(one, target=one.target.argmax(1), thresholds=None)
    runs = [Run(Path(name), {"seed": 0, "model": {"name": name}, "split": {}}, ()) for name in ("a", "b")]
    with pytest.raises(GenreclfError, match="task"):
        build_systems({Path("a"): one, Path("b"): several}, runs)
    (first, _) = build_systems({Path("a"): several, Path("b"): several}, runs)
    assert np.array_equal(first.predictions[0].target, several.target)

"""Scores of multi-label models: from (N, classes) probabilities and bool targets to JSON-like data."""

import math
from typing import Any

import numpy as np
from sklearn.metrics import f1_score, precision_recall_fscore_support

from genreclf.evaluation.calibration import calibration, calibration_error
from genreclf.evaluation.intervals import Interval, clustered, mean_interval, percentile_interval, sum_by_group
from genreclf.evaluation.predictions import Predictions
from genreclf.evaluation.ranking import bootstrap_rankings, mean_over_genres, rankings
from genreclf.evaluation.scores import f1_counts, macro_f1
from genreclf.evaluation.slices import Columns, by_value

_RANKED = ("mean_average_precision", "roc_auc")  # in the order of `rankings`


def multilabel_clip_scores(predictions: Predictions, columns: Columns | None = None) -> dict[str, Any]:
    """Returns scores, 95 % intervals and calibration of a set of clips, also by the values of `columns`.

    Shares are in [0, 1]. The log-loss is in nats, a mean over clips and genres. An undefined score is None.
    """
    drawn = draws_of(predictions)
    precisions, areas = rankings(predictions.probabilities, predictions.target)
    return {
        **_ranked(predictions),
        "genres_scored": int(np.isfinite(precisions).sum()),
        "macro_f1": float(macro_f1(f1_counts(predictions.target, predictions.predicted).sum(0)[None])[0]),
        "micro_f1": float(f1_score(predictions.target, predictions.predicted, average="micro", zero_division=0)),
        "intervals": _intervals(predictions, drawn),
        "per_class": _per_class(predictions, precisions, areas, drawn),
        "calibration": calibration(predictions.probabilities, predictions.target),
        "slices": by_value(columns or {}, lambda clips: _of_slice(predictions.subset(clips))),
        "none": None,
    }


def _of_slice(predictions: Predictions) -> dict[str, Any]:
    means = mean_over_genres(draws_of(predictions)[0])
    error = calibration_error(predictions.probabilities, predictions.target)
    return {**_ranked(predictions), "ece": error, "intervals": {"mean_average_precision": interval(means)}}


def _ranked(predictions: Predictions) -> dict[str, Any]:
    """Returns the scores that all clips and slices have."""
    means = map(mean_over_genres, rankings(predictions.probabilities, predictions.target))
    return {
        "n": len(predictions.target),
        "groups": len(set(predictions.groups)),
        **{name: finite_or_none(mean) for name, mean in zip(_RANKED, means, strict=True)},
        "log_loss": mean_log_loss(predictions),
    }


def draws_of(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Returns (draws, classes) bootstrap values of `rankings`; no draws if all clips belong to one group."""
    if len(set(predictions.groups)) < 2:
        return (np.zeros((0, len(predictions.classes))),) * 2
    return bootstrap_rankings(predictions.probabilities, predictions.target, predictions.groups)


def mean_log_loss(predictions: Predictions) -> float:
    """Returns the binary cross-entropy in nats, averaged over clips and genres."""
    return float(log_loss(predictions.probabilities, predictions.target).mean())


def log_loss(probabilities: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns the (N,) binary cross-entropy of each clip, averaged over the genres."""
    return np.asarray(-np.log(np.clip(np.where(target, probabilities, 1 - probabilities), 1e-15, 1)).mean(1))


def finite_or_none(value: Any) -> float | None:
    """Returns the number, or None for NaN and infinity, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def interval(values: np.ndarray) -> Interval | None:
    """Returns the 95 % percentile interval of the finite (draws,) bootstrap values, or None if they are all equal."""
    finite = values[np.isfinite(values)]
    return percentile_interval(finite) if len(finite) and finite.min() < finite.max() else None


def _intervals(predictions: Predictions, drawn: tuple[np.ndarray, np.ndarray]) -> dict[str, dict[str, Interval | None]]:
    """Returns intervals by score, with keys as in `scores.intervals`."""
    found = {name: interval(mean_over_genres(draws)) for name, draws in zip(_RANKED, drawn, strict=True)}
    counts = f1_counts(predictions.target, predictions.predicted)
    found["macro_f1"] = clustered(sum_by_group(counts, predictions.groups), macro_f1)
    found["log_loss"] = mean_interval(log_loss(predictions.probabilities, predictions.target), predictions.groups)
    return {name: {"clustered": one, "shown": one} for name, one in found.items()}


def _per_class(
    predictions: Predictions, precisions: np.ndarray, areas: np.ndarray, drawn: tuple[np.ndarray, np.ndarray]
) -> list[dict[str, Any]]:
    assert predictions.thresholds is not None
    predicted = predictions.predicted
    columns = precision_recall_fscore_support(predictions.target, predicted, zero_division=0)
    precision, recall, f1, support = (np.asarray(column).tolist() for column in columns)
    return [
        {
            "class": name,
            "support": support[number],
            "predicted": int(predicted[:, number].sum()),
            "threshold": predictions.thresholds[number],
            "average_precision": finite_or_none(precisions[number]),
            "average_precision_interval": interval(drawn[0][:, number]),
            "roc_auc": finite_or_none(areas[number]),
            "precision": precision[number],
            "recall": recall[number],
            "f1": f1[number],
        }
        for number, name in enumerate(predictions.classes)
    ]

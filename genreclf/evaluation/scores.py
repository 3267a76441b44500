"""Scores of predictions: pure functions from probabilities (N, classes) and targets (N,) to JSON-like data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from genreclf.evaluation.intervals import Interval, clustered, shown_interval, sum_by_group, wilson


def scores(probabilities: np.ndarray, target: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """All scores of N predictions; shares are in [0, 1], log-loss is in nats, the Brier score in [0, 2]."""
    predicted = probabilities.argmax(1)
    confusion = confusion_matrix(target, predicted, labels=range(len(classes)))  # rows: true, columns: predicted
    return {
        "n": len(target),
        "accuracy": float((predicted == target).mean()),
        "top2_accuracy": float(in_top_k(probabilities, target, 2).mean()),
        "top3_accuracy": float(in_top_k(probabilities, target, 3).mean()),
        "macro_f1": float(macro_f1(confusion.reshape(1, -1), len(classes))[0]),
        "log_loss": float(log_losses(probabilities, target).mean()),
        "brier": float(brier_scores(probabilities, target).mean()),
        "per_class": _per_class(target, predicted, classes),
        "confusion": confusion.tolist(),
    }


def _per_class(target: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """A row per class; precision, recall and F1 are 0 where they are undefined."""
    labels = range(len(classes))
    columns = precision_recall_fscore_support(target, predicted, labels=labels, zero_division=0)
    counts = np.bincount(predicted, minlength=len(classes))
    keys = ("class", "precision", "recall", "f1", "support", "predicted")
    rows = zip(classes, *(column.tolist() for column in (*columns, counts)), strict=True)
    return [dict(zip(keys, row, strict=True)) for row in rows]


# scikit-learn has the means of the next three; the bootstrap needs their values per clip.


def in_top_k(probabilities: np.ndarray, target: np.ndarray, k: int) -> np.ndarray:
    """(N,) bool: whether the true class is among the k most probable classes; a tie counts as a miss."""
    others = np.arange(probabilities.shape[1]) != target[:, None]
    rank = ((probabilities >= _true_class(probabilities, target)[:, None]) & others).sum(1)
    return rank < k


def log_losses(probabilities: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) -log p(true class), with p clipped at 1e-15."""
    return -np.log(np.clip(_true_class(probabilities, target), 1e-15, 1))


def brier_scores(probabilities: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) squared distances of the probabilities from the one-hot target, in [0, 2] (Brier 1950)."""
    return np.square(probabilities - np.eye(probabilities.shape[1])[target]).sum(axis=1)


def _true_class(probabilities: np.ndarray, target: np.ndarray) -> np.ndarray:
    return probabilities[np.arange(len(target)), target]


def intervals(
    probabilities: np.ndarray, target: np.ndarray, groups: Sequence[str]
) -> dict[str, dict[str, Interval | None]]:
    """95 % intervals of the scores of N clips.

    `clustered` resamples groups of clips (None for a single group). `wilson`, for shares only, treats clips as
    independent. `shown` is the one to report, see `shown_interval`.
    """
    n, classes = probabilities.shape
    predicted = probabilities.argmax(1)
    values = {
        "accuracy": predicted == target,
        "top3_accuracy": in_top_k(probabilities, target, 3),
        "log_loss": log_losses(probabilities, target),
        "brier": brier_scores(probabilities, target),
    }
    confusion = np.zeros((n, classes * classes))
    confusion[np.arange(n), target * classes + predicted] = 1
    found = {}
    for name, column in values.items():
        sums = sum_by_group(np.column_stack([np.ones(n), column]), groups)
        found[name] = clustered(sums, lambda drawn: drawn[:, 1] / drawn[:, 0])
    found["macro_f1"] = clustered(sum_by_group(confusion, groups), lambda drawn: macro_f1(drawn, classes))
    independent = {name: wilson(int(values[name].sum()), n) for name in ("accuracy", "top3_accuracy")}
    return {
        name: {
            "clustered": interval,
            "wilson": independent.get(name),
            "shown": shown_interval(interval, independent.get(name)),
        }
        for name, interval in found.items()
    }


def macro_f1(confusion: np.ndarray, num_classes: int) -> np.ndarray:
    """(draws, classes * classes) confusion matrices -> (draws,) mean F1 over classes that occur or are predicted."""
    confusion = confusion.reshape(-1, num_classes, num_classes)  # (draws, true, predicted)
    hits = np.einsum("dcc->dc", confusion)
    occurring = confusion.sum(axis=1) + confusion.sum(axis=2)  # (draws, classes)
    return (2 * hits / np.maximum(occurring, 1)).sum(axis=1) / (occurring > 0).sum(axis=1)

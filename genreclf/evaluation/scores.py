"""Scores of predictions: pure functions from probabilities (N, classes) and targets (N,) to plain numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genreclf.evaluation.intervals import Interval, by_group, clustered, wilson


def scores(probabilities: np.ndarray, target: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """All scores of N predictions as JSON-like data; shares lie in [0, 1], log-loss is in nats."""
    confusion = confusion_matrix(probabilities.argmax(1), target, len(classes))
    table = per_class(confusion, classes)
    return {
        "n": len(target),
        "accuracy": float(np.trace(confusion) / len(target)),
        "top2_accuracy": float(top_k(probabilities, target, 2).mean()),
        "top3_accuracy": float(top_k(probabilities, target, 3).mean()),
        "macro_f1": float(macro_f1(confusion.reshape(1, -1), len(classes))[0]),
        "log_loss": float(log_losses(probabilities, target).mean()),
        "brier": float(brier_scores(probabilities, target).mean()),
        "per_class": table,
        "confusion": confusion.tolist(),
    }


def confusion_matrix(predicted: np.ndarray, target: np.ndarray, num_classes: int) -> np.ndarray:
    """(classes, classes) counts: row the true class, column the predicted one."""
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (target, predicted), 1)
    return matrix


def top_k(probabilities: np.ndarray, target: np.ndarray, k: int) -> np.ndarray:
    """(N,) bool: whether the true class is among the k most probable; ties count against."""
    own = probabilities[np.arange(len(target)), target][:, None]
    others = np.arange(probabilities.shape[1])[None] != target[:, None]
    rank = ((probabilities >= own) & others).sum(1)
    return rank < k


def log_losses(probabilities: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) -log p(true class); p is kept above 1e-15."""
    own = probabilities[np.arange(len(target)), target]
    return -np.log(np.clip(own, 1e-15, 1))


def brier_scores(probabilities: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N,) sums over the classes of (p - 1 if it is the true one, else p - 0) squared, in [0, 2] (Brier 1950)."""
    truth = np.eye(probabilities.shape[1])[target]
    return np.square(probabilities - truth).sum(axis=1)


def intervals(
    probabilities: np.ndarray, target: np.ndarray, groups: Sequence[str]
) -> dict[str, dict[str, Interval | None]]:
    """95 % intervals of the scores of N clips: `clustered` ones, and for shares `wilson`, as if clips were independent.

    Clips of one of the `groups` are drawn together. With a single group there is nothing to draw: None.
    """
    n, classes = probabilities.shape
    predicted = probabilities.argmax(1)
    right, top3 = predicted == target, top_k(probabilities, target, 3)
    pairs = np.zeros((n, classes * classes))
    pairs[np.arange(n), target * classes + predicted] = 1
    figures = [np.ones(n), right, top3, log_losses(probabilities, target), brier_scores(probabilities, target)]
    sums = by_group(np.column_stack([*figures, pairs]), groups)

    def mean(column: int) -> Interval | None:
        return clustered(sums[:, [0, column]], lambda drawn: drawn[:, 1] / drawn[:, 0])

    return {
        "accuracy": {"wilson": wilson(int(right.sum()), n), "clustered": mean(1)},
        "top3_accuracy": {"wilson": wilson(int(top3.sum()), n), "clustered": mean(2)},
        "log_loss": {"clustered": mean(3)},
        "brier": {"clustered": mean(4)},
        "macro_f1": {"clustered": clustered(sums[:, len(figures) :], lambda drawn: macro_f1(drawn, classes))},
    }


def macro_f1(confusion: np.ndarray, num_classes: int) -> np.ndarray:
    """(draws, classes * classes) confusion matrices -> (draws,) mean F1 of the classes that occur or are answered."""
    confusion = confusion.reshape(-1, num_classes, num_classes)  # (draws, true, predicted)
    hits = np.einsum("dcc->dc", confusion)
    occurring = confusion.sum(axis=1) + confusion.sum(axis=2)  # (draws, classes)
    return (2 * hits / np.maximum(occurring, 1)).sum(axis=1) / (occurring > 0).sum(axis=1)


def per_class(confusion: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """A row a class: precision, recall and F1 in [0, 1], 0 where undefined; support and number of predictions."""
    hits, support, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    precision, recall = _share(hits, predicted), _share(hits, support)
    f1 = _share(2 * hits, support + predicted)
    return [
        {
            "class": name,
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "support": int(support[i]),
            "predicted": int(predicted[i]),
        }
        for i, name in enumerate(classes)
    ]


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)

"""Scores of predictions: pure functions from probabilities (N, classes) and targets (N,) to plain numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def scores(probabilities: np.ndarray, target: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """All scores of N predictions as JSON-like data; shares lie in [0, 1], log-loss is in nats."""
    confusion = confusion_matrix(probabilities.argmax(1), target, len(classes))
    table = per_class(confusion, classes)
    present = [row["f1"] for row in table if row["support"] or row["predicted"]]
    return {
        "n": len(target),
        "accuracy": float(np.trace(confusion) / len(target)),
        "top3_accuracy": top_k_accuracy(probabilities, target, 3),
        "macro_f1": float(np.mean(present)),
        "log_loss": log_loss(probabilities, target),
        "per_class": table,
        "confusion": confusion.tolist(),
    }


def confusion_matrix(predicted: np.ndarray, target: np.ndarray, num_classes: int) -> np.ndarray:
    """(classes, classes) counts: row the true class, column the predicted one."""
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (target, predicted), 1)
    return matrix


def top_k_accuracy(probabilities: np.ndarray, target: np.ndarray, k: int) -> float:
    """Share of predictions whose true class is among the k most probable; ties count against."""
    own = probabilities[np.arange(len(target)), target][:, None]
    others = np.arange(probabilities.shape[1])[None] != target[:, None]
    rank = ((probabilities >= own) & others).sum(1)
    return float((rank < k).mean())


def log_loss(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Mean of -log p(true class); p is kept above 1e-15."""
    own = probabilities[np.arange(len(target)), target]
    return float(-np.log(np.clip(own, 1e-15, 1)).mean())


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

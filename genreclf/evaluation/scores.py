"""Scores of predictions: pure functions from probabilities (N, classes) and targets (N,) to JSON-like data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from genreclf.evaluation.intervals import Interval, clustered, mean_interval, shown_interval, sum_by_group, wilson


def scores(probabilities: np.ndarray, target: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Returns all scores of N predictions. Shares are in [0, 1], log-loss is in nats, the Brier score in [0, 2]."""
    predicted, labels = probabilities.argmax(1), range(len(classes))
    confusion = confusion_matrix(target, predicted, labels=labels)  # row: true class, column: predicted class
    # Precision, recall and F1 are 0 where they are undefined.
    columns = precision_recall_fscore_support(target, predicted, labels=labels, zero_division=0)
    rows = zip(classes, *(column.tolist() for column in (*columns, confusion.sum(axis=0))), strict=True)
    keys = ("class", "precision", "recall", "f1", "support", "predicted")
    return {
        "n": len(target),
        **{name: float(values.mean()) for name, values in _per_clip(probabilities, target).items()},
        "macro_accuracy": float(macro_accuracy(hits_by_class(probabilities, target).sum(axis=0)[None])[0]),
        "macro_f1": float(macro_f1(f1_counts(*_one_hot(probabilities, target)).sum(axis=0)[None])[0]),
        "per_class": [dict(zip(keys, row, strict=True)) for row in rows],
        "confusion": confusion.tolist(),
    }


def _per_clip(probabilities: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """Returns (N,) values whose means are scores. The bootstrap needs the values; scikit-learn has only the means."""
    one_hot = np.eye(probabilities.shape[1], dtype=bool)[target]
    true = probabilities[one_hot]  # (N,)
    rank = ((probabilities >= true[:, None]) & ~one_hot).sum(axis=1)  # of the true class, from 0; ties count as misses
    return {
        "accuracy": probabilities.argmax(axis=1) == target,
        "top2_accuracy": rank < 2,
        "top3_accuracy": rank < 3,
        "log_loss": -np.log(np.clip(true, 1e-15, 1)),
        "brier": np.square(probabilities - one_hot).sum(axis=1),  # Brier 1950
    }


def intervals(
    probabilities: np.ndarray, target: np.ndarray, groups: Sequence[str]
) -> dict[str, dict[str, Interval | None]]:
    """Returns 95 % intervals of the scores of N clips.

    `clustered` resamples groups of clips (None for a single group). `wilson`, only for shares, treats clips as
    independent. `shown` is the one to report (see `shown_interval`).
    """
    per_clip, counts = _per_clip(probabilities, target), f1_counts(*_one_hot(probabilities, target))
    means = ("accuracy", "top3_accuracy", "log_loss", "brier")
    found = {name: mean_interval(per_clip[name], groups) for name in means}
    found["macro_accuracy"] = clustered(sum_by_group(hits_by_class(probabilities, target), groups), macro_accuracy)
    found["macro_f1"] = clustered(sum_by_group(counts, groups), macro_f1)
    result = {}
    for name, interval in found.items():
        independent = wilson(int(per_clip[name].sum()), len(target)) if name in ("accuracy", "top3_accuracy") else None
        shown = shown_interval(interval, independent)
        result[name] = {"clustered": interval, "wilson": independent, "shown": shown}
    return result


def hits_by_class(probabilities: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns (N, 2 * classes): a one at the clip's class, and another if the prediction is correct.

    The sums are the numbers of clips, and of correct predictions, by class.
    """
    one_hot = np.eye(probabilities.shape[1])[target]
    return np.hstack([one_hot, one_hot * (probabilities.argmax(axis=1) == target)[:, None]])


def macro_accuracy(sums: np.ndarray) -> np.ndarray:
    """Returns (draws,) mean accuracy over the classes that occur, from (draws, 2 * classes) sums of `hits_by_class`.

    With clips of all classes, this is the balanced accuracy (Brodersen et al. 2010).
    """
    n, hits = np.split(sums, 2, axis=1)
    return np.asarray((hits / np.maximum(n, 1)).sum(axis=1) / (n > 0).sum(axis=1))


def _one_hot(probabilities: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    """Returns the true and the predicted classes, (N, classes) bool each."""
    return [np.eye(probabilities.shape[1], dtype=bool)[one] for one in (target, probabilities.argmax(axis=1))]


def f1_counts(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N, classes) bool each -> (N, 2 * classes): per class, the hits, then true plus predicted, for `macro_f1`."""
    return np.hstack([true & predicted, true.astype(int) + predicted])


def macro_f1(sums: np.ndarray) -> np.ndarray:
    """Returns (draws,) mean F1 over classes that occur or are predicted, from (draws, 2 * classes) `f1_counts` sums."""
    hits, occurring = np.split(sums, 2, axis=1)
    return (2 * hits / np.maximum(occurring, 1)).sum(axis=1) / np.maximum((occurring > 0).sum(axis=1), 1)

"""Ranking scores of genres: average precision and ROC-AUC, with their bootstrap."""

from collections.abc import Sequence

import numpy as np

from genreclf.evaluation.intervals import drawn_groups

DRAWS = 1_000  # enough for the ends of a 95 % interval (Efron and Tibshirani 1993); each draw sorts all clips per genre
_NUMBERS_AT_ONCE = 2_000_000


def rankings(probabilities: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (classes,) average precisions and ROC-AUCs from (N, classes) probabilities and bool.

    NaN for a genre that all clips or no clip have. Equal probabilities are one step, as in scikit-learn.
    """
    precisions, areas = _by_genre(probabilities, target, np.ones((1, len(target))))
    return precisions[0], areas[0]


def bootstrap_rankings(
    probabilities: np.ndarray, target: np.ndarray, groups: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the same for 1,000 draws of groups with replacement: (1000, classes) each."""
    distinct, group = np.unique(np.asarray(groups), return_inverse=True)
    draws = drawn_groups(len(distinct), DRAWS, max(1, _NUMBERS_AT_ONCE // len(group)))
    weights = (counts[:, group].astype(float) for counts in draws)  # (draws, G) -> (draws, N)
    precisions, areas = zip(*(_by_genre(probabilities, target, one) for one in weights), strict=True)
    return np.concatenate(precisions), np.concatenate(areas)


def mean_over_genres(values: np.ndarray) -> np.ndarray:
    """Averages (..., classes) to (...), over the genres that are not NaN; NaN if all are."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(-1) / known.sum(-1))


def _by_genre(probabilities: np.ndarray, target: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pairs = [_areas(*genre, weights) for genre in zip(probabilities.T, target.T, strict=True)]
    precisions, areas = zip(*pairs, strict=True)
    return np.stack(precisions, -1), np.stack(areas, -1)  # (draws, classes)


def _areas(probabilities: np.ndarray, target: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (draws,) average precisions and ROC-AUCs of one genre, from (N,) arrays and (draws, N) clip weights."""
    order = np.argsort(-probabilities, kind="stable")
    ranked, weights = probabilities[order], weights[:, order]
    ends = np.flatnonzero(np.append(ranked[:-1] > ranked[1:], True))  # the last of each run of equal probabilities
    clips = np.cumsum(weights, axis=1)[:, ends]  # (draws, runs): above each threshold
    hits = np.cumsum(weights * target[order], axis=1)[:, ends]
    new_hits, new_misses = (np.diff(counts, axis=1, prepend=0) for counts in (hits, clips - hits))
    positive, negative = hits[:, -1], (clips - hits)[:, -1]
    with np.errstate(invalid="ignore"):
        precision = (new_hits * hits / np.maximum(clips, 1)).sum(1) / positive  # no new hits where there are no clips
        area = (new_misses * (hits - new_hits / 2)).sum(1) / (positive * negative)
    return np.where(negative > 0, precision, np.nan), area

"""Compares multi-label systems on the same clips: from predictions to JSON-like data."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import norm

from genreclf.errors import GenreclfError
from genreclf.evaluation.comparison import DETECTABLE_ERRORS, System, compared, summary
from genreclf.evaluation.multilabel_scores import draws_of, finite_or_none, interval, mean_log_loss
from genreclf.evaluation.predictions import Predictions
from genreclf.evaluation.ranking import mean_over_genres, rankings
from genreclf.evaluation.slices import Columns

SCORE = "mean_average_precision"
TEST = "test of the mean difference"


def compare_multilabel(systems: Sequence[System], columns: Columns | None = None) -> dict[str, Any]:
    """Compares systems as `comparison.compare` does, but by mean average precision."""
    ranked = sorted(systems, key=lambda system: -_mean(system))
    if np.isnan(_mean(ranked[0])):
        raise GenreclfError("no genre can be compared: all clips or no clip have it; score other clips")
    drawn = {system.label: _drawn(system) for system in ranked}
    pairs = [_pair(*two, drawn) for two in itertools.combinations(ranked, 2)]
    described = [_describe(system, drawn[system.label]) for system in ranked]
    return compared(SCORE, ranked, described, pairs, _of_slice, columns, TEST)


def _mean(system: System) -> float:
    """Returns the mean average precision, averaged over the seeds; NaN if no genre can be scored."""
    return float(np.mean([_score(one) for one in system.predictions.values()]))


def _score(predictions: Predictions) -> float:
    return float(mean_over_genres(rankings(predictions.probabilities, predictions.target)[0]))


def _drawn(system: System) -> np.ndarray:
    """Returns (draws,) means over the seeds, from the same draws of groups for all systems; empty for one group."""
    return np.asarray(np.mean([mean_over_genres(draws_of(one)[0]) for one in system.predictions.values()], axis=0))


def _pair(better: System, other: System, drawn: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns the difference of two systems' mean average precisions, with its paired interval.

    `p` is two-sided, from a normal distribution with the standard deviation of the bootstrap (Efron and Tibshirani
    1993, chapter 13).
    """
    difference, draws = _mean(better) - _mean(other), drawn[better.label] - drawn[other.label]
    finite = draws[np.isfinite(draws)]
    error = float(finite.std()) if len(finite) else 0.0
    return {
        "better": better.label,
        "other": other.label,
        "difference": difference,
        "clustered": interval(draws) or ((difference, difference) if len(finite) else None),
        "detectable": DETECTABLE_ERRORS * error if error else None,
        "p": float(2 * norm.sf(abs(difference) / error)) if error else 1.0,
    }


def _describe(system: System, drawn: np.ndarray) -> dict[str, Any]:
    by_seed = list(system.predictions.values())
    folds = [np.flatnonzero(system.fold == number) for number in np.unique(system.fold)]
    by_fold = [_mean(system.subset(clips.tolist())) for clips in folds]
    areas = [mean_over_genres(rankings(one.probabilities, one.target)[1]) for one in by_seed]
    found = interval(drawn)
    return {
        **summary(system, SCORE, [_score(one) for one in by_seed], by_fold),
        **{"clustered": found, "shown": found},
        "roc_auc": finite_or_none(np.mean(areas)),
        "log_loss": float(np.mean([mean_log_loss(one) for one in by_seed])),
    }


def _of_slice(systems: Sequence[System]) -> list[dict[str, Any]]:
    return [_describe(system, _drawn(system)) for system in systems]

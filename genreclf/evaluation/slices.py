"""Scores slices: clips that share a value in a column of the table. Returns JSON-like data."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genreclf.data.columns import meaning_of
from genreclf.data.table import check_column, columns_in_use, read_column
from genreclf.errors import GenreclfError
from genreclf.evaluation.calibration import calibration_error
from genreclf.evaluation.intervals import clustered, shown_interval, sum_by_group, wilson
from genreclf.evaluation.predictions import Predictions
from genreclf.evaluation.scores import hits_by_class, macro_accuracy, scores
from genreclf.grouping import grouped

MAX_VALUES = 20  # per column: the values with the most clips
NO_VALUE = "(none)"  # how an empty cell is shown
Columns = Mapping[str, Sequence[str]]  # by name: the cell of each clip


def check_slices(slices: Sequence[str], table: Path | None) -> None:
    """Raises GenreclfError for a slice that is neither `genre` nor a column of the table."""
    for name in slices:
        if meaning_of(name) == "genre":
            continue
        if table is None:
            remedy = "give one with this column, or slices=[genre]"
            raise GenreclfError(f"slices=[{name}]: there is no data.table; {remedy}")
        try:
            with columns_in_use(slices):
                check_column(table, name)
        except GenreclfError as error:
            raise GenreclfError(f"slices=[{name}]: {error}") from error


def slice_columns(slices: Sequence[str], paths: Sequence[str], labels: Sequence[str], table: Path | None) -> Columns:
    """Returns, by slice, the cell of each clip in `paths`, with classes `labels`. Call `check_slices` first."""
    columns = {}
    with columns_in_use(slices):
        for name in slices:
            of_table = table is not None and meaning_of(name) != "genre"
            columns[name] = read_column(table, paths, name) if table and of_table else list(labels)
    return columns


def by_value(columns: Columns, scored: Callable[[Sequence[int]], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns, by column, the result of `scored` for the clips (indices) of each value, and how many are left out.

    The values with the most clips come first; values after the first MAX_VALUES are left out.
    """
    found = {}
    for name, cells in columns.items():
        clips_of = grouped((value, clip) for clip, value in enumerate(cells))
        ordered = sorted(clips_of, key=lambda value: (-len(clips_of[value]), value))
        shown, others = ordered[:MAX_VALUES], ordered[MAX_VALUES:]
        found[name] = {
            "values": [{"value": value, **scored(clips_of[value])} for value in shown],
            "left_out": {"values": len(others), "clips": sum(len(clips_of[value]) for value in others)},
        }
    return found


def not_shown(found: Mapping[str, Any]) -> str:
    """Describes the values that `by_value` left out, for a title; empty if there are none."""
    left_out = found["left_out"]
    return f"; not shown: {left_out['values']} values, {left_out['clips']} clips" if left_out["values"] else ""


def slice_scores(predictions: Predictions, columns: Columns) -> dict[str, dict[str, Any]]:
    """Returns the scores by the values of each column; `columns` have a cell for each clip."""
    return by_value(columns, lambda clips: scores_of([predictions.subset(clips)]))


def scores_of(by_seed: Sequence[Predictions]) -> dict[str, Any]:
    """Returns the scores of some clips from the predictions of one or more seeds: means over the seeds.

    The 95 % intervals come from resampling groups. They are None for a single group. If all draws are equal, they are
    None too, except the interval of a single seed's accuracy, which is then Wilson's.
    """
    first = by_seed[0]
    found = [scores(one.probabilities, one.target, one.classes) for one in by_seed]
    per_clip = [hits_by_class(one.probabilities, one.target) for one in by_seed]
    hits = sum_by_group(np.sum(per_clip, axis=0), first.groups)
    independent = wilson(int(first.correct.sum()), len(first.paths)) if len(by_seed) == 1 and len(hits) > 1 else None
    return {
        "n": len(first.paths),
        "groups": len(hits),
        **{name: float(np.mean([one[name] for one in found])) for name in ("accuracy", "macro_accuracy", "log_loss")},
        "ece": float(np.mean([calibration_error(one.probabilities, one.target) for one in by_seed])),
        "intervals": {
            "accuracy": shown_interval(clustered(hits, _accuracy), independent),
            "macro_accuracy": shown_interval(clustered(hits, macro_accuracy), None),
        },
    }


def _accuracy(sums: np.ndarray) -> np.ndarray:
    """Returns (draws,) accuracies from (draws, 2 * classes) sums of `hits_by_class`."""
    n, hits = np.split(sums, 2, axis=1)
    return np.asarray(hits.sum(axis=1) / n.sum(axis=1))

"""Scores how well a model separates clips of its classes from out-of-scope clips. Returns JSON-like data."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from genreclf.evaluation.clip_set import ClipSet
from genreclf.evaluation.predictions import Predictions
from genreclf.evaluation.slices import Columns, by_value
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.predictor import Prediction
from genreclf.inference.temperature import apply_temperature


def out_of_scope(
    predictions: Predictions, none: Sequence[Prediction], info: ModelInfo, clip_set: ClipSet
) -> dict[str, Any] | None:
    """Returns `none_scores` and the shares of withheld clips, from calibrated predictions for `clip_set.clips`.

    `none` are uncalibrated predictions for `clip_set.none`. Returns None if there are none.
    """
    if not none:
        return None
    others = apply_temperature(np.array([prediction.probabilities for prediction in none]), info.temperature)
    score = info.known.probability if info.known else partial(np.max, axis=1)
    ours, other = score(predictions.probabilities), score(others)
    withheld = None
    if info.known is not None:
        least = info.known.threshold
        withheld = {"known": float((ours < least).mean()), "none": float((other < least).mean())}
    columns = clip_set.cells(clip_set.clips), clip_set.cells(clip_set.none)
    return {**none_scores(ours, other, *columns), "withheld": withheld}


def none_scores(known: np.ndarray, none: np.ndarray, known_columns: Columns, none_columns: Columns) -> dict[str, Any]:
    """Scores how well the model separates clips of its classes from out-of-scope clips.

    `known` and `none` are (N,) and (M,) scores, not empty, higher for clips that seem to be of a class. `auroc` is the
    probability that a clip of a class has a higher score than an out-of-scope clip (Hendrycks and Gimpel 2017); ties
    count half. The scores by value of a column use only its clips; if these are all of one kind, all clips of the other
    kind.
    """

    def scored(clips: Sequence[int]) -> dict[str, Any]:
        numbers = np.asarray(clips)
        here, absent = known[numbers[numbers < len(known)]], none[numbers[numbers >= len(known)] - len(known)]
        area = auroc(here if len(here) else known, absent if len(absent) else none)
        return {"known": len(here), "none": len(absent), "auroc": area}

    columns = {name: [*known_columns[name], *none_columns[name]] for name in known_columns}
    return {"n": len(none), "auroc": auroc(known, none), "slices": by_value(columns, scored)}


def auroc(higher: np.ndarray, lower: np.ndarray) -> float:
    """Returns the area under the ROC curve: how often one of (N,) `higher` is above one of (M,) `lower`."""
    return float(roc_auc_score(np.repeat([1, 0], [len(higher), len(lower)]), np.concatenate([higher, lower])))

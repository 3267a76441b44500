"""Scores predictions for a set of clips, as JSON-like data."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from genreclf.evaluation.calibration import calibrated_by, calibration, calibration_error
from genreclf.evaluation.clip_set import ClipSet
from genreclf.evaluation.plots import ClipView
from genreclf.evaluation.predictions import Predictions, stored_clip
from genreclf.evaluation.scores import intervals, scores
from genreclf.evaluation.slices import Columns, none_scores, slice_scores
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.predictor import Prediction
from genreclf.inference.temperature import apply_temperature

MAX_MISTAKES = 12


def score_clips(found: Sequence[Prediction], info: ModelInfo, music: ClipSet) -> tuple[Predictions, dict[str, Any]]:
    """Returns calibrated predictions, and the scores of clips and, if a clip has several, of segments.

    `found` are uncalibrated predictions for `music.clips`, then for `music.none`.
    """
    found, none = found[: len(music.clips)], found[len(music.clips) :]
    target = np.array([info.classes.index(label) for label in music.labels])
    uncalibrated, predictions = calibrated_predictions(found, target, info, music)
    before = scores(uncalibrated, target, info.classes)
    errors = {"log_loss": before["log_loss"], "brier": before["brier"], "ece": calibration_error(uncalibrated, target)}
    results = {"clip": {**clip_scores(predictions, music.cells(music.clips)), "uncalibrated": errors}}
    results["clip"]["none"] = _out_of_scope(predictions, none, info, music)
    counts = [len(prediction.segments) for prediction in found]
    if max(counts) > 1:
        segments = np.array([segment.probabilities for prediction in found for segment in prediction.segments])
        segments = apply_temperature(segments, info.temperature)
        results["segment"] = scores(segments, np.repeat(target, counts), info.classes)
    return predictions, results


def clip_scores(predictions: Predictions, columns: Columns | None = None) -> dict[str, Any]:
    """Returns scores, intervals and calibration of clips as JSON-like data, also by the values of `columns`."""
    probabilities, target = predictions.probabilities, predictions.target
    return {
        **scores(probabilities, target, predictions.classes),
        "groups": len(set(predictions.groups)),
        "intervals": intervals(probabilities, target, predictions.groups),
        "calibration": calibration(probabilities, target),
        "slices": slice_scores(predictions, columns or {}),
        "none": None,
    }


def _out_of_scope(
    predictions: Predictions, none: Sequence[Prediction], info: ModelInfo, music: ClipSet
) -> dict[str, Any] | None:
    """Scores how well out-of-scope clips are separated from the others. None if there are no such clips."""
    if not none:
        return None
    others = apply_temperature(np.array([prediction.probabilities for prediction in none]), info.temperature)
    columns = music.cells(music.clips), music.cells(music.none)
    score = info.known.probability if info.known else partial(np.max, axis=1)
    ours, other = score(predictions.probabilities), score(others)
    found, withheld = none_scores(ours, other, *columns), None
    if info.known is not None:
        withheld = {
            name: float((one < info.known.threshold).mean()) for name, one in (("known", ours), ("none", other))
        }
    return None if found is None else {**found, "withheld": withheld}


def calibrated_predictions(
    found: Sequence[Prediction], target: np.ndarray, info: ModelInfo, music: ClipSet
) -> tuple[np.ndarray, Predictions]:
    """Returns the uncalibrated probabilities of `music.clips`, and the predictions with the model's temperature.

    `target` is as in `Predictions`.
    """
    rows = [music.store.rows[clip] for clip in music.clips]
    uncalibrated = np.array([prediction.probabilities for prediction in found])
    return uncalibrated, Predictions(
        classes=info.classes,
        paths=tuple(row.path for row in rows),
        digests=tuple(row.digest for row in rows),
        groups=music.groups,
        target=target,
        probabilities=calibrated_by(uncalibrated, info.temperature, target),
        thresholds=info.thresholds,
    )


def worst_mistakes(predictions: Predictions, found: Sequence[Prediction], music: ClipSet) -> list[ClipView]:
    """Returns the wrong predictions with the highest probability; `found` is as in `score_clips`.

    For several genres, these are predictions of genres that a clip's labels lack (perhaps by mistake).
    """
    classes, pair = predictions.classes, (predictions.predicted, predictions.target)
    predicted, target = pair if predictions.several else (np.eye(len(classes), dtype=bool)[one] for one in pair)
    wrong = np.where(predicted & ~target, predictions.probabilities, 0)  # (N, classes)
    worst = np.argsort(-wrong.max(1), kind="stable")[:MAX_MISTAKES]
    return [
        ClipView(
            path=predictions.paths[index],
            true=music.labels[index],
            predicted=classes[wrong[index].argmax()],
            probabilities=tuple(predictions.probabilities[index].tolist()),
            levels=stored_clip(music.store, music.clips[index]).levels,
            seconds=found[index].seconds,
            attention=found[index].attention,
        )
        for index in worst
        if wrong[index].any()
    ]

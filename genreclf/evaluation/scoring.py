"""Predicts a set of clips with a bundle, without and with TTA, and scores the predictions, as JSON-like data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genreclf.evaluation.calibration import calibrated_by, calibration, calibration_error
from genreclf.evaluation.clip_set import ClipSet
from genreclf.evaluation.multilabel_scores import mean_log_loss, multilabel_clip_scores
from genreclf.evaluation.out_of_scope import out_of_scope
from genreclf.evaluation.plots import ClipView
from genreclf.evaluation.predictions import Predictions, predict_clips, stored_clip
from genreclf.evaluation.scores import intervals, scores
from genreclf.evaluation.slices import Columns, slice_scores
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import Bundle
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.predictor import Prediction, Predictor
from genreclf.inference.task import MULTILABEL
from genreclf.inference.temperature import apply_temperature
from genreclf.tags.plan import split_genres

MAX_MISTAKES = 12


@dataclass(frozen=True)
class Scored:
    """Predictions for a set of clips, their scores, and the worst mistakes."""

    predictions: dict[str, Predictions]  # by TTA
    results: dict[str, Any]  # by TTA
    mistakes: list[ClipView]


def score_clip_set(bundle: Bundle, clip_set: ClipSet, tta: str, device: str) -> Scored:
    """Predicts a set of clips without TTA and with `tta`; `device` as in `TorchModel`."""
    # Measuring calibration also needs the probabilities before the temperature is applied.
    model = TorchModel(replace(bundle, info=replace(bundle.info, temperature=1.0, known=None)), device)
    found, predictions, results = {}, {}, {}
    for name in dict.fromkeys(("none", tta)):
        clips = (*clip_set.clips, *clip_set.none)
        found[name] = predict_clips(Predictor(model, name), clip_set.store, clips, f"scoring, tta={name}")
        predictions[name], results[name] = score_clips(found[name], bundle.info, clip_set)
    return Scored(predictions, results, worst_mistakes(predictions["none"], found["none"], clip_set))


def score_clips(found: Sequence[Prediction], info: ModelInfo, clip_set: ClipSet) -> tuple[Predictions, dict[str, Any]]:
    """Returns calibrated predictions and the scores of clips.

    `found` are uncalibrated predictions for `clip_set.clips`, then for `clip_set.none`. For models of one genre per
    clip, also scores segments, if a clip has several, and how well `clip_set.none` is separated from the other clips.
    """
    found, none = found[: len(clip_set.clips)], found[len(clip_set.clips) :]
    predictions = _predictions(np.array([prediction.probabilities for prediction in found]), info, clip_set)
    target, columns = predictions.target, clip_set.cells(clip_set.clips)
    calibrated = replace(predictions, probabilities=calibrated_by(predictions.probabilities, info.temperature, target))
    if predictions.several:
        clip, before = multilabel_clip_scores(calibrated, columns), {"log_loss": mean_log_loss(predictions)}
    else:
        of_uncalibrated = scores(predictions.probabilities, target, info.classes)
        clip, before = clip_scores(calibrated, columns), {name: of_uncalibrated[name] for name in ("log_loss", "brier")}
        clip["none"] = out_of_scope(calibrated, none, info, clip_set)
    before["ece"] = calibration_error(predictions.probabilities, target)
    results = {"clip": {**clip, "uncalibrated": before}}
    counts = [len(prediction.segments) for prediction in found]
    if not predictions.several and max(counts) > 1:
        segments = np.array([segment.probabilities for prediction in found for segment in prediction.segments])
        segments = apply_temperature(segments, info.temperature)
        results["segment"] = scores(segments, np.repeat(target, counts), info.classes)
    return calibrated, results


def _predictions(probabilities: np.ndarray, info: ModelInfo, clip_set: ClipSet) -> Predictions:
    """Returns the predictions with these (N, classes) probabilities for `clip_set.clips`."""
    rows = [clip_set.store.rows[clip] for clip in clip_set.clips]
    if info.task == MULTILABEL:
        genres = map(split_genres, clip_set.labels)
        target = np.array([[name in of_clip for name in info.classes] for of_clip in genres])
    else:
        target = np.array([info.classes.index(label) for label in clip_set.labels])
    paths, digests = tuple(row.path for row in rows), tuple(row.digest for row in rows)
    return Predictions(info.classes, paths, digests, clip_set.groups, target, probabilities, info.thresholds)


def clip_scores(predictions: Predictions, columns: Columns) -> dict[str, Any]:
    """Returns scores, intervals and calibration of clips as JSON-like data, also by the values of `columns`."""
    probabilities, target = predictions.probabilities, predictions.target
    return {
        **scores(probabilities, target, predictions.classes),
        "groups": len(set(predictions.groups)),
        "intervals": intervals(probabilities, target, predictions.groups),
        "calibration": calibration(probabilities, target),
        "slices": slice_scores(predictions, columns),
        "none": None,
    }


def worst_mistakes(predictions: Predictions, found: Sequence[Prediction], clip_set: ClipSet) -> list[ClipView]:
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
            true=clip_set.labels[index],
            predicted=classes[wrong[index].argmax()],
            probabilities=tuple(predictions.probabilities[index].tolist()),
            levels=stored_clip(clip_set.store, clip_set.clips[index]).levels,
            seconds=found[index].seconds,
            attention=found[index].attention,
        )
        for index in worst
        if wrong[index].any()
    ]

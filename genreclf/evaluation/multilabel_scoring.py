"""Scores multi-label predictions for a set of clips, as JSON-like data."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genreclf.evaluation.calibration import calibration_error
from genreclf.evaluation.clip_set import ClipSet
from genreclf.evaluation.multilabel_scores import log_loss, multilabel_clip_scores
from genreclf.evaluation.plots import ClipView
from genreclf.evaluation.predictions import Predictions, stored_clip
from genreclf.evaluation.scoring import MAX_MISTAKES
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.predictor import Prediction
from genreclf.inference.temperature import apply_temperature_to_each
from genreclf.tags.plan import split_genres


def score_multilabel_clips(
    found: Sequence[Prediction], info: ModelInfo, music: ClipSet
) -> tuple[Predictions, dict[str, Any]]:
    """Returns calibrated predictions and clip scores. `found` are uncalibrated predictions for `music.clips`."""
    rows = [music.store.rows[clip] for clip in music.clips]
    genres = [set(split_genres(label)) for label in music.labels]
    target = np.array([[name in of_clip for name in info.classes] for of_clip in genres])
    uncalibrated = np.array([prediction.probabilities for prediction in found])
    predictions = Predictions(
        classes=info.classes,
        paths=tuple(row.path for row in rows),
        digests=tuple(row.digest for row in rows),
        groups=music.groups,
        target=target,
        probabilities=apply_temperature_to_each(uncalibrated, info.temperature),
        thresholds=info.thresholds,
    )
    before = {
        "log_loss": float(log_loss(uncalibrated, target).mean()),
        "ece": calibration_error(uncalibrated, target),
    }
    scores = multilabel_clip_scores(predictions, music.cells(music.clips))
    return predictions, {"clip": {**scores, "uncalibrated": before}}


def unlabelled_genres(predictions: Predictions, found: Sequence[Prediction], music: ClipSet) -> list[ClipView]:
    """Returns the clips with the most confident predictions of genres that their labels lack (perhaps by mistake)."""
    others = np.where(predictions.target, 0, predictions.probabilities * predictions.predicted)
    worst = np.argsort(-others.max(1), kind="stable")[:MAX_MISTAKES]
    return [
        ClipView(
            path=predictions.paths[index],
            true=music.labels[index],
            predicted=predictions.classes[others[index].argmax()],
            probabilities=tuple(predictions.probabilities[index].tolist()),
            levels=stored_clip(music.store, music.clips[index]).levels,
            seconds=found[index].seconds,
            attention=found[index].attention,
        )
        for index in worst
        if others[index].max() > 0
    ]

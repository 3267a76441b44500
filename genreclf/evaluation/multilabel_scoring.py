"""Scores multi-label predictions for a set of clips, as JSON-like data."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genreclf.evaluation.calibration import calibration_error
from genreclf.evaluation.clip_set import ClipSet
from genreclf.evaluation.multilabel_scores import log_loss, multilabel_clip_scores
from genreclf.evaluation.predictions import Predictions
from genreclf.evaluation.scoring import calibrated_predictions
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.predictor import Prediction
from genreclf.tags.plan import split_genres


def score_multilabel_clips(
    found: Sequence[Prediction], info: ModelInfo, music: ClipSet
) -> tuple[Predictions, dict[str, Any]]:
    """Returns calibrated predictions and clip scores. `found` are uncalibrated predictions for `music.clips`."""
    genres = [set(split_genres(label)) for label in music.labels]
    target = np.array([[name in of_clip for name in info.classes] for of_clip in genres])
    uncalibrated, predictions = calibrated_predictions(found, target, info, music)
    before = {
        "log_loss": float(log_loss(uncalibrated, target).mean()),
        "ece": calibration_error(uncalibrated, target),
    }
    scores = multilabel_clip_scores(predictions, music.cells(music.clips))
    return predictions, {"clip": {**scores, "uncalibrated": before}}

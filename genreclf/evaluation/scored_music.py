"""Predicts and scores a set of clips with a bundle, without and with TTA."""

from dataclasses import dataclass, replace
from typing import Any

from genreclf.evaluation.clip_set import ClipSet
from genreclf.evaluation.multilabel_scoring import score_multilabel_clips
from genreclf.evaluation.plots import ClipView
from genreclf.evaluation.predictions import Predictions, predict_clips
from genreclf.evaluation.scoring import score_clips, worst_mistakes
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import Bundle
from genreclf.inference.predictor import Predictor
from genreclf.inference.task import MULTILABEL


@dataclass(frozen=True)
class Scored:
    """Predictions for a set of clips, their scores, and the worst mistakes."""

    predictions: dict[str, Predictions]  # by TTA
    results: dict[str, Any]  # by TTA
    mistakes: list[ClipView]


def score_music(bundle: Bundle, music: ClipSet, tta: str, device: str) -> Scored:
    """Predicts a set of clips without TTA and with `tta`; `device` as in `TorchModel`."""
    # Measuring calibration also needs the probabilities before the temperature is applied.
    model = TorchModel(replace(bundle, info=replace(bundle.info, temperature=1.0, known=None)), device)
    several = bundle.info.task == MULTILABEL
    scored_by = score_multilabel_clips if several else score_clips
    found, predictions, results = {}, {}, {}
    for name in dict.fromkeys(("none", tta)):
        clips = (*music.clips, *music.none)
        found[name] = predict_clips(Predictor(model, name), music.store, clips, f"scoring, tta={name}")
        predictions[name], results[name] = scored_by(found[name], bundle.info, music)
    return Scored(predictions, results, worst_mistakes(predictions["none"], found["none"], music))

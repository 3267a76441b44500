"""Analyses an upload for a page: the prediction and the spectrogram that the model read."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from genreclf.frontend.clip import Clip
from genreclf.inference.predictor import Prediction, Predictor


@dataclass(frozen=True, eq=False)
class Analysis:
    """A clip, its prediction and its spectrogram."""

    clip: Clip
    prediction: Prediction
    spectrogram_png: bytes  # as the model read it: without silence at the ends, at the model's time resolution


def analyze(predictor: Predictor, clip: Clip, report: Callable[[float], None]) -> Analysis:
    """Predicts a clip. `report` is called with the finished share, in (0, 1]."""
    segmentation = predictor.segment(clip)
    prediction = predictor.predict(clip, segmentation, report)
    png = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(segmentation.levels[::-1])).save(png, format="PNG")  # low band at the bottom
    return Analysis(clip, prediction, png.getvalue())

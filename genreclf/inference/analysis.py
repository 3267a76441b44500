"""Analyses an upload for a page: the prediction and the spectrogram that the model read."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from genreclf.frontend.clip import Clip
from genreclf.inference.predictor import Prediction, Predictor

# Correlation of a band's number and mean level. Music is louder in the bass: below -0.5 for 638 of GTZAN's 639 clips.
MAX_SPECTROGRAM_CORRELATION = -0.3
_NO_SPECTROGRAM = "no mel spectrogram: low bands are not brighter than high ones, as in music"


@dataclass(frozen=True, eq=False)
class Analysis:
    """A clip, its prediction and its spectrogram."""

    clip: Clip
    prediction: Prediction
    spectrogram_png: bytes  # as the model read it: without silence at the ends, at the model's time resolution


def analyze(predictor: Predictor, clip: Clip, report: Callable[[float], None]) -> Analysis:
    """Predicts a clip. `report` is called with the finished share, in (0, 1].

    A picture that does not look like a spectrogram gets no genre.
    """
    clip = judged(clip)
    segmentation = predictor.segment(clip)
    prediction = predictor.predict(clip, segmentation, report)
    png = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(segmentation.levels[::-1])).save(png, format="PNG")  # low band at the bottom
    return Analysis(clip, prediction, png.getvalue())


def judged(clip: Clip) -> Clip:
    """Returns the clip, marked as unsuitable, with the reason, if it is a picture that does not show music."""
    if clip.unsuitable or clip.source_rate_hz or _looks_like_a_spectrogram(clip):
        return clip
    return replace(clip, unsuitable=_NO_SPECTROGRAM)


def _looks_like_a_spectrogram(clip: Clip) -> bool:
    levels = clip.levels.mean(axis=1)  # (128, columns) -> (128,)
    if not np.ptp(levels):
        return False
    return bool(np.corrcoef(np.arange(len(levels)), levels)[0, 1] < MAX_SPECTROGRAM_CORRELATION)

"""An upload -> all that a page can show of it: the answer, the spectrogram, and what of it was heeded."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from genreclf.frontend.clip import Clip
from genreclf.frontend.cutting import cutting
from genreclf.frontend.upload import read_upload
from genreclf.inference.prediction import Prediction
from genreclf.inference.predictor import Facts, Model, Predictor

# Of 639 real clips, all but one lie below -0.5: music is louder in the bass than in the treble.
_SPECTROGRAMS_AT_MOST = -0.3
# A note of the picture's reader that a picture's colours are no known map's.
_LUMINANCE = "colours: luminance"


@dataclass(frozen=True)
class Analysis:
    """`seen` is a PNG of the spectrogram as the model saw it; `attention` as `Predictor.attention`."""

    clip: Clip
    prediction: Prediction
    attention: np.ndarray | None
    seen: bytes
    warning: str


def read(model: Model, content: bytes, picture_seconds: float, max_seconds: float) -> Clip:
    """The clip of an upload; a picture shows `picture_seconds`. Raises GenreclfError, which calls it "upload"."""
    return read_upload(content, model.front_end, picture_seconds, max_seconds)


def hear(model: Model, clip: Clip, report: Callable[[float], None]) -> Analysis:
    """The answer of a model; `report` gets the share that is done."""
    predictor = Predictor(_Reporting(model, clip, report))
    prediction, attention = predictor.predict_with_attention(clip)
    return Analysis(clip, prediction, attention, _png(clip, model.facts), _warning(clip))


class _Reporting:
    """A model that tells how far it is."""

    def __init__(self, model: Model, clip: Clip, report: Callable[[float], None]) -> None:
        self.model, self.facts, self.report = model, model.facts, report
        self.done, self.total = 0, len(cutting(clip, self.facts.view, self.facts.frames_per_column).spans)

    def front_end(self, waveform: np.ndarray) -> np.ndarray:
        return self.model.front_end(waveform)

    def answers(self, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answers = self.model.answers(segments)
        self.done += len(segments)
        self.report(self.done / self.total)
        return answers

    def digest(self) -> str:
        return self.model.digest()


def _png(clip: Clip, facts: Facts) -> bytes:
    levels = cutting(clip, facts.view, facts.frames_per_column).levels
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels[::-1])).save(file, format="PNG")  # the low band at the bottom
    return file.getvalue()


def _warning(clip: Clip) -> str:
    """What makes the answer doubtful, before any model is asked; empty for nothing."""
    if not clip.levels.any():
        return "There is nothing to hear: it is silent, or of one level throughout. The answer means nothing."
    if not clip.source_rate_hz and not _looks_like_a_spectrogram(clip):
        return "This picture does not look like a spectrogram of music. The answer below is a guess about nothing."
    if clip.source_rate_hz and clip.source_seconds < 5:
        return "That is very short: less than 5 seconds. It is repeated to fill what the model looks at."
    return ""


def _looks_like_a_spectrogram(clip: Clip) -> bool:
    levels = clip.levels.mean(1)
    if not np.ptp(levels):
        return False
    falling = np.corrcoef(np.arange(len(levels)), levels)[0, 1]
    return _LUMINANCE not in clip.note and falling < _SPECTROGRAMS_AT_MOST

"""A model and a clip -> the genre of the whole clip and of each of its segments. No more than NumPy is needed here."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from genreclf.frontend.clip import Clip, read_clip
from genreclf.frontend.cutting import Segmentation, cutting, paste
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.frontend.segments import SEGMENT_COLUMNS, ViewConfig
from genreclf.inference.prediction import Prediction, Segment

SEGMENTS_AT_ONCE = 32


@dataclass(frozen=True)
class Facts:
    """Who answers, and how clips are to be cut and answers to be apply_temperature; as in a bundle."""

    name: str
    classes: tuple[str, ...]
    view: ViewConfig
    picture_seconds: float
    frames_per_column: float
    temperature: float

    def digest(self, weights_sha256: str, way: str) -> str:
        """Equal for models of the same weights that answer alike; `way` tells what else their answers depend on."""
        settings = [self.classes, vars(self.view), self.picture_seconds, self.frames_per_column, self.temperature]
        return hashlib.sha256(json.dumps([weights_sha256, settings, way]).encode()).hexdigest()[:16]


class Model(Protocol):
    """What answers for segments, whatever its runtime."""

    facts: Facts

    def front_end(self, waveform: np.ndarray) -> np.ndarray:
        """(samples,) float32 at 22,050 Hz -> (128, frames) uint8 levels."""

    def answers(self, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 128, 256) uint8 -> (N, classes) probabilities, not apply_temperature; (N, T) attention, T = 1 for none."""

    def digest(self) -> str:
        """Equal for models that answer alike, whatever their runtime."""


class Predictor:
    """Answers for one model."""

    def __init__(self, model: Model) -> None:
        self.model, self.facts = model, model.facts

    def predict_file(self, path: Path) -> Prediction:
        """The answer for an audio file or a picture; raises GenreclfError for a file that cannot be read."""
        return self.predict(read_clip(path, self.model.front_end, self.facts.picture_seconds))

    def predict(self, clip: Clip) -> Prediction:
        """The answer for a clip that is already read."""
        return self.predict_with_attention(clip)[0]

    def predict_many(self, clips: Iterable[Clip]) -> Iterator[Prediction]:
        """An answer a clip, in order. The model sees segments of several clips at once, and holds few clips ahead."""
        for group in self._groups(clips):
            answers, _ = self._answers([cut for _, cut in group])
            ends = np.cumsum([len(cut.spans) for _, cut in group])[:-1]
            for (clip, cut), own in zip(group, np.split(answers, ends), strict=True):
                yield self._prediction(clip, cut, own)

    def predict_with_attention(self, clip: Clip) -> tuple[Prediction, np.ndarray | None]:
        """The same, and (frames,) how much the net heeds each moment, 1 where all are heeded alike: the mean over heads
        and segments, 0 in silence at the ends. None for a model that has no steps of time.
        """
        cut = self._cut(clip)
        answers, weights = self._answers([cut])  # (S, classes), (S, T)
        return self._prediction(clip, cut, answers), _attention(clip, cut, weights)

    def _cut(self, clip: Clip) -> Segmentation:
        return cutting(clip, self.facts.view, self.facts.frames_per_column)

    def _groups(self, clips: Iterable[Clip]) -> Iterator[list[tuple[Clip, Segmentation]]]:
        """As many clips together as fill a batch."""
        group: list[tuple[Clip, Segmentation]] = []
        for clip in clips:
            group.append((clip, self._cut(clip)))
            if sum(len(cut.spans) for _, cut in group) >= SEGMENTS_AT_ONCE:
                yield group
                group = []
        if group:
            yield group

    def _answers(self, cuts: list[Segmentation]) -> tuple[np.ndarray, np.ndarray]:
        """The clips' segments one after another -> (S, classes) probabilities, (S, T) attention."""
        segments = (own for cut in cuts for own in cut.segments(SEGMENTS_AT_ONCE))
        shares, weights = zip(*map(self.model.answers, _batched(segments)), strict=True)
        return np.concatenate(shares), np.concatenate(weights)

    def _prediction(self, clip: Clip, cut: Segmentation, answers: np.ndarray) -> Prediction:
        mean = apply_temperature(answers.mean(0), self.facts.temperature)
        best = int(mean.argmax())
        pieces = tuple(
            Segment(
                (cut.start + start) / FRAME_RATE_HZ,
                (cut.start + min(start + length, cut.frames)) / FRAME_RATE_HZ,
                tuple(row.tolist()),
            )
            for (start, length), row in zip(cut.spans, apply_temperature(answers, self.facts.temperature), strict=True)
        )
        seconds = clip.frames / FRAME_RATE_HZ
        return Prediction(self.facts.classes[best], float(mean[best]), tuple(mean.tolist()), pieces, seconds, clip.note)


def _attention(clip: Clip, cut: Segmentation, weights: np.ndarray) -> np.ndarray | None:
    """(S, T) weights of a clip's segments -> (frames,)."""
    steps = weights.shape[1]
    if steps == 1:
        return None
    columns = np.repeat(weights * steps, SEGMENT_COLUMNS // steps, axis=1)  # (S, 256)
    heeded = np.zeros(clip.frames)
    heeded[cut.start : cut.start + cut.frames] = paste(columns, cut.spans, cut.frames)
    return heeded


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """(..., classes) probabilities, as `evaluation.calibration.apply_temperature` has them."""
    powers = np.maximum(probabilities.astype(np.float64), 1e-12) ** (1 / temperature)
    return powers / powers.sum(-1, keepdims=True)


def _batched(cuts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Segments in batches of SEGMENTS_AT_ONCE, the last one shorter."""
    waiting = np.zeros((0,))
    for segments in cuts:
        waiting = np.concatenate([waiting, segments]) if len(waiting) else segments
        while len(waiting) >= SEGMENTS_AT_ONCE:
            yield waiting[:SEGMENTS_AT_ONCE]
            waiting = waiting[SEGMENTS_AT_ONCE:]
    if len(waiting):
        yield waiting

"""Predicts the genre of a clip, and of each of its segments, with a model."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from genreclf.errors import GenreclfError
from genreclf.frontend.band_axis import ANY_AXIS, FigureAxis
from genreclf.frontend.clip import Clip, read_clip
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.frontend.object_store import Location
from genreclf.frontend.segments import SEGMENT_COLUMNS, Segmentation, mean_by_clip, paste, segment_clip
from genreclf.inference.answers import Answers
from genreclf.inference.model_info import Model, ModelOutput
from genreclf.inference.onnx_model import OnnxModel
from genreclf.inference.prior import prior_factors
from genreclf.inference.run_folder import find_bundle
from genreclf.inference.task import MULTICLASS
from genreclf.inference.temperature import length_factor
from genreclf.inference.tta import TTA, check_tta
from genreclf.tags.plan import join_genres

_BATCH_SIZE = 32  # segments; larger ones are no faster on a CPU and take more memory


@dataclass(frozen=True)
class Segment:
    """A segment of a clip, in seconds from the clip's start, with one calibrated probability per class."""

    start_seconds: float
    end_seconds: float
    probabilities: tuple[float, ...]
    genres: tuple[str, ...]  # the most probable one; if multi-label, those that reach their thresholds


@dataclass(frozen=True, eq=False)
class Prediction:
    """The predicted genre or genres of a clip. Probabilities are calibrated, in the order of the model's classes.

    A clip without music has no genre, probability 0, and no probabilities, segments, attention or embedding.
    """

    genres: tuple[str, ...]  # one, or those that reach their thresholds; empty if none can be given
    probability: float  # of the most probable genre, even if `genres` is empty
    probabilities: tuple[float, ...]  # the mean over the segments, with the temperature for this length applied
    segments: tuple[Segment, ...] = field(repr=False)
    seconds: float  # the length of the clip
    note: str  # a warning about the file, or empty
    # (frames,): the net's attention over time, 1 if even; 0 in silence at the ends
    attention: np.ndarray | None = field(repr=False)
    embedding: np.ndarray = field(repr=False)  # (D,) float32: the net's context vector, the mean over the segments
    no_genre: str = ""  # why `genres` is empty: "silence: ...", or out-of-scope music
    known: float | None = None  # probability that the clip is of one of the genres; None if not estimated
    task: str = MULTICLASS  # the model's task

    @property
    def genre(self) -> str:
        """The genre; several are joined by "; ". Empty if none can be given, for the reason in `no_genre`."""
        return join_genres(self.genres)


class Predictor:
    """Predicts clips with one model. Threads may share a predictor.

    `tta` is a key of `TTA`: probabilities are averaged over its copies of each segment. `prior` is the mix of genres
    that they assume (see `prior_factors`); None means the model's own.
    """

    def __init__(
        self, model: Model, tta: str = "none", figure: FigureAxis = ANY_AXIS, prior: str | None = None
    ) -> None:
        check_tta(tta)
        self.model, self.info, self.tta, self.figure = model, model.info, tta, figure
        self._answers = Answers(model.info, prior_factors(prior, model.info))

    @property
    def digest(self) -> str:
        """A digest of weights, settings and TTA, equal for predictors that give equal predictions."""
        import hashlib  # loads OpenSSL, which only journals and shards need

        settings = [self.model.weights_sha256, self.info.to_dict(), self.tta, asdict(self.figure), length_factor(0)]
        settings += [] if self._answers.factors is None else [self._answers.factors.tolist()]
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]

    def predict_file(self, path: Location) -> Prediction:
        """Predicts an audio file or a spectrogram picture. Raises GenreclfError if it cannot be read."""
        return self.predict(read_clip(path, self.info.picture_seconds, figure=self.figure))

    def predict(
        self, clip: Clip, segmentation: Segmentation | None = None, report: Callable[[float], None] | None = None
    ) -> Prediction:
        """Predicts a clip. Pass its `segmentation` if you have it. `report` gets the finished share, in (0, 1].

        Raises GenreclfError if the model is damaged and its output is not finite.
        """
        if clip.unsuitable:
            nothing = np.zeros(0, np.float32)  # an empty embedding
            seconds, task = clip.frames / FRAME_RATE_HZ, self.info.task
            return Prediction((), 0.0, (), (), seconds, clip.note, None, nothing, clip.unsuitable, task=task)
        cut = segmentation or self.segment(clip)
        outputs = []
        for batch in cut.segments(_BATCH_SIZE):
            outputs.append(self._run(batch))
            if report:
                report(min(1.0, len(outputs) * _BATCH_SIZE / len(cut.spans)))
        return self._prediction(clip, cut, ModelOutput(*map(np.concatenate, zip(*outputs, strict=True))))

    def segment(self, clip: Clip) -> Segmentation:
        """Returns the segments of a clip that the model reads."""
        return segment_clip(clip, self.info.view, self.info.frames_per_column)

    def _run(self, segments: np.ndarray) -> ModelOutput:
        """(N, 128, 256) uint8 -> the model's output, with probabilities averaged over the TTA's copies."""
        outputs = [self.model.predict_proba(copy(segments)) for copy in TTA[self.tta]]
        if not all(np.isfinite(values).all() for output in outputs for values in output):
            raise GenreclfError(f"model {self.info.name}: damaged, its output is not finite; copy or train it again")
        return outputs[0]._replace(probabilities=np.mean([output.probabilities for output in outputs], axis=0))

    def _prediction(self, clip: Clip, cut: Segmentation, output: ModelOutput) -> Prediction:
        notes, (_, length) = [clip.note], cut.spans[0]
        if cut.frames < length:
            sound, filled = cut.frames / FRAME_RATE_HZ, length / FRAME_RATE_HZ
            notes.append(f"short: {sound:.1f} s of sound, repeated to fill {filled:.1f} s")
        (mean,), _ = mean_by_clip(output.probabilities, np.zeros(len(cut.spans), int))  # (1, classes) -> (classes,)
        return Prediction(
            **self._answers.answer(mean, cut.frames)._asdict(),
            segments=self._segments(cut, output.probabilities),
            seconds=clip.frames / FRAME_RATE_HZ,
            note="; ".join(filter(None, notes)),
            attention=_attention(clip, cut, output.attention),
            embedding=output.embedding.mean(axis=0),
            task=self.info.task,
        )

    def _segments(self, cut: Segmentation, probabilities: np.ndarray) -> tuple[Segment, ...]:
        """Returns the segments with calibrated probabilities, from the model's (S, classes) probabilities."""
        segments = []
        for (start, length), uncalibrated in zip(cut.spans, probabilities, strict=True):
            frames = min(length, cut.frames - start)
            calibrated = self._answers.calibrated(uncalibrated, frames)
            begin, end = ((cut.start + frame) / FRAME_RATE_HZ for frame in (start, start + frames))
            segments.append(Segment(begin, end, tuple(calibrated.tolist()), self._answers.genres(calibrated)))
        return tuple(segments)


def load_predictor(
    model: str | Path, tta: str = "none", device: str = "auto", figure: FigureAxis = ANY_AXIS, prior: str | None = None
) -> Predictor:
    """Loads a predictor for a run folder, a bundle folder or a pretrained model's name. onnxruntime runs it.

    Raises GenreclfError if the model is missing or damaged, `tta` is unknown, the device is not available, or the model
    does not support `prior`.
    """
    check_tta(tta)  # before the model is loaded
    return Predictor(OnnxModel(find_bundle(model), device), tta, figure, prior)


def _attention(clip: Clip, cut: Segmentation, weights: np.ndarray) -> np.ndarray | None:
    """(S, T) attention of the segments -> (frames,) attention over the clip; None if the model has one time step."""
    steps = weights.shape[1]
    if steps == 1:
        return None
    # One value per column of the segments, even if T does not divide 256.
    step = np.arange(SEGMENT_COLUMNS) * steps // SEGMENT_COLUMNS
    attention = np.zeros(clip.frames)
    attention[cut.start : cut.start + cut.frames] = paste(weights[:, step] * steps, cut.spans, cut.frames)
    return attention

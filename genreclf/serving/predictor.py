"""A bundle and a file -> the genre of the whole clip and of each of its segments."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genreclf.data.clip import Clip, read_clip
from genreclf.data.spectrogram import FRAME_RATE_HZ, LogMelSpectrogram
from genreclf.data.views import SEGMENT_COLUMNS, column_index, cut, paste, spans, thin_index
from genreclf.errors import GenreclfError
from genreclf.evaluation.calibration import tempered
from genreclf.evaluation.tta import TTA, probabilities
from genreclf.serving.bundle import Bundle
from genreclf.serving.device import pick_device

SEGMENTS_AT_ONCE = 32
Shown = tuple[Clip, list[tuple[int, int]]]


@dataclass(frozen=True)
class Segment:
    """A piece of the clip, in seconds from its start, with one tempered probability a class."""

    start_seconds: float
    end_seconds: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Prediction:
    """`probabilities` are the segments' mean, tempered, in the order of the bundle's classes; `note` may warn."""

    genre: str
    probability: float
    probabilities: tuple[float, ...]
    segments: tuple[Segment, ...]
    seconds: float
    note: str


class Predictor:
    """Answers for one bundle. `tta` is none, flip or six; raises GenreclfError for others and for a missing device."""

    def __init__(self, bundle: Bundle, tta: str, device: str) -> None:
        if tta not in TTA:
            raise GenreclfError(f"tta={tta!r}: unknown; known: {', '.join(TTA)}")
        self.bundle, self.tta, self.device = bundle, tta, pick_device(device)
        self.net = bundle.net.to(self.device)
        self.front_end = LogMelSpectrogram()

    def predict_file(self, path: Path) -> Prediction:
        """The answer for an audio file or a picture; raises GenreclfError for a file that cannot be read."""
        return self.predict(read_clip(path, self.front_end, self.bundle.picture_seconds))

    def predict(self, clip: Clip) -> Prediction:
        """The answer for a clip that is already read."""
        return next(self.predict_many([clip]))

    def predict_many(self, clips: Iterable[Clip]) -> Iterator[Prediction]:
        """An answer a clip, in order. The net sees segments of several clips at once, and holds few clips ahead."""
        for group in self._groups(clips):
            answers, _ = self._segments(group)
            for (clip, shown), own in zip(group, answers.split([len(shown) for _, shown in group]), strict=True):
                yield self._prediction(clip, shown, own)

    def _groups(self, clips: Iterable[Clip]) -> Iterator[list[Shown]]:
        """Clips with their segments' spans, as many together as fill a batch."""
        group: list[Shown] = []
        for clip in clips:
            group.append((clip, spans(clip.frames, self.bundle.view)))
            if sum(len(shown) for _, shown in group) >= SEGMENTS_AT_ONCE:
                yield group
                group = []
        if group:
            yield group

    def _prediction(self, clip: Clip, shown: list[tuple[int, int]], answers: Tensor) -> Prediction:
        mean = tempered(answers.mean(0, keepdim=True), self.bundle.temperature)[0]
        answers = tempered(answers, self.bundle.temperature)  # (S, classes)
        best = int(mean.argmax())
        pieces = tuple(
            Segment(start / FRAME_RATE_HZ, min(start + length, clip.frames) / FRAME_RATE_HZ, tuple(row))
            for (start, length), row in zip(shown, answers.tolist(), strict=True)
        )
        seconds = clip.frames / FRAME_RATE_HZ
        return Prediction(
            self.bundle.classes[best], float(mean[best]), tuple(mean.tolist()), pieces, seconds, clip.note
        )

    def attention(self, clip: Clip) -> np.ndarray | None:
        """(frames,) how much the net heeds each moment, 1 where all are heeded alike: the mean over heads and segments.

        None for a net that has no steps of time.
        """
        shown = spans(clip.frames, self.bundle.view)
        weights = self._segments([(clip, shown)])[1]  # (S, T)
        steps = weights.shape[1]
        if steps == 1:
            return None
        columns = (weights * steps).repeat_interleave(SEGMENT_COLUMNS // steps, dim=1)  # (S, 256)
        return paste(columns, shown, clip.frames).numpy()

    def _segments(self, group: list[Shown]) -> tuple[Tensor, Tensor]:
        """The clips' segments one after another -> (S, classes) probabilities, (S, T) attention."""
        cuts = (own for clip, shown in group for own in self._cuts(clip, shown))
        answers = []
        with torch.inference_mode():
            for segments in _batched(cuts):
                image = segments[:, None].expand(-1, 3, -1, -1).to(self.device)  # (N, 3, 128, 256)
                answers.append([part.cpu() for part in probabilities(self.net, image, self.tta)])
        shares, weights = zip(*answers, strict=True)
        return torch.cat(shares), torch.cat(weights)

    def _cuts(self, clip: Clip, shown: list[tuple[int, int]]) -> Iterator[Tensor]:
        """(N, 128, 256) segments of a clip, no more at a time than the net is to see."""
        kept = thin_index(clip.levels.shape[1], clip.frames, self.bundle.frames_per_column)
        levels = torch.from_numpy(clip.levels)[:, kept]
        for piece in torch.tensor(shown).split(SEGMENTS_AT_ONCE):
            columns = torch.full((len(piece),), levels.shape[1])
            index = column_index(columns, torch.full_like(columns, clip.frames), piece[:, 0], piece[:, 1])
            yield cut(levels.expand(len(piece), -1, -1), index)


def _batched(cuts: Iterable[Tensor]) -> Iterator[Tensor]:
    """Segments in batches of SEGMENTS_AT_ONCE, the last one shorter."""
    waiting: Tensor | None = None
    for segments in cuts:
        waiting = segments if waiting is None else torch.cat([waiting, segments])
        while len(waiting) >= SEGMENTS_AT_ONCE:
            yield waiting[:SEGMENTS_AT_ONCE]
            waiting = waiting[SEGMENTS_AT_ONCE:]
    if waiting is not None and len(waiting):
        yield waiting

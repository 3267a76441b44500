"""Cuts a spectrogram into the segments that a model reads, in the same way for training, evaluation and prediction.

Time is counted in frames of the front end (512 samples, 23.2 ms). A spectrogram's `columns` cover its `frames`: as many
for audio, fewer for a downsampled picture. Column j of a segment is the stored column nearest in time, never a blend,
so audio and its picture give the same segments. (`exporters.wrappers` has the same rules in TorchScript.)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genreclf.errors import GenreclfError
from genreclf.frontend.clip import Clip

SEGMENT_COLUMNS = 256
Span = tuple[int, int]  # (start, length) in frames


@dataclass(frozen=True)
class ViewConfig:
    """Settings for cutting clips into segments. Raises GenreclfError for numbers that leave gaps or give no segment."""

    name: str  # crop, downsampled or whole
    segment_frames: int  # length of a segment; a shorter clip is repeated to fill it
    hop_frames: int  # largest distance between the starts of two segments
    tolerance: float  # a clip whose length differs by at most this share is one segment, stretched to fit

    def __post_init__(self) -> None:
        if self.segment_frames < 1:
            raise GenreclfError(f"view.segment_frames={self.segment_frames}: give at least 1")
        if not 1 <= self.hop_frames <= self.segment_frames:
            raise GenreclfError(f"view.hop_frames={self.hop_frames}: give 1 to segment_frames={self.segment_frames}")
        if not 0 <= self.tolerance < 1:
            raise GenreclfError(f"view.tolerance={self.tolerance}: give 0 or more, below 1")


@dataclass(frozen=True)
class Segmentation:
    """A clip without silence at its ends, at the model's time resolution, and the spans of its segments."""

    levels: np.ndarray  # (128, columns) uint8
    start: int  # the clip's frame where `levels` begins
    frames: int  # number of frames that `levels` covers
    spans: list[Span]  # of the segments, within `levels`

    def segments(self, batch_size: int) -> Iterator[np.ndarray]:
        """Yields batches of segments in order of time: (N, 128, 256) uint8 with N at most `batch_size`."""
        for first in range(0, len(self.spans), batch_size):
            batch = np.array(self.spans[first : first + batch_size])
            index = column_index(self.levels.shape[1], self.frames, batch)
            yield np.ascontiguousarray(self.levels[:, index].transpose(1, 0, 2))  # (128, N, 256) -> (N, 128, 256)


def segment_clip(clip: Clip, view: ViewConfig, frames_per_column: float) -> Segmentation:
    """Segments a clip for a model that was trained on columns of `frames_per_column` frames."""
    first, columns, start, frames = trim_silence(clip.levels, clip.frames)
    kept = first + downsample_index(columns, frames, frames_per_column)
    return Segmentation(clip.levels[:, kept], start, frames, spans(frames, view))


def spans(frames: int, view: ViewConfig) -> list[Span]:
    """Returns the segments that cover a clip of `frames` frames, in order of time. There is at least one."""
    return cover(frames, view.segment_frames, view.hop_frames, view.tolerance)


def cover(frames: int, length: int, hop_frames: int, tolerance: float) -> list[Span]:
    """Computes `spans` from plain numbers, so that TorchScript can compile it. `length` is a segment's frames."""
    if abs(frames - length) <= tolerance * length:
        return [(0, frames)]
    if frames <= length:
        return [(0, length)]
    count = 1 + -(-(frames - length) // hop_frames)  # the smallest number of hops that reaches the end
    return [((frames - length) * i // (count - 1), length) for i in range(count)]


def trim_silence(levels: np.ndarray, frames: int) -> tuple[int, int, int, int]:
    """Returns the part without silence (columns of zeros) at the ends: (first column, columns, first frame, frames).

    `levels` is (128, columns) uint8 and covers `frames`. A clip that is silent throughout is kept whole.
    """
    sounding = np.flatnonzero(levels.any(axis=0))
    columns = levels.shape[1]
    if not len(sounding):
        return 0, columns, 0, frames
    first, end = int(sounding[0]), int(sounding[-1]) + 1
    start = first * frames // columns
    return first, end - first, start, max(1, end * frames // columns - start)


def downsample_index(columns: int, frames: int, frames_per_column: float) -> np.ndarray:
    """Returns the columns to keep, one per `frames_per_column` frames, or all if there are fewer: (K,) int64."""
    if columns * frames_per_column <= frames:
        return np.arange(columns)
    centres = (np.arange(max(1, int(frames / frames_per_column + 0.5))) + 0.5) * frames_per_column * columns / frames
    return np.minimum(np.floor(centres).astype(np.int64), columns - 1)


def column_index(
    columns: int | np.ndarray, frames: int | np.ndarray, segment_spans: np.ndarray, width: int = SEGMENT_COLUMNS
) -> np.ndarray:
    """Returns the stored column for each column of N segments: (N, `width`) int64. `segment_spans` is (N, 2) integers.

    `columns` and `frames` are those of one clip, or (N, 1) arrays for segments of several clips. The integer arithmetic
    is exact, so the result is the same on every machine. Past the end of a clip, its columns repeat from the start.
    """
    start, length = segment_spans[:, :1], segment_spans[:, 1:]
    centre = 2 * width * start + (2 * np.arange(width) + 1) * length  # (N, width), in 1 / (2 * width) of a frame
    return np.asarray(centre * columns // (2 * width * frames) % columns)


def paste(values: np.ndarray, segment_spans: list[Span], frames: int) -> np.ndarray:
    """Joins values of segments along the clip's time, such as attention, spectrograms or genres.

    (S, ..., 256) values over the columns of S segments -> (..., frames), the mean where segments overlap.
    """
    total, count = np.zeros((*values.shape[1:-1], frames)), np.zeros(frames)
    for segment, (start, length) in zip(values, segment_spans, strict=True):
        covered = np.arange(start, min(start + length, frames))
        total[..., covered] += segment[..., (2 * (covered - start) + 1) * SEGMENT_COLUMNS // (2 * length)]
        count[covered] += 1
    return np.asarray(total / count)


def mean_by_clip(probabilities: np.ndarray, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Averages the probabilities of each clip's segments.

    (S, classes) of segments with their (S,) clip numbers -> (clips, classes) float64 means, (clips,) sorted numbers.
    """
    numbers, place, count = np.unique(clip, return_inverse=True, return_counts=True)
    total = np.zeros((len(numbers), probabilities.shape[1]))
    np.add.at(total, place, probabilities)
    return total / count[:, None], numbers

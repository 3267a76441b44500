"""A clip -> the segments that a model is to see, in NumPy: `views` does the same where tensors are at hand."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genreclf.frontend.clip import Clip
from genreclf.frontend.segments import SEGMENT_COLUMNS, ViewConfig, spans


@dataclass(frozen=True)
class Segmentation:
    """What of a clip is not silence at its ends, at the time resolution that the model knows.

    `levels` is (128, columns), and covers `frames` from the clip's frame `start` on; `spans` are the segments in it,
    (start, length) in frames.
    """

    levels: np.ndarray
    start: int
    frames: int
    spans: list[tuple[int, int]]

    def segments(self, at_once: int) -> Iterator[np.ndarray]:
        """(N, 128, 256) uint8, N at most `at_once`."""
        for place in range(0, len(self.spans), at_once):
            index = column_index(self.levels.shape[1], self.frames, np.array(self.spans[place : place + at_once]))
            yield self.levels[:, index].transpose(1, 0, 2)  # (128, N, 256) -> (N, 128, 256)


def cutting(clip: Clip, view: ViewConfig, frames_per_column: float) -> Segmentation:
    """How a clip is cut for a model that learnt from columns of `frames_per_column`."""
    first, columns, start, frames = trim_silence(clip.levels, clip.frames)
    kept = first + downsample_index(columns, frames, frames_per_column)
    return Segmentation(clip.levels[:, kept], start, frames, spans(frames, view))


def trim_silence(levels: np.ndarray, frames: int) -> tuple[int, int, int, int]:
    """`views.trim_silence`."""
    (heard,) = levels.any(0).nonzero()
    columns = levels.shape[1]
    if not len(heard):
        return 0, columns, 0, frames
    first, end = int(heard[0]), int(heard[-1]) + 1
    start = first * frames // columns
    return first, end - first, start, max(1, end * frames // columns - start)


def downsample_index(columns: int, frames: int, frames_per_column: float) -> np.ndarray:
    """`views.downsample_index`."""
    if columns * frames_per_column <= frames:
        return np.arange(columns)
    centres = (np.arange(max(1, int(frames / frames_per_column + 0.5))) + 0.5) * frames_per_column * columns / frames
    return np.minimum(np.floor(centres).astype(np.int64), columns - 1)


def column_index(columns: int, frames: int, shown: np.ndarray) -> np.ndarray:
    """`views.column_index` for the (N, 2) spans of one clip: (N, 256) int64."""
    start, length = shown[:, :1], shown[:, 1:]
    centre = 2 * SEGMENT_COLUMNS * start + (2 * np.arange(SEGMENT_COLUMNS) + 1) * length  # in 1/512 of a frame
    return centre * columns // (2 * SEGMENT_COLUMNS * frames) % columns


def paste(values: np.ndarray, segment_spans: list[tuple[int, int]], frames: int) -> np.ndarray:
    """(S, ..., 256) values over the columns of a clip's S segments -> (..., frames), the mean where segments overlap.

    The way back from segments to the time of the clip: for a spectrogram, attention, or genres over time.
    """
    total, count = np.zeros((*values.shape[1:-1], frames)), np.zeros(frames)
    for segment, (start, length) in zip(values, segment_spans, strict=True):
        shown = np.arange(start, min(start + length, frames))
        total[..., shown] += segment[..., (2 * (shown - start) + 1) * SEGMENT_COLUMNS // (2 * length)]
        count[shown] += 1
    return total / count

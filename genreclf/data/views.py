"""Spectrogram <-> segments. One rule for every view, resolution and device: a segment shows true columns, never blends.

Time is counted in frames of the front end (512 samples, 23.2 ms). A spectrogram has `columns`, and covers `frames`:
as many for audio, more for a picture whose columns were thinned. Column j of a segment is the stored column nearest in
time, so that a clip gives the same segment as audio and as a picture, up to the picture's own resolution.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from genreclf.errors import GenreclfError

SEGMENT_COLUMNS = 256


@dataclass(frozen=True)
class ViewConfig:
    """How segments are cut: each shows `segment_frames`, their starts lie at most `hop_frames` apart in evaluation.

    A clip whose length is within the share `tolerance` of `segment_frames` is one segment, stretched to fit.
    A shorter clip is repeated to fill the segment. Raises GenreclfError for numbers that leave gaps or make no segment.
    """

    name: str
    segment_frames: int
    hop_frames: int
    tolerance: float

    def __post_init__(self) -> None:
        if self.segment_frames < 1:
            raise GenreclfError(f"view.segment_frames={self.segment_frames}: give at least 1")
        if not 1 <= self.hop_frames <= self.segment_frames:
            raise GenreclfError(f"view.hop_frames={self.hop_frames}: give 1 to segment_frames={self.segment_frames}")
        if not 0 <= self.tolerance < 1:
            raise GenreclfError(f"view.tolerance={self.tolerance}: give 0 or more, below 1")


def spans(frames: int, view: ViewConfig) -> list[tuple[int, int]]:
    """(start, length) in frames of the segments that cover a clip of `frames`, in order of time; never empty."""
    return cover(frames, view.segment_frames, view.hop_frames, view.tolerance)


def cover(frames: int, length: int, hop_frames: int, tolerance: float) -> list[tuple[int, int]]:
    """The rule of `spans` on plain numbers, as TorchScript wants them; `length` is a segment's frames."""
    if abs(frames - length) <= tolerance * length:
        return [(0, frames)]
    if frames <= length:
        return [(0, length)]
    count = 1 + -(-(frames - length) // hop_frames)  # the smallest number of hops that reaches the end
    return [((frames - length) * i // (count - 1), length) for i in range(count)]


def random_span(frames: int, view: ViewConfig, stretch: float) -> tuple[int, int]:
    """(start, length) of one segment at a random place, drawn from torch's global generator.

    Its length is up to 1 + `stretch` times as long or as short as the view says, so that music is faster or slower;
    a clip that is no longer than that is shown whole.
    """
    last_start, length = spans(frames, view)[-1]
    if stretch and length < frames:
        factor = (1 + stretch) ** float(torch.empty(()).uniform_(-1, 1))
        length = min(frames, max(1, round(length * factor)))
        last_start = frames - length
    return int(torch.randint(last_start + 1, ())), length


def column_index(
    columns: Tensor, frames: Tensor, start: Tensor, length: Tensor, width: int = SEGMENT_COLUMNS
) -> Tensor:
    """(B,) integers each -> (B, 256) int64: the stored column that each of a segment's `width` columns shows.

    Exact integer arithmetic: the same index on any device. Past the end of a clip its columns begin again.
    """
    # `width` is an argument as TorchScript sees no constant of a module.
    j = torch.arange(width, dtype=torch.int64, device=columns.device)
    # Twice the time of the segment column's centre, in units of 1/256 frame: (B, 256)
    centre = 2 * width * start[:, None] + (2 * j + 1) * length[:, None]
    column = torch.div(centre * columns[:, None], 2 * width * frames[:, None], rounding_mode="floor")
    return column % columns[:, None]


def thin_index(columns: int, frames: int, frames_per_column: float) -> Tensor:
    """(K,) int64: which of the `columns` over `frames` are left when a column stands for `frames_per_column`.

    Those at the centres of the steps; all of them where theirs are no finer. A net that learnt from thinned pictures
    has seen time in their steps, and is to see audio so, too.
    """
    if columns * frames_per_column <= frames:
        return torch.arange(columns)
    steps = torch.arange(max(1, int(frames / frames_per_column + 0.5)), dtype=torch.float64)
    centres = (steps + 0.5) * frames_per_column * columns / frames
    return centres.floor().to(torch.int64).clamp(max=columns - 1)


def cut(spectrograms: Tensor, index: Tensor) -> Tensor:
    """(B, 128, columns) spectrograms and (B, 256) indices -> (B, 128, 256) segments."""
    return spectrograms.gather(2, index[:, None, :].expand(-1, spectrograms.shape[1], -1))


def paste(values: Tensor, segment_spans: list[tuple[int, int]], frames: int) -> Tensor:
    """(S, ..., 256) values over the columns of a clip's S segments -> (..., frames), the mean where segments overlap.

    The way back from segments to the time of the clip: for a spectrogram, attention, or genres over time.
    """
    total = torch.zeros(*values.shape[1:-1], frames, dtype=torch.float64, device=values.device)
    count = torch.zeros(frames, dtype=torch.float64, device=values.device)
    for segment, (start, length) in zip(values, segment_spans, strict=True):
        shown = torch.arange(start, min(start + length, frames), device=values.device)
        column = ((2 * (shown - start) + 1) * SEGMENT_COLUMNS).div(2 * length, rounding_mode="floor")
        total[..., shown] += segment[..., column]
        count[shown] += 1
    return total / count

"""Spectrogram <-> segments. One rule for every view, resolution and device: a segment shows true columns, never blends.

Time is counted in frames of the front end (512 samples, 23.2 ms). A spectrogram has `columns`, and covers `frames`:
as many for audio, more for a picture whose columns were thinned. Column j of a segment is the stored column nearest in
time, so that a clip gives the same segment as audio and as a picture, up to the picture's own resolution.
"""

import torch
from torch import Tensor

from genreclf.frontend.segments import SEGMENT_COLUMNS, ViewConfig, spans


def trim_silence(levels: Tensor, frames: int) -> tuple[int, int, int, int]:
    """(128, columns) levels over `frames` -> (first column, columns, first frame, frames) of what segments are cut of.

    That is all between silence at the ends, where every band is 0: a song is not to be judged by the pause before it.
    A clip that is silent throughout is left whole.
    """
    heard = levels.amax(0).nonzero()  # (N, 1)
    columns = levels.shape[1]
    if len(heard) == 0:
        return 0, columns, 0, frames
    first, end = int(heard[0]), int(heard[-1]) + 1
    start = first * frames // columns
    return first, end - first, start, max(1, end * frames // columns - start)


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


def downsample_index(columns: int, frames: int, frames_per_column: float) -> Tensor:
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

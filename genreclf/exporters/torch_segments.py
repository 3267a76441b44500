"""The segmentation of `frontend.segments` in TorchScript, for exported files only. Tests check that both are equal."""

import torch
from torch import Tensor

from genreclf.frontend.segments import SEGMENT_COLUMNS


def trim_silence(levels: Tensor, frames: int) -> tuple[int, int, int, int]:
    """Like `frontend.segments.trim_silence`, for a (128, columns) tensor."""
    sounding = levels.amax(0).nonzero()  # (N, 1)
    columns = levels.shape[1]
    if len(sounding) == 0:
        return 0, columns, 0, frames
    first, end = int(sounding[0]), int(sounding[-1]) + 1
    start = first * frames // columns
    return first, end - first, start, max(1, end * frames // columns - start)


def downsample_index(columns: int, frames: int, frames_per_column: float) -> Tensor:
    """Like `frontend.segments.downsample_index`; returns (K,) int64."""
    if columns * frames_per_column <= frames:
        return torch.arange(columns)
    steps = torch.arange(max(1, int(frames / frames_per_column + 0.5)), dtype=torch.float64)
    centres = (steps + 0.5) * frames_per_column * columns / frames
    return centres.floor().to(torch.int64).clamp(max=columns - 1)


def column_index(columns: int, frames: int, segment_spans: Tensor, width: int = SEGMENT_COLUMNS) -> Tensor:
    """Like `frontend.segments.column_index`, for (N, 2) int64 spans of one clip; returns (N, `width`) int64."""
    # `width` is an argument because TorchScript functions cannot read a module's constants.
    start, length = segment_spans[:, :1], segment_spans[:, 1:]
    j = torch.arange(width, dtype=torch.int64, device=segment_spans.device)
    centre = 2 * width * start + (2 * j + 1) * length  # (N, width), in 1 / (2 * width) of a frame
    return torch.div(centre * columns, 2 * width * frames, rounding_mode="floor") % columns

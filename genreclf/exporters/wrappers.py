"""The modules that are exported: a net with its preprocessing, and with the step from logits to probabilities.

The functions at the end are those of `frontend.segments` in TorchScript. Tests check that both are equal.
"""

import torch
from torch import Tensor, nn

from genreclf.exporters.torch_log_mel import LogMelSpectrogram
from genreclf.frontend.log_mel import HOP_SAMPLES
from genreclf.frontend.segments import SEGMENT_COLUMNS, ViewConfig, cover
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.task import MULTILABEL
from genreclf.inference.temperature import clip_temperature
from genreclf.nets.activation import apply_temperature, probabilities


class PictureModel(nn.Module):
    """(B, 3, 128, W) levels of segments, uint8 or float in [0, 255] -> (B, classes) calibrated probabilities.

    Each segment gets the temperature for a clip of its length. Works in TorchScript.
    """

    def __init__(self, net: nn.Module, info: ModelInfo) -> None:
        super().__init__()
        self.net, self.multilabel = net, info.task == MULTILABEL
        self.temperature = clip_temperature(info.temperature, info.view.segment_frames, self.multilabel)

    def forward(self, levels: Tensor) -> Tensor:  # noqa: D102 - see the class docstring
        logits = self.net(levels)[0]  # (B, classes)
        return apply_temperature(probabilities(logits, self.multilabel), self.temperature, self.multilabel)


class SegmentModel(nn.Module):
    """(B, samples) float waveforms at 22,050 Hz -> (B, classes) calibrated probabilities.

    For formats with a fixed input length. Each waveform is one segment of `segment_samples(view)` samples. The front
    end scales it like a whole clip.
    """

    index: Tensor

    def __init__(self, net: nn.Module, info: ModelInfo) -> None:
        super().__init__()
        frames = info.view.segment_frames
        self.front_end = LogMelSpectrogram()
        self.front_end.frames_at_once = frames  # one block, because the exporter would unroll a loop
        self.picture = PictureModel(net, info)
        kept = downsample_index(frames, frames, info.frames_per_column)
        self.register_buffer("index", kept[column_index(len(kept), frames, torch.tensor([[0, frames]]))[0]])  # (256,)

    def forward(self, waveform: Tensor) -> Tensor:  # noqa: D102 - see the class docstring
        levels = self.front_end(waveform)[:, :, self.index]  # (B, 128, 256)
        return self.picture(levels[:, None].expand(-1, 3, -1, -1))  # (B, 3, 128, 256) -> (B, classes)


def segment_samples(view: ViewConfig) -> int:
    """Returns the number of samples from which the front end computes the frames of one segment."""
    return (view.segment_frames - 1) * HOP_SAMPLES


class WaveformModel(nn.Module):
    """(B, samples) float waveforms at 22,050 Hz -> (B, classes) calibrated means over each clip's segments.

    The waveforms may have any length from one sample. The net gets at most `batch_size` segments at a time. Works in
    TorchScript.
    """

    def __init__(self, net: nn.Module, info: ModelInfo) -> None:
        super().__init__()
        self.front_end = LogMelSpectrogram()
        self.net, self.multilabel = net, info.task == MULTILABEL
        self.temperature, self.frames_per_column = info.temperature, info.frames_per_column
        self.segment_frames, self.hop_frames = info.view.segment_frames, info.view.hop_frames
        self.tolerance = info.view.tolerance
        self.batch_size = 32

    def forward(self, waveform: Tensor) -> Tensor:  # noqa: D102 - see the class docstring
        spectrograms = self.front_end(waveform)  # (B, 128, frames)
        return torch.stack([self._clip(levels) for levels in spectrograms])

    def _clip(self, levels: Tensor) -> Tensor:
        """(128, frames) levels of a clip -> (classes,) probabilities."""
        first, _, _, frames = trim_silence(levels, levels.shape[1])
        kept = first + downsample_index(frames, frames, self.frames_per_column).to(levels.device)
        levels = levels[:, kept]  # (128, columns)
        spans = cover(frames, self.segment_frames, self.hop_frames, self.tolerance)
        rows = [[span[0], span[1]] for span in spans]  # TorchScript makes tensors from lists, not from tuples
        segment_spans = torch.tensor(rows, dtype=torch.int64, device=levels.device)  # (S, 2)
        batches = [self._probabilities(levels, frames, batch) for batch in segment_spans.split(self.batch_size)]
        mean = torch.cat(batches).mean(0, keepdim=True)  # (1, classes)
        temperature = clip_temperature(self.temperature, frames, self.multilabel)
        return apply_temperature(mean, temperature, self.multilabel)[0]

    def _probabilities(self, levels: Tensor, frames: int, segment_spans: Tensor) -> Tensor:
        """(128, columns) levels that cover `frames`, (N, 2) spans -> (N, classes) probabilities of the segments."""
        index = column_index(levels.shape[1], frames, segment_spans)  # (N, 256)
        segments = levels[:, index].transpose(0, 1)  # (128, N, 256) -> (N, 128, 256)
        logits = self.net(segments[:, None].expand(-1, 3, -1, -1))[0]  # (N, 3, 128, 256) -> (N, classes)
        return probabilities(logits, self.multilabel)


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

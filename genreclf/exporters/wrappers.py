"""The nets as exported: with what comes before and behind them inside."""

import torch
from torch import Tensor, nn

from genreclf.evaluation.calibration import apply_temperature
from genreclf.exporters.torch_log_mel import LogMelSpectrogram
from genreclf.exporters.torch_segments import column_index, cut, downsample_index, trim_silence
from genreclf.frontend.log_mel import HOP_SAMPLES
from genreclf.frontend.segments import ViewConfig, cover


class PictureModel(nn.Module):
    """(B, 3, 128, W) levels of segments, uint8 or float in [0, 255] -> (B, classes) apply_temperature probabilities; scripts."""

    def __init__(self, net: nn.Module, temperature: float) -> None:
        super().__init__()
        self.net = net
        self.temperature = temperature

    def forward(self, levels: Tensor) -> Tensor:  # noqa: D102 - the class docstring says it
        return apply_temperature(self.net(levels)[0].softmax(1), self.temperature)


class SegmentModel(nn.Module):
    """(B, samples) float waveforms of just one segment at 22,050 Hz -> (B, classes) apply_temperature probabilities.

    For formats that want a fixed length: `samples_of(view)`. Each segment is scaled by itself.
    """

    index: Tensor

    def __init__(self, net: nn.Module, view: ViewConfig, frames_per_column: float, temperature: float) -> None:
        super().__init__()
        frames = view.segment_frames
        self.front_end = LogMelSpectrogram()
        self.front_end.frames_at_once = frames  # all at once: pieces would be unrolled
        self.picture = PictureModel(net, temperature)
        kept = downsample_index(frames, frames, frames_per_column)
        numbers = torch.tensor([[len(kept), frames, 0, frames]]).unbind(1)
        self.register_buffer("index", kept[column_index(*numbers)[0]])  # (256,)

    def forward(self, waveform: Tensor) -> Tensor:  # noqa: D102 - the class docstring says it
        levels = self.front_end(waveform)[:, :, self.index]  # (B, 128, 256)
        return self.picture(levels[:, None].expand(-1, 3, -1, -1))


def samples_of(view: ViewConfig) -> int:
    """How many samples the front end turns into the frames of one segment."""
    return (view.segment_frames - 1) * HOP_SAMPLES


class WaveformModel(nn.Module):
    """(B, samples) float waveforms at 22,050 Hz -> (B, classes) probabilities, the apply_temperature mean over the segments.

    Scripts. Any length from one sample; the net sees no more than `segments_at_once` segments at a time.
    """

    def __init__(self, net: nn.Module, view: ViewConfig, frames_per_column: float, temperature: float) -> None:
        super().__init__()
        self.front_end = LogMelSpectrogram()
        self.net = net
        self.temperature = temperature
        self.segment_frames, self.hop_frames, self.tolerance = view.segment_frames, view.hop_frames, view.tolerance
        self.frames_per_column = frames_per_column
        self.segments_at_once = 32

    def forward(self, waveform: Tensor) -> Tensor:  # noqa: D102 - the class docstring says it
        clips = self.front_end(waveform)  # (B, 128, frames)
        means = [self._mean(clip) for clip in clips]
        return apply_temperature(torch.stack(means), self.temperature)

    def _mean(self, levels: Tensor) -> Tensor:
        """(128, frames) levels of a clip -> (classes,) probabilities, the mean over its segments."""
        first, _, _, frames = trim_silence(levels, levels.shape[1])
        kept = first + downsample_index(frames, frames, self.frames_per_column).to(levels.device)
        levels = levels[:, kept]  # (128, columns)
        spans = cover(frames, self.segment_frames, self.hop_frames, self.tolerance)
        pairs = [[span[0], span[1]] for span in spans]  # TorchScript makes tensors of lists, not of tuples
        shown = torch.tensor(pairs, dtype=torch.int64, device=levels.device)  # (S, 2)
        answers = [self._answers(levels, frames, piece) for piece in shown.split(self.segments_at_once)]
        return torch.cat(answers).mean(0)

    def _answers(self, levels: Tensor, frames: int, shown: Tensor) -> Tensor:
        """(128, columns) levels over `frames`, (N, 2) spans of some segments -> (N, classes) probabilities."""
        columns = torch.full([len(shown)], levels.shape[1], dtype=torch.int64, device=levels.device)
        index = column_index(columns, torch.full_like(columns, frames), shown[:, 0], shown[:, 1])  # (N, 256)
        segments = cut(levels.expand(len(shown), -1, -1), index)  # (N, 128, 256)
        return self.net(segments.unsqueeze(1).expand(-1, 3, -1, -1))[0].softmax(1)

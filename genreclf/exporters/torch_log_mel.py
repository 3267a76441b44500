"""The front end: waveform -> uint8 log-mel spectrogram. The one used by prepare, predict, export and the app."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from genreclf.frontend.log_mel import CPU_FRAMES_AT_ONCE, FLOOR_DB, HOP_SAMPLES, N_FFT, slaney_bands


class LogMelSpectrogram(nn.Module):
    """(B, samples) float waveforms at 22,050 Hz -> (B, 128, 1 + samples // 512) uint8 levels; scripts, any device.

    Periodic Hann, centred frames with zeros beyond the ends, power, 128 Slaney bands with Slaney norm (librosa's
    default front end, McFee et al. 2015), dB against the clip's own maximum with a floor at -80 dB, then the clip's own
    minimum..maximum stretched to 0..255 and rounded. Row 0 is the lowest band. Each clip is scaled by itself alone.
    A clip without contrast, silence among them, is 0 everywhere.
    """

    window: Tensor
    bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        # An attribute, as TorchScript sees no constant of a module.
        self.smallest_ratio = 10.0 ** (FLOOR_DB / 10.0)
        self.n_fft, self.hop, self.frames_at_once = N_FFT, HOP_SAMPLES, CPU_FRAMES_AT_ONCE
        self.register_buffer("window", torch.hann_window(N_FFT))
        self.register_buffer("bands", torch.from_numpy(slaney_bands()))  # (1025, 128)

    def forward(self, waveform: Tensor) -> Tensor:  # noqa: D102 - the class docstring says it
        power = self._powers(waveform)
        peak = power.amax(dim=(1, 2), keepdim=True)
        # In place, as a long clip would fill the memory with copies.
        # The floor stands on the ratio, not on the power: a quiet clip gives the picture of a loud one.
        decibels = power.div_(peak).clamp_(min=self.smallest_ratio).log10_().mul_(10.0)
        lowest = decibels.amin(dim=(1, 2), keepdim=True)
        highest = decibels.amax(dim=(1, 2), keepdim=True)
        levels = decibels.sub_(lowest).div_(highest - lowest).mul_(255.0).round_()
        # Silence divides by zero above; its levels are NaN there and 0 here.
        return levels.masked_fill_(highest <= lowest, 0.0).to(torch.uint8).transpose(1, 2)  # (B, 128, frames)

    def levels(self, waveform: np.ndarray) -> np.ndarray:
        """(samples,) float32 at 22,050 Hz -> (128, 1 + samples // 512) uint8, without torch around it."""
        with torch.inference_mode():
            return self(torch.from_numpy(waveform)[None])[0].numpy()  # (1, 128, frames) -> (128, frames)

    def _powers(self, waveform: Tensor) -> Tensor:
        """(B, samples) -> (B, frames, 128) power in each band."""
        frames = pad(waveform, (self.n_fft // 2, self.n_fft // 2)).unfold(1, self.n_fft, self.hop)  # (B, frames, 2048)
        at_once = self.frames_at_once if waveform.device.type == "cpu" else frames.shape[1]
        powers = waveform.new_empty((frames.shape[0], frames.shape[1], self.bands.shape[1]))
        for start in range(0, frames.shape[1], at_once):
            powers[:, start : start + at_once] = self._power(frames[:, start : start + at_once])
        return powers

    def _power(self, frames: Tensor) -> Tensor:
        """(B, F, 2048) samples -> (B, F, 128) power in each band."""
        # The squares by hand: a complex magnitude costs as much as all the rest, and would be squared again.
        parts = torch.view_as_real(torch.fft.rfft(frames * self.window))  # (B, F, 1025, 2)
        return (parts[..., 0].square() + parts[..., 1].square()) @ self.bands

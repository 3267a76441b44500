"""The front end: waveform -> uint8 log-mel spectrogram. The one used by prepare, predict, export and the app."""

import torch
from torch import Tensor, nn
from torchaudio.transforms import MelScale, Spectrogram

from genreclf.data.audio import SAMPLE_RATE_HZ

N_FFT = 2048
HOP_SAMPLES = 512
N_BANDS = 128
FLOOR_DB = -80.0
FRAME_RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES


class LogMelSpectrogram(nn.Module):
    """(B, samples) float waveforms at 22,050 Hz -> (B, 128, 1 + samples // 512) uint8 levels; scripts, any device.

    Periodic Hann, centred frames with zeros beyond the ends, power, 128 Slaney bands with Slaney norm (librosa's
    default front end, McFee et al. 2015), dB against the clip's own maximum with a floor at -80 dB, then the clip's own
    minimum..maximum stretched to 0..255 and rounded. Row 0 is the lowest band. Each clip is scaled by itself alone.
    A clip without contrast, silence among them, is 0 everywhere.
    """

    def __init__(self) -> None:
        super().__init__()
        # An attribute, as TorchScript sees no constant of a module.
        self.smallest_ratio = 10.0 ** (FLOOR_DB / 10.0)
        self.stft = Spectrogram(N_FFT, hop_length=HOP_SAMPLES, power=None, center=True, pad_mode="constant")
        self.mel = MelScale(N_BANDS, SAMPLE_RATE_HZ, n_stft=N_FFT // 2 + 1, norm="slaney", mel_scale="slaney")

    def forward(self, waveform: Tensor) -> Tensor:  # noqa: D102 - the class docstring says it
        # The squares by hand: a complex magnitude costs as much as all the rest, and would be squared again.
        parts = torch.view_as_real(self.stft(waveform))  # (B, 1025, frames, 2)
        power = self.mel(parts[..., 0].square() + parts[..., 1].square())  # (B, 128, frames)
        peak = power.amax(dim=(1, 2), keepdim=True)
        # The floor stands on the ratio, not on the power: a quiet clip gives the picture of a loud one.
        decibels = 10.0 * torch.log10((power / peak).clamp(min=self.smallest_ratio))
        lowest = decibels.amin(dim=(1, 2), keepdim=True)
        highest = decibels.amax(dim=(1, 2), keepdim=True)
        levels = (decibels - lowest) / (highest - lowest) * 255.0
        # Silence divides by zero above; its levels are NaN there and 0 here.
        return torch.where(highest > lowest, levels, torch.zeros_like(levels)).round().to(torch.uint8)

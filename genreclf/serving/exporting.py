"""A bundle -> TorchScript files that answer in any process that has torch, without this package."""

import copy
import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from genreclf import __version__
from genreclf.data.audio import SAMPLE_RATE_HZ
from genreclf.data.spectrogram import HOP_SAMPLES, N_BANDS, LogMelSpectrogram
from genreclf.data.views import SEGMENT_COLUMNS, ViewConfig, column_index, cover, cut, thin_index
from genreclf.errors import GenreclfError
from genreclf.evaluation.calibration import tempered
from genreclf.serving.bundle import Bundle, weights_sha256

METADATA = "genreclf.json"
PARITY = 1e-4
PARITY_BATCHES = (1, 2, 5)
INPUTS = {
    "picture": f"segments of levels 0..255, uint8 or float, (batch, 3, {N_BANDS}, {SEGMENT_COLUMNS}), low band first",
    "waveform": f"clips of any one length, mono float samples at {SAMPLE_RATE_HZ} Hz, (batch, samples)",
}


class PictureModel(nn.Module):
    """(B, 3, 128, W) levels of segments, uint8 or float in [0, 255] -> (B, classes) tempered probabilities; scripts."""

    def __init__(self, net: nn.Module, temperature: float) -> None:
        super().__init__()
        self.net = net
        self.temperature = temperature

    def forward(self, levels: Tensor) -> Tensor:  # noqa: D102 - the class docstring says it
        return tempered(self.net(levels)[0].softmax(1), self.temperature)


class WaveformModel(nn.Module):
    """(B, samples) float waveforms at 22,050 Hz -> (B, classes) probabilities, the tempered mean over the segments.

    Scripts. Any length from one sample; the net sees no more than `segments_at_once` segments, or one a clip.
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
        levels = self.front_end(waveform)  # (B, 128, frames)
        clips, frames = levels.shape[0], levels.shape[2]
        levels = levels[:, :, thin_index(frames, frames, self.frames_per_column).to(levels.device)]
        spans = cover(frames, self.segment_frames, self.hop_frames, self.tolerance)
        pairs = [[span[0], span[1]] for span in spans]  # TorchScript makes tensors of lists, not of tuples
        shown = torch.tensor(pairs, dtype=torch.int64, device=levels.device)  # (S, 2)
        pieces = shown.split(max(1, self.segments_at_once // clips))
        answers = torch.cat([self._answer(levels, frames, piece) for piece in pieces], dim=1)  # (B, S, classes)
        return tempered(answers.mean(1), self.temperature)

    def _answer(self, levels: Tensor, frames: int, shown: Tensor) -> Tensor:
        """(B, 128, columns) levels over `frames`, (N, 2) spans of some segments -> (B, N, classes) probabilities."""
        clips = levels.shape[0]
        columns = torch.full([len(shown)], levels.shape[2], dtype=torch.int64, device=levels.device)
        index = column_index(columns, torch.full_like(columns, frames), shown[:, 0], shown[:, 1])  # (N, 256)
        # All segments as one wide cut, so that no clip is copied: (B, 128, N * 256) -> (B * N, 128, 256)
        segments = cut(levels, index.reshape(1, -1).expand(clips, -1))
        segments = segments.unflatten(2, index.shape).transpose(1, 2).flatten(0, 1)
        images = segments.unsqueeze(1).expand(-1, 3, -1, -1)  # (B * N, 3, 128, 256)
        return self.net(images)[0].softmax(1).unflatten(0, [clips, len(shown)])


@contextmanager
def _torchscript_chosen() -> Iterator[None]:
    """Without torch's advice to use torch.export: its files need Python, TorchScript's run in C++ as well."""
    with warnings.catch_warnings():
        message = r"`torch\.jit\.(script|save|load)` is deprecated"
        warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)
        yield


@_torchscript_chosen()
def export_torchscript(bundle: Bundle, kind: str, path: Path) -> float:
    """Writes the bundle's answer to `kind` of input, a key of INPUTS, as TorchScript; returns its `check_parity`.

    The file carries its description as the extra file genreclf.json. What stood at `path` is replaced only by a whole
    file that answers as the bundle does. Raises GenreclfError where the two differ by more than 1e-4, and for a `path`
    that cannot be written.
    """
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(_model(bundle, kind)), file, {METADATA: json.dumps(_metadata(bundle, kind))})
    file.seek(0)
    difference = check_parity(bundle, kind, file)
    if not difference <= PARITY:  # NaN is refused too
        raise GenreclfError(f"{path}: not written: its answers differ by {difference:.1e} from the bundle's; use that")
    _write(path, file.getvalue())
    return difference


@_torchscript_chosen()
def check_parity(bundle: Bundle, kind: str, file: Path | BinaryIO) -> float:
    """The largest difference between a probability of the bundle and of the file, for random input of 1, 2 and 5."""
    eager, loaded = _model(bundle, kind), torch.jit.load(file, map_location="cpu")
    random = torch.Generator().manual_seed(0)
    differences = []
    with torch.inference_mode():
        for batch in PARITY_BATCHES:
            example = _example(bundle, kind, batch, random)
            differences.append((eager(example) - loaded(example)).abs().max())
    return float(torch.stack(differences).max())


def _model(bundle: Bundle, kind: str) -> nn.Module:
    # A copy that needs no gradients: who calls the file without no_grad does not keep an hour's activations.
    net = copy.deepcopy(bundle.net).cpu().requires_grad_(False)
    if kind == "picture":
        return PictureModel(net, bundle.temperature).eval()
    return WaveformModel(net, bundle.view, bundle.frames_per_column, bundle.temperature).eval()


def _example(bundle: Bundle, kind: str, batch: int, random: torch.Generator) -> Tensor:
    if kind == "picture":
        return torch.randint(256, (batch, 3, N_BANDS, SEGMENT_COLUMNS), dtype=torch.uint8, generator=random)
    samples = (bundle.view.segment_frames + bundle.view.hop_frames - 1) * HOP_SAMPLES  # two segments
    loudness = torch.rand(batch, samples // HOP_SAMPLES, generator=random).repeat_interleave(HOP_SAMPLES, 1)
    return loudness * torch.randn(batch, samples, generator=random)


def _metadata(bundle: Bundle, kind: str) -> dict[str, Any]:
    return {
        "genreclf": __version__,
        "model": bundle.name,
        "classes": bundle.classes,
        "input": INPUTS[kind],
        "output": "probabilities, (batch, classes)",
        "rate_hz": SAMPLE_RATE_HZ,
        "view": asdict(bundle.view),
        "picture_seconds": bundle.picture_seconds,
        "frames_per_column": bundle.frames_per_column,
        "temperature": bundle.temperature,
        "weights_sha256": weights_sha256(bundle),
    }


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(content)
        new.replace(path)
    except OSError as error:
        raise GenreclfError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error

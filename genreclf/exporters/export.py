"""A bundle -> a file that answers as it does, with nothing but the format's own runtime."""

import copy
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from genreclf import __version__
from genreclf.errors import GenreclfError
from genreclf.exporters.formats import FORMATS, Exportable
from genreclf.exporters.wrappers import PictureModel, SegmentModel, WaveformModel, samples_of
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.log_mel import HOP_SAMPLES, N_BANDS
from genreclf.frontend.segments import SEGMENT_COLUMNS
from genreclf.nets.bundle import Bundle, weights_sha256

PARITY_BATCHES = (1, 2, 5)


def export_models(bundle: Bundle, forms: Sequence[str], kind: str, folder: Path) -> Iterator[tuple[Path, float]]:
    """Writes the bundle's answer to `kind` of input, one of INPUTS, in each form of FORMATS; gives the file and its
    `check_parity` as soon as it stands.

    A file carries its own description. What stood at its path is replaced only by a whole file that answers as the
    bundle does. Raises GenreclfError where the two differ by more than the form's parity, for an input that it does not
    take, for a net that the format cannot hold, and for a file that cannot be written.
    """
    for form in forms:
        if kind not in FORMATS[form].inputs:
            raise GenreclfError(f"format={form}: takes no input={kind}; give input={','.join(FORMATS[form].inputs)}")
    exportable: dict[bool, Exportable] = {}  # by any_length
    for form in forms:
        any_length, path = FORMATS[form].any_length, folder / f"{kind}{FORMATS[form].suffix}"
        if any_length not in exportable:
            example = _example(bundle, form, kind, 2, torch.Generator().manual_seed(0))
            exportable[any_length] = Exportable(_model(bundle, form, kind), example)
        yield path, _export(bundle, form, kind, exportable[any_length], path)


def _export(bundle: Bundle, form: str, kind: str, exportable: Exportable, path: Path) -> float:
    try:
        content = FORMATS[form].write(exportable, _metadata(bundle, form, kind))
    except GenreclfError:
        raise
    except Exception as error:  # each exporter has a family of its own for what it cannot do
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise GenreclfError(f"format={form}: cannot hold model {bundle.name} ({reason}); use torchscript") from error
    difference = check_parity(bundle, form, kind, io.BytesIO(content))
    if not difference <= FORMATS[form].parity:  # NaN is refused too
        raise GenreclfError(f"{path}: not written: its answers differ by {difference:.1e} from the bundle's; use that")
    _write(path, content)
    return difference


def check_parity(bundle: Bundle, form: str, kind: str, file: Path | BinaryIO) -> float:
    """The largest difference between a probability of the bundle and of the file, for random input of 1, 2 and 5."""
    eager, opened = _model(bundle, form, kind), FORMATS[form].open(file)
    random = torch.Generator().manual_seed(0)
    differences = []
    with torch.inference_mode():
        for batch in PARITY_BATCHES:
            example = _example(bundle, form, kind, batch, random)
            differences.append((eager(example) - opened(example)).abs().max())
    return float(torch.stack(differences).max())


def _model(bundle: Bundle, form: str, kind: str) -> nn.Module:
    # A copy that needs no gradients: who calls the file without no_grad does not keep an hour's activations.
    net = copy.deepcopy(bundle.net).cpu().requires_grad_(False)
    if kind == "picture":
        return PictureModel(net, bundle.temperature).eval()
    made = WaveformModel if FORMATS[form].any_length else SegmentModel
    return made(net, bundle.view, bundle.frames_per_column, bundle.temperature).eval()


def _example(bundle: Bundle, form: str, kind: str, batch: int, random: torch.Generator) -> Tensor:
    if kind == "picture":
        return torch.randint(256, (batch, 3, N_BANDS, SEGMENT_COLUMNS), dtype=torch.uint8, generator=random)
    samples = samples_of(bundle.view)
    if FORMATS[form].any_length:
        samples += bundle.view.hop_frames * HOP_SAMPLES  # two segments
    loudness = torch.rand(batch, samples // HOP_SAMPLES, generator=random).repeat_interleave(HOP_SAMPLES, 1)
    return loudness * torch.randn(batch, samples, generator=random)


def _metadata(bundle: Bundle, form: str, kind: str) -> dict[str, Any]:
    length = "clips of any one length" if FORMATS[form].any_length else "segments"
    samples = "samples" if FORMATS[form].any_length else samples_of(bundle.view)
    inputs = {
        "picture": f"segments of levels 0..255, uint8{' or float' if form == 'torchscript' else ''}, "
        f"(batch, 3, {N_BANDS}, {SEGMENT_COLUMNS}), low band first",
        "waveform": f"{length}, mono float32 samples at {SAMPLE_RATE_HZ} Hz, (batch, {samples})",
    }
    return {
        "genreclf": __version__,
        "model": bundle.name,
        "format": form,
        "classes": bundle.classes,
        "input": inputs[kind],
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

"""Exports a bundle to files that give the same predictions and need only their format's runtime."""

import copy
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from genreclf import __version__
from genreclf.errors import GenreclfError, explained
from genreclf.exporters.bundle import Bundle, weights_sha256
from genreclf.exporters.formats import FORMATS, Exportable
from genreclf.exporters.wrappers import PictureModel, SegmentModel, WaveformModel, segment_samples
from genreclf.files import write_atomically
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.log_mel import HOP_SAMPLES, N_BANDS
from genreclf.frontend.segments import SEGMENT_COLUMNS
from genreclf.inference.task import MULTICLASS, MULTILABEL

PARITY_BATCH_SIZES = (1, 2, 5)
OUTPUTS = {
    MULTICLASS: "probabilities, (batch, classes)",
    MULTILABEL: "probabilities, (batch, classes), that do not sum to 1; a clip has the classes that reach `thresholds`",
}


def export_models(bundle: Bundle, formats: Sequence[str], kind: str, folder: Path) -> Iterator[tuple[Path, float]]:
    """Writes the bundle's model for one `kind` of input (from INPUTS) in each of `formats` (names in FORMATS).

    Yields the path and `max_difference` of each file after writing it. A file contains its own description. An existing
    file is replaced only by a complete one that agrees with the bundle.

    `check_input` has accepted the formats. Raises GenreclfError if a format cannot represent the net, and if file and
    bundle differ by more than the format's limit. Raises OSError if a file cannot be written.
    """
    exportables: dict[bool, Exportable] = {}  # by Format.any_length
    for name in formats:
        any_length, path = FORMATS[name].any_length, folder / f"{kind}{FORMATS[name].suffix}"
        if any_length not in exportables:
            example = _example(bundle, name, kind, 2, torch.Generator().manual_seed(0))
            exportables[any_length] = Exportable(_module(bundle, name, kind), example)
        yield path, _export(bundle, name, kind, exportables[any_length], path)


def check_input(formats: Sequence[str], kind: str) -> None:
    """Raises GenreclfError if one of the formats does not support this kind of input."""
    for name in formats:
        if kind not in FORMATS[name].max_difference:
            supported = ",".join(FORMATS[name].max_difference)
            raise GenreclfError(f"format={name}: does not support input={kind}; give input={supported}")


def _export(bundle: Bundle, name: str, kind: str, exportable: Exportable, path: Path) -> float:
    with _quiet():
        with explained(f"format={name}: cannot represent model {bundle.info.name}", "use format=torchscript"):
            content = FORMATS[name].write(exportable, _metadata(bundle, name, kind))
        difference = max_difference(bundle, name, kind, io.BytesIO(content))
    if not difference <= FORMATS[name].max_difference[kind]:  # also true for NaN
        fault = f"not written: its probabilities differ from the bundle's by {difference:.1e}"
        raise GenreclfError(f"{path}: {fault}; use another format, or the bundle")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return difference


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides the exporters' messages about their implementation and torch's advice against TorchScript.

    torch recommends torch.export, but its files need Python; TorchScript files also run in C++.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def max_difference(bundle: Bundle, name: str, kind: str, file: Path | BinaryIO) -> float:
    """Returns the largest probability difference between bundle and file over random batches of PARITY_BATCH_SIZES."""
    expected, exported = _module(bundle, name, kind), FORMATS[name].load(file)
    random = torch.Generator().manual_seed(0)
    batches = [_example(bundle, name, kind, batch_size, random) for batch_size in PARITY_BATCH_SIZES]
    with torch.inference_mode():
        return float(torch.stack([(expected(batch) - exported(batch)).abs().max() for batch in batches]).max())


def _module(bundle: Bundle, name: str, kind: str) -> nn.Module:
    # A copy without gradients, so that callers without no_grad do not keep the activations of an hour of music.
    net = copy.deepcopy(bundle.net).cpu().requires_grad_(False)
    if kind == "picture":
        return PictureModel(net, bundle.info).eval()
    wrapper = WaveformModel if FORMATS[name].any_length else SegmentModel
    return wrapper(net, bundle.info).eval()


def _example(bundle: Bundle, name: str, kind: str, batch_size: int, random: torch.Generator) -> Tensor:
    """Returns a random batch: (B, 3, 128, 256) uint8 levels, or (B, samples) of noise with varying loudness."""
    if kind == "picture":
        return torch.randint(256, (batch_size, 3, N_BANDS, SEGMENT_COLUMNS), dtype=torch.uint8, generator=random)
    samples = segment_samples(bundle.info.view)
    if FORMATS[name].any_length:
        samples += bundle.info.view.hop_frames * HOP_SAMPLES  # two segments
    loudness = torch.rand(batch_size, samples // HOP_SAMPLES, generator=random).repeat_interleave(HOP_SAMPLES, 1)
    return loudness * torch.randn(batch_size, samples, generator=random)


def _metadata(bundle: Bundle, name: str, kind: str) -> dict[str, Any]:
    any_length = FORMATS[name].any_length
    if kind == "picture":
        dtype = "uint8 or float" if name == "torchscript" else "uint8"
        shape = f"(batch, 3, {N_BANDS}, {SEGMENT_COLUMNS})"
        expected = f"segments of levels 0..255, {dtype}, {shape}, low band first"
    else:
        content = "clips of any length, equal within a batch" if any_length else "segments"
        samples = "samples" if any_length else segment_samples(bundle.info.view)
        expected = f"{content}, mono float32 samples at {SAMPLE_RATE_HZ} Hz, (batch, {samples})"
    return {
        "genreclf": __version__,
        "format": name,
        "input": expected,
        "output": OUTPUTS[bundle.info.task],
        "rate_hz": SAMPLE_RATE_HZ,
        **bundle.info.to_dict(),
        "weights_sha256": weights_sha256(bundle),
    }

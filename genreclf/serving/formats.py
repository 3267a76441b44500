"""The formats of exported models: how each is written, and how it is opened to answer again."""

import io
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from genreclf.errors import GenreclfError

METADATA = "genreclf.json"  # the extra file, or the property genreclf, that describes the model
Answering = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Format:
    """`any_length`: its waveform models take clips of any length; else of one segment. Batches are of any size.

    `write` takes a module, an example batch and the description, and gives the file; `open` gives what answers.
    """

    suffix: str
    any_length: bool
    write: Callable[[nn.Module, Tensor, dict[str, Any]], bytes]
    open: Callable[[Path | BinaryIO], Answering]


def _write_torchscript(model: nn.Module, example: Tensor, metadata: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with _torchscript_chosen():
        torch.jit.save(torch.jit.script(model), file, {METADATA: json.dumps(metadata)})
    return file.getvalue()


def _open_torchscript(file: Path | BinaryIO) -> Answering:
    with _torchscript_chosen():
        return torch.jit.load(file, map_location="cpu")


@contextmanager
def _torchscript_chosen() -> Iterator[None]:
    """Without torch's advice to use torch.export: its files need Python, TorchScript's run in C++ as well."""
    with warnings.catch_warnings():
        message = r"`torch\.jit\.(script|save|load)` is deprecated"
        warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)
        yield


def _program(model: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def _write_program(model: nn.Module, example: Tensor, metadata: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.export.save(_program(model, example), file, extra_files={METADATA: json.dumps(metadata)})
    return file.getvalue()


def _open_program(file: Path | BinaryIO) -> Answering:
    return torch.export.load(file).module()


def _write_onnx(model: nn.Module, example: Tensor, metadata: dict[str, Any]) -> bytes:
    onnx = _needed("onnx")
    _needed("onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own making
        program = torch.onnx.export(_program(model, example), dynamo=True, verbose=False)
    made = program.model_proto
    onnx.checker.check_model(made, full_check=True)
    made.metadata_props.add(key="genreclf", value=json.dumps(metadata))
    return made.SerializeToString()


def _open_onnx(file: Path | BinaryIO) -> Answering:
    runtime = _needed("onnxruntime")
    content = file.read_bytes() if isinstance(file, Path) else file.read()
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda example: torch.from_numpy(session.run(None, {given.name: example.numpy()})[0])


def _needed(package: str) -> Any:
    try:
        return __import__(package)
    except ImportError as error:
        raise GenreclfError(f"format=onnx: {package} is not installed; pip install 'genreclf[onnx]'") from error


FORMATS = {
    "torchscript": Format(".pt", True, _write_torchscript, _open_torchscript),
    "onnx": Format(".onnx", False, _write_onnx, _open_onnx),
    "exported_program": Format(".pt2", False, _write_program, _open_program),
}

"""The formats of exported models: how each is written, and how it is opened to answer again."""

import copy
import io
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from genreclf.errors import GenreclfError

METADATA = "genreclf.json"  # the extra file, or the property genreclf, that describes the model
Answering = Callable[[Tensor], Tensor]
INPUTS = ("picture", "waveform")
PARITY = 1e-4
# What rounded weights may change in a probability. It is told for each file; more than this is refused.
ROUNDED = 0.05


@dataclass
class Exportable:
    """A module, and a batch that it takes; what it is translated to on the way to several formats is made once."""

    model: nn.Module
    example: Tensor

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """Its graph, for batches of any size."""
        return torch.export.export(self.model, (self.example,), dynamic_shapes=({0: torch.export.Dim("batch")},))

    @cached_property
    def onnx(self) -> Any:
        """Its `onnx.ModelProto`, which passed the checker; copy it before you change it."""
        onnx = _needed("onnx")
        _needed("onnxscript")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own making
            made = torch.onnx.export(self.program, dynamo=True, verbose=False).model_proto
        for part in (*made.graph.node, *made.graph.value_info):
            del part.metadata_props[:]  # where each line of code lay on the disk of who exports
        onnx.checker.check_model(made, full_check=True)
        return made


@dataclass(frozen=True)
class Format:
    """`any_length`: its waveform models take clips of any length; else of one segment. Batches are of any size.

    `write` takes a model and the description, and gives the file; `open` gives what answers, and differs by `parity` at
    most. `inputs` are those of INPUTS that it can take.
    """

    suffix: str
    any_length: bool
    write: Callable[[Exportable, dict[str, Any]], bytes]
    open: Callable[[Path | BinaryIO], Answering]
    parity: float = PARITY
    inputs: tuple[str, ...] = INPUTS


def _write_torchscript(own: Exportable, metadata: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with _torchscript_chosen():
        torch.jit.save(torch.jit.script(own.model), file, {METADATA: json.dumps(metadata)})
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


def _write_program(own: Exportable, metadata: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.export.save(own.program, file, extra_files={METADATA: json.dumps(metadata)})
    return file.getvalue()


def _open_program(file: Path | BinaryIO) -> Answering:
    return torch.export.load(file).module()


def _write_onnx(own: Exportable, metadata: dict[str, Any]) -> bytes:
    return _described(own.onnx, metadata)


def _write_float16(own: Exportable, metadata: dict[str, Any]) -> bytes:
    """Weights and arithmetic of 16 bits, where the runtime has them; input and output stay as they are."""
    _needed("onnxruntime")
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return _described(convert_float_to_float16(copy.deepcopy(own.onnx), keep_io_types=True), metadata)


def _write_int8(own: Exportable, metadata: dict[str, Any]) -> bytes:
    """Weights of matrix products and LSTMs of 8 bits; those of convolutions stay, as onnxruntime needs four times as
    long for them on a CPU without instructions for 8 bits.
    """
    _needed("onnxruntime")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    onnx = _needed("onnx")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        products = ["MatMul", "Gemm", "LSTM"]
        quantize_dynamic(copy.deepcopy(own.onnx), path, weight_type=QuantType.QInt8, op_types_to_quantize=products)
        return _described(onnx.load(path), metadata)


def _described(made: Any, metadata: dict[str, Any]) -> bytes:
    described = copy.deepcopy(made)
    described.metadata_props.add(key="genreclf", value=json.dumps(metadata))
    return described.SerializeToString()


def _open_onnx(file: Path | BinaryIO) -> Answering:
    runtime = _needed("onnxruntime")
    content = file.read_bytes() if isinstance(file, Path) else file.read()
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # its warnings are about the graph that its own tools made
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
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
    # In 16 bits the transform of samples would not be exact, so these take segments only.
    "onnx-float16": Format(".float16.onnx", False, _write_float16, _open_onnx, ROUNDED, ("picture",)),
    "onnx-int8": Format(".int8.onnx", False, _write_int8, _open_onnx, ROUNDED, ("picture",)),
    "exported_program": Format(".pt2", False, _write_program, _open_program),
}

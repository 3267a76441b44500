"""The file formats of exported models: how to write each, and how to load it to compare it with the bundle."""

import copy
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import onnx
import torch
from torch import Tensor, nn

from genreclf.exporters.bundle_onnx import export_program, translate

METADATA_FILE = "genreclf.json"  # the model's description, an extra file in TorchScript and torch.export files
METADATA_KEY = "genreclf"  # the model's description in ONNX files, a metadata property
INPUTS = ("picture", "waveform")
# The largest difference allowed between the probabilities of file and bundle, for each input that a format supports.
# The command prints each file's difference.
_EXACT = {"picture": 1e-4, "waveform": 1e-4}
# onnxruntime's Fourier transform differs from torch's in the last digit, so one level in 50,000 is rounded differently.
_ONNX = {"picture": 1e-4, "waveform": 1e-3}
_ROUNDED = {"picture": 0.05}  # no waveform: the front end is not exact in 16 bits
_INT8_OPERATORS = ["MatMul", "Gemm", "LSTM"]
Function = Callable[[Tensor], Tensor]


@dataclass
class Exportable:
    """A module with an example batch. Graphs that several formats share are built once."""

    module: nn.Module
    example: Tensor

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """The module's graph for batches of any size."""
        return export_program(self.module, self.example)

    @cached_property
    def onnx(self) -> onnx.ModelProto:
        """The module's ONNX graph. It is shared: copy it before you change it."""
        return translate(self.program)


@dataclass(frozen=True)
class Format:
    """A file format for exported models. Its files accept batches of any size."""

    suffix: str
    any_length: bool  # waveform models accept clips of any length, otherwise segments of a fixed length
    write: Callable[[Exportable, dict[str, Any]], bytes]  # (module, description) -> the file's content
    load: Callable[[Path | BinaryIO], Function]  # only for files from a trusted source
    max_difference: dict[str, float]  # for each supported input (from INPUTS)


def _write_torchscript(exportable: Exportable, metadata: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(exportable.module), file, {METADATA_FILE: json.dumps(metadata)})
    return file.getvalue()


def _write_program(exportable: Exportable, metadata: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.export.save(exportable.program, file, extra_files={METADATA_FILE: json.dumps(metadata)})
    return file.getvalue()


def _write_onnx(exportable: Exportable, metadata: dict[str, Any]) -> bytes:
    return _serialized(copy.deepcopy(exportable.onnx), metadata)


def _write_float16(exportable: Exportable, metadata: dict[str, Any]) -> bytes:
    """Uses 16-bit weights, and 16-bit arithmetic where the runtime supports it. Input and output keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return _serialized(convert_float_to_float16(copy.deepcopy(exportable.onnx), keep_io_types=True), metadata)


def _write_int8(exportable: Exportable, metadata: dict[str, Any]) -> bytes:
    """Uses 8-bit weights in matrix products and LSTMs.

    8-bit convolutions would take onnxruntime four times as long on a CPU without 8-bit instructions.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = copy.deepcopy(exportable.onnx)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(model, path, weight_type=QuantType.QInt8, op_types_to_quantize=_INT8_OPERATORS)
        return _serialized(onnx.load(path), metadata)


def _serialized(model: onnx.ModelProto, metadata: dict[str, Any]) -> bytes:
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps(metadata))
    return bytes(model.SerializeToString())


def _load_onnx(file: Path | BinaryIO) -> Function:
    import onnxruntime

    content = file.read_bytes() if isinstance(file, Path) else file.read()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # its warnings concern graphs from its own tools
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: torch.from_numpy(session.run(None, {name: batch.numpy()})[0])


FORMATS = {
    "torchscript": Format(".pt", True, _write_torchscript, lambda file: torch.jit.load(file, "cpu"), _EXACT),
    "onnx": Format(".onnx", False, _write_onnx, _load_onnx, _ONNX),
    "onnx-float16": Format(".float16.onnx", False, _write_float16, _load_onnx, _ROUNDED),
    "onnx-int8": Format(".int8.onnx", False, _write_int8, _load_onnx, _ROUNDED),
    "exported_program": Format(".pt2", False, _write_program, lambda file: torch.export.load(file).module(), _EXACT),
}

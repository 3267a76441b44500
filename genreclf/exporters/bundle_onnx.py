"""Converts a net to its bundle's model.onnx, which `inference.onnx_model` runs."""

import copy
import tempfile
import warnings
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from genreclf.frontend.log_mel import N_BANDS
from genreclf.frontend.segments import SEGMENT_COLUMNS
from genreclf.inference.onnx_model import INPUT, OUTPUTS, WEIGHTS_PROPERTY
from genreclf.nets.activation import probabilities
from genreclf.nets.net import Net


class BundleNet(nn.Module):
    """(N, 128, 256) uint8 segments -> probabilities (N, classes), attention (N, T), embedding (N, D).

    No temperature is applied here, because temperature calibrates a clip's mean over segments, not each segment.
    """

    def __init__(self, net: Net, multilabel: bool) -> None:
        super().__init__()
        self.net, self.multilabel = net, multilabel

    def forward(self, segments: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: D102 - see the class docstring
        levels = segments[:, None].expand(-1, 3, -1, -1)  # (N, 128, 256) -> (N, 3, 128, 256)
        logits, attention, embedding = self.net.outputs(levels)
        return probabilities(logits, self.multilabel), attention.mean(1), embedding  # (N, heads, T) -> (N, T)


def bundle_onnx(net: BundleNet, weights_sha256: str) -> bytes:
    """Returns the file's content, for batches of any size. It includes the digest of the bundle's weights."""
    net = copy.deepcopy(net).cpu().eval().requires_grad_(False)
    example = torch.randint(256, (2, N_BANDS, SEGMENT_COLUMNS), dtype=torch.uint8)
    model = translate(export_program(net, example), [INPUT], OUTPUTS)
    model.metadata_props.add(key=WEIGHTS_PROPERTY, value=weights_sha256)
    return _optimized(model.SerializeToString())


def _optimized(content: bytes) -> bytes:
    """Applies the onnxruntime optimizations that suit any machine, so that loading the model is faster."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(file)
        # This optimization inserts an operator that exists on the CPU only.
        only_cpu = ["GemmActivationFusion"]
        onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"], disabled_optimizers=only_cpu)
        return file.read_bytes()


def export_program(module: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """Returns the graph of a module with one input, whose first axis is a batch of any size."""
    return torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def translate(
    program: torch.export.ExportedProgram, inputs: list[str] | None = None, outputs: list[str] | None = None
) -> onnx.ModelProto:
    """Converts a program to a checked ONNX graph with these input and output names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they concern the exporter's implementation
        exported = torch.onnx.export(program, dynamo=True, verbose=False, input_names=inputs, output_names=outputs)
    assert exported is not None  # only the exporter's other modes return None
    graph = exported.model_proto
    for part in (*graph.graph.node, *graph.graph.value_info):
        del part.metadata_props[:]  # they contain paths of source files on this machine
    onnx.checker.check_model(graph, full_check=True)
    return graph

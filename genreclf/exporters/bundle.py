"""Writes and reads bundles: folders with a trained net's model.safetensors, model.onnx and config.json."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from genreclf.errors import GenreclfError, reason
from genreclf.exporters.bundle_onnx import BundleNet, bundle_onnx
from genreclf.files import write_atomically
from genreclf.inference.model_info import BundleConfig, ModelInfo, read_bundle_config
from genreclf.inference.run_folder import MODEL_CONFIG, MODEL_ONNX, WEIGHTS
from genreclf.inference.task import MULTILABEL
from genreclf.nets.kinds import kind_of, new_net
from genreclf.nets.net import Net
from genreclf.nets.weights_file import read_weights


@dataclass(frozen=True)
class Bundle:
    """A net in eval mode and the information that inference needs."""

    net: Net
    info: ModelInfo


def fields_of_task(task: str, shares: Sequence[float], prior_power: float) -> dict[str, Any]:
    """Returns the ModelInfo fields that depend on the task, before anything is fitted on validation clips.

    `shares` are the shares of the classes in the training clips. `prior_power` is the field of ModelInfo.
    """
    if task == MULTILABEL:
        return {"task": task, "thresholds": (0.5,) * len(shares)}
    return {"task": task, "shares": tuple(shares), "prior_power": prior_power}


def save_bundle(folder: Path, bundle: Bundle) -> None:
    """Writes the three files, config.json last. Each replaces an older file only once it is complete.

    Weights that float16 represents exactly, as after `round_to_fp16`, are stored as float16. Raises OSError if the
    folder cannot be written.
    """
    weights = save(_stored_tensors(bundle.net))
    digest = hashlib.sha256(weights).hexdigest()
    onnx = bundle_onnx(BundleNet(bundle.net, bundle.info.task == MULTILABEL), digest)
    config = BundleConfig(bundle.info, kind_of(bundle.net), asdict(bundle.net.config), digest)
    folder.mkdir(parents=True, exist_ok=True)
    # A reader between two of these writes sees different digests and refuses the bundle.
    write_atomically(folder / WEIGHTS, weights)
    write_atomically(folder / MODEL_ONNX, onnx)
    write_atomically(folder / MODEL_CONFIG, config.to_json())


def load_bundle(folder: Path) -> Bundle:
    """Reads a bundle without running code from its files. Raises GenreclfError if the files do not fit together."""
    config = read_bundle_config(folder)
    return Bundle(load_net(folder, config), config.info)


def load_net(folder: Path, config: BundleConfig) -> Net:
    """Returns `config`'s net in eval mode with the weights in `folder`. Raises GenreclfError if they do not fit."""
    path = folder / MODEL_CONFIG
    num_classes = config.net.get("num_classes")
    if num_classes != len(config.info.classes):
        raise GenreclfError(f"{path}: damaged (net.num_classes={num_classes}, {len(config.info.classes)} classes)")
    net = _empty_net(path, config)
    # Allocate memory for the net only after the checks that config and weights agree on its size.
    tensors = read_weights(folder / WEIGHTS, net.state_dict(), MODEL_CONFIG, "copy both again")
    # Not net.to_empty(), for which torch would import SymPy.
    filled = {
        name: torch.empty_strided(like.shape, like.stride(), dtype=like.dtype).copy_(tensors[name])
        for name, like in net.state_dict().items()
    }
    net.load_state_dict(filled, assign=True)
    return net.eval()


def round_to_fp16(net: nn.Module) -> None:
    """Rounds the weights to float16 values; their dtype stays float32. Raises GenreclfError if one is too large."""
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
            if not tensor.isfinite().all():
                raise GenreclfError(f"fp16_weights=true: {name} is too large for float16; use fp16_weights=false")


def weights_sha256(bundle: Bundle) -> str:
    """Returns the hexadecimal SHA-256 of the model.safetensors that `save_bundle` writes for the bundle."""
    return hashlib.sha256(save(_stored_tensors(bundle.net))).hexdigest()


def _stored_tensors(net: nn.Module) -> dict[str, Tensor]:
    tensors = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    halves = {name: tensor.half() for name, tensor in tensors.items() if tensor.is_floating_point()}
    exact = all(torch.equal(half.to(tensors[name].dtype), tensors[name]) for name, half in halves.items())
    return {**tensors, **halves} if exact else tensors


def _empty_net(path: Path, config: BundleConfig) -> Net:
    """Returns the net without memory for its weights."""
    try:
        with torch.device("meta"):
            return new_net(config.kind, config.net, "net")
    except Exception as error:  # for invalid sizes, each kind of layer raises a different exception
        raise GenreclfError(f"{path}: damaged ({reason(error)}); copy the bundle again") from error

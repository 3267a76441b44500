"""Model B's backbone: timm's EfficientNet-B0 (Tan and Le 2019), its weights, and which of its layers stay frozen."""

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from safetensors import SafetensorError, safe_open
from torch import nn

from genreclf.errors import GenreclfError
from genreclf.models.config import ModelConfig

ARCHITECTURE = "efficientnet_b0"
REMAINING_ROWS = 4  # 128 bands / 32
HUB_FILE = "model.safetensors"
HUB_ANSWER_SECONDS = 5.0
OFFLINE_WAY = "give model.weights the path of a .safetensors file with timm's keys"


class EfficientNet(nn.Module):
    """(B, 3, 128, W) scaled by `mean` and `std` -> (B, ceil(W / 32), num_features), with random weights at first.

    `mean` and `std` are per colour channel, of input in [0, 1], as the ImageNet weights expect it. Raises GenreclfError
    where `config.backbone_dropout` is not two rates.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if len(config.backbone_dropout) != 2:
            raise GenreclfError(
                f"model.net.backbone_dropout={list(config.backbone_dropout)}: backbone=efficientnet needs two rates, "
                "of stochastic depth and of dropout behind it"
            )
        self.net = timm.create_model(
            ARCHITECTURE, num_classes=0, global_pool="", drop_path_rate=config.backbone_dropout[0]
        )
        self.dropout = nn.Dropout(config.backbone_dropout[1])
        self.mean: tuple[float, ...] = tuple(self.net.pretrained_cfg["mean"])
        self.std: tuple[float, ...] = tuple(self.net.pretrained_cfg["std"])
        self.num_features = REMAINING_ROWS * self.net.num_features
        self.frozen = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, 128, W) -> (B, T, num_features); a step's features are its rows' channels, low row first."""
        x = self.net(x)  # (B, 1280, 4, T)
        return self.dropout(x.permute(0, 3, 2, 1).flatten(2))  # (B, T, 4 * 1280)

    def freeze_first_layers(self) -> None:
        """Freeze the original's first 100 Keras layers: they get no gradient, their batch norms no new statistics.

        Only of use where they hold trained weights: `load_weights` calls this when it has loaded some.
        """
        for layer in self._first_layers():
            layer.requires_grad_(False)
        self.frozen = True
        self.train(self.training)

    def train(self, mode: bool = True) -> "EfficientNet":
        """As every module's, but frozen batch norms stay in eval mode, as in Keras."""
        super().train(mode)
        if self.frozen:
            for layer in self._first_layers():
                for module in layer.modules():
                    if isinstance(module, nn.BatchNorm2d):
                        module.eval()
        return self

    def _first_layers(self) -> list[nn.Module]:
        # Keras counts 7 or 8 layers up to the stem's activation (input, scalings, padding, convolution, norm,
        # activation; one scaling more in newer versions), then block1a 10, 2a 14, 2b 15, 3a 14, 3b 15, 4a 14: 89 or 90.
        # The rest of the 100 ends in block 4b, at or just after its SE's last convolution, so that either count freezes
        # the same weights. timm's names: block4a is blocks[3][0], block4b is blocks[3][1].
        net, cut = self.net, self.net.blocks[3][1]
        whole = [net.conv_stem, net.bn1, *net.blocks[:3], net.blocks[3][0]]
        return [*whole, cut.conv_pw, cut.bn1, cut.conv_dw, cut.bn2, cut.se]


def load_weights(backbone: EfficientNet, weights: str) -> dict[str, Any]:
    """Put pretrained weights into `backbone` and freeze its first layers; returns what was done, for a run's record.

    `weights` is "imagenet" (timm's, from the hub's cache or the hub), "auto" (the same, but where they cannot be had:
    a warning and random weights), "none", or the path of a .safetensors file with timm's keys, whose classifier head is
    ignored. Random weights are never frozen: layers that neither know nor learn anything are only in the way.

    The record: `asked` is `weights`, `pretrained` says whether weights were loaded, `file` and `sha256` which, `reason`
    why none were. Raises GenreclfError for a file that cannot be read or does not fit, for an unknown word, and
    for "imagenet" where the weights cannot be had.
    """
    if weights == "none":
        return _record(weights, None, "none were asked for")
    if weights.endswith(".safetensors"):
        return _load_file(backbone, weights, Path(weights).expanduser())
    if weights not in ("auto", "imagenet"):
        raise GenreclfError(
            f"model.weights={weights!r}: expected auto, imagenet, none or the path of a .safetensors file"
        )
    try:
        path = _imagenet_file(backbone)
    except GenreclfError as error:
        if weights == "imagenet":
            raise
        warnings.warn(f"RANDOM WEIGHTS: the backbone starts untrained, nothing is frozen. {error}", stacklevel=2)
        return _record(weights, None, str(error))
    return _load_file(backbone, weights, path)


def _record(asked: str, path: Path | None, reason: str | None) -> dict[str, Any]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path else None
    return {
        "asked": asked,
        "pretrained": path is not None,
        "file": str(path) if path else None,
        "sha256": digest,
        "reason": reason,
    }


def _load_file(backbone: EfficientNet, asked: str, path: Path) -> dict[str, Any]:
    tensors = _read_fitting(path, backbone.net.state_dict())
    backbone.net.load_state_dict(tensors, strict=False)  # checked above; not strict as batch counters may be absent
    backbone.freeze_first_layers()
    return _record(asked, path, None)


def _imagenet_file(backbone: EfficientNet) -> Path:
    """timm's ImageNet weights: from the hub's cache on this disk, else from the hub, which gets seconds to answer."""
    hub_id = backbone.net.pretrained_cfg["hf_hub_id"]
    cached = try_to_load_from_cache(hub_id, HUB_FILE)
    if isinstance(cached, str):
        return Path(cached)
    try:
        get_hf_file_metadata(
            hf_hub_url(hub_id, HUB_FILE), timeout=HUB_ANSWER_SECONDS
        )  # the download would retry for long
        return Path(hf_hub_download(hub_id, HUB_FILE))
    except Exception as error:  # each cause (offline, proxy, refused, disk full) raises another family of exceptions
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise GenreclfError(f"model.weights: {hub_id} cannot be had from the hub ({reason}); {OFFLINE_WAY}") from error


def _read_fitting(path: Path, expected: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The file's tensors without a classifier head's; names and shapes are checked before any tensor is read."""
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if not name.startswith("classifier.")]  # noqa: SIM118 (not a dict)
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            _check_fit(path, shapes, expected)
            return {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise GenreclfError(f"{path}: cannot be read as safetensors ({error}); {OFFLINE_WAY}") from error


def _check_fit(path: Path, shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, torch.Tensor]) -> None:
    counters = {name for name in expected if name.endswith(".num_batches_tracked")}  # no weights: may be absent
    wrong = {
        "missing": sorted(set(expected) - set(shapes) - counters),
        "unknown": sorted(set(shapes) - set(expected)),
        "of another shape": [n for n in shapes if n in expected and shapes[n] != tuple(expected[n].shape)],
    }
    found = [f"{len(names)} {what} (first: {names[0]})" for what, names in wrong.items() if names]
    if found:
        raise GenreclfError(f"{path}: does not fit {ARCHITECTURE}: tensors {', '.join(found)}; {OFFLINE_WAY}")

"""A trained model as users pass it on: model.safetensors and config.json in a folder. The only load/save of weights."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from torch import Tensor, nn

from genreclf import __version__
from genreclf.config import build
from genreclf.errors import GenreclfError
from genreclf.frontend.segments import ViewConfig
from genreclf.inference.run_folder import CONFIG, WEIGHTS
from genreclf.nets.kinds import kind_of, new_net

FORMAT = 6
CONFIG_BYTES_AT_MOST = 100_000
SECONDS_AT_MOST = 100_000  # more than a day: no clip is as long, and integer arithmetic has an end
FRAMES_AT_MOST = 5_000_000  # of 23.2 ms: as long
TEMPERATURE_AT_MOST = 1_000


@dataclass(frozen=True)
class Bundle:
    """A net in eval mode with all that inference needs: its classes in order, its view, a picture's seconds.

    `frames_per_column` is the time resolution that it learnt from: 1 for audio, more for pictures of thinned columns.
    `temperature` is what a clip's mean probabilities are to be `apply_temperature` with.
    """

    net: nn.Module
    name: str
    classes: tuple[str, ...]
    view: ViewConfig
    picture_seconds: float
    frames_per_column: float
    temperature: float


@dataclass(frozen=True)
class _Config:
    """What config.json holds; `view` and `net` are checked by dataclasses of their own."""

    format: int
    genreclf: str
    name: str
    classes: tuple[str, ...]
    view: dict
    picture_seconds: float
    frames_per_column: float
    temperature: float
    kind: str
    net: dict


def save_bundle(folder: Path, bundle: Bundle) -> None:
    """Writes the two files; what was there is replaced only when both are whole.

    Weights that float16 holds exactly, as after `round_to_fp16`, are stored so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "format": FORMAT,
        "genreclf": __version__,
        "name": bundle.name,
        "classes": bundle.classes,
        "view": asdict(bundle.view),
        "picture_seconds": bundle.picture_seconds,
        "frames_per_column": bundle.frames_per_column,
        "temperature": bundle.temperature,
        "kind": kind_of(bundle.net),
        "net": asdict(bundle.net.config),
    }
    save_file(_tensors(bundle.net), folder / (WEIGHTS + ".new"))
    (folder / (CONFIG + ".new")).write_text(json.dumps(config, indent=1) + "\n")
    for name in (WEIGHTS, CONFIG):
        (folder / (name + ".new")).replace(folder / name)


def load_bundle(folder: Path) -> Bundle:
    """Reads a bundle without running any code of it; raises GenreclfError for what is missing or does not fit."""
    path = folder / CONFIG
    values = _read_config(path)
    made_by = values.get("format")
    if made_by != FORMAT:
        mend = "update it" if isinstance(made_by, int) and made_by > FORMAT else "make the bundle anew with it"
        raise GenreclfError(f"{path}: format {made_by!r}, this genreclf {__version__} reads {FORMAT}; {mend}")
    try:
        config = build(_Config, values, "bundle")
        view = build(ViewConfig, config.view, "view")
        _check(config, view)
        net = _empty_net(config)
    except GenreclfError as error:
        raise GenreclfError(f"{path}: is damaged ({error}); copy the bundle again") from error
    # Only now, when config and weights agree on its size, does the net get memory.
    tensors = _read_fitting(folder / WEIGHTS, net.state_dict())
    # Filled here, and assigned: for net.to_empty(), torch would import SymPy.
    owned = {
        name: torch.empty_strided(like.shape, like.stride(), dtype=like.dtype).copy_(tensors[name])
        for name, like in net.state_dict().items()
    }
    net.load_state_dict(owned, assign=True)
    return Bundle(
        net.eval(),
        config.name,
        config.classes,
        view,
        config.picture_seconds,
        config.frames_per_column,
        config.temperature,
    )


def round_to_fp16(net: nn.Module) -> None:
    """Rounds the weights, which stay float32, to what float16 holds; raises GenreclfError where one is too large."""
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
            if not tensor.isfinite().all():
                raise GenreclfError(f"half=true: {name} is too large for float16; use half=false")


def weights_sha256(bundle: Bundle) -> str:
    """The SHA-256, in hexadecimal, of the model.safetensors that `save_bundle` writes for the bundle."""
    return hashlib.sha256(save(_tensors(bundle.net))).hexdigest()


def _tensors(net: nn.Module) -> dict[str, Tensor]:
    tensors = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    halves = {name: tensor.half() for name, tensor in tensors.items() if tensor.is_floating_point()}
    exact = all(torch.equal(half.to(tensors[name].dtype), tensors[name]) for name, half in halves.items())
    return {**tensors, **halves} if exact else tensors


def _read_config(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(CONFIG_BYTES_AT_MOST + 1)
        if len(text) > CONFIG_BYTES_AT_MOST:
            raise ValueError(f"larger than {CONFIG_BYTES_AT_MOST} bytes")
        config = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise GenreclfError(f"{path}: cannot be read ({error}); is this a bundle?") from error
    if not isinstance(config, dict):
        raise GenreclfError(f"{path}: no JSON object; is this a bundle?")
    return config


def _check(config: _Config, view: ViewConfig) -> None:
    """Raises GenreclfError for values of the right type that no bundle can have."""
    num_classes = config.net.get("num_classes")
    if len(set(config.classes)) != len(config.classes) or len(config.classes) != num_classes:
        raise GenreclfError(f"classes: expected {num_classes} different names")
    if view.segment_frames > FRAMES_AT_MOST:
        raise GenreclfError(f"view.segment_frames={view.segment_frames}: expected {FRAMES_AT_MOST} at most")
    if not 0 < config.picture_seconds <= SECONDS_AT_MOST:
        raise GenreclfError(f"picture_seconds={config.picture_seconds}: expected above 0, {SECONDS_AT_MOST} at most")
    if not 0 < config.frames_per_column <= FRAMES_AT_MOST:
        raise GenreclfError(f"frames_per_column={config.frames_per_column}: expected above 0, {FRAMES_AT_MOST} at most")
    if not 0 < config.temperature <= TEMPERATURE_AT_MOST:
        raise GenreclfError(f"temperature={config.temperature}: expected above 0, {TEMPERATURE_AT_MOST} at most")


def _empty_net(config: _Config) -> nn.Module:
    """The net without memory for its weights."""
    try:
        with torch.device("meta"):
            return new_net(config.kind, config.net, "net")
    except GenreclfError:
        raise
    except Exception as error:  # sizes that make no net raise another family of exceptions in each layer
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise GenreclfError(f"net: {reason}") from error


def _read_fitting(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors; names and shapes are checked before any tensor is read."""
    try:
        with safe_open(path, framework="pt") as file:
            _check_fit(path, {name: list(file.get_slice(name).get_shape()) for name in file.keys()}, expected)  # noqa: SIM118
            return {name: file.get_tensor(name) for name in expected}
    except (OSError, SafetensorError) as error:
        raise GenreclfError(f"{path}: cannot be read ({error}); is this a bundle?") from error


def _check_fit(path: Path, shapes: Mapping[str, list[int]], expected: Mapping[str, Tensor]) -> None:
    for name in sorted(set(expected) ^ set(shapes)):
        where = "missing" if name in expected else "unknown"
        raise GenreclfError(f"{path}: tensor {name!r} is {where}; the weights do not fit config.json")
    for name, shape in shapes.items():
        if shape != list(expected[name].shape):
            raise GenreclfError(f"{path}: {name!r} is {shape}, config.json wants {list(expected[name].shape)}")

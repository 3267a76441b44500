"""A trained model as users pass it on: a folder with model.safetensors and config.json. The only load/save of weights."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from genreclf import __version__
from genreclf.config import build
from genreclf.data.views import ViewConfig
from genreclf.errors import GenreclfError
from genreclf.models.classifier import GenreClassifier
from genreclf.models.config import ModelConfig

FORMAT = 1
WEIGHTS, CONFIG = "model.safetensors", "config.json"


@dataclass(frozen=True)
class Bundle:
    """A net in eval mode with all that inference needs: its classes in order, its view, a picture's seconds."""

    net: GenreClassifier
    name: str
    classes: tuple[str, ...]
    view: ViewConfig
    picture_seconds: float


def save_bundle(folder: Path, bundle: Bundle) -> None:
    """Writes the two files; what was there is replaced only when both are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in bundle.net.state_dict().items()}
    config = {
        "format": FORMAT,
        "genreclf": __version__,
        "name": bundle.name,
        "classes": bundle.classes,
        "view": asdict(bundle.view),
        "picture_seconds": bundle.picture_seconds,
        "net": asdict(bundle.net.config),
    }
    save_file(tensors, folder / (WEIGHTS + ".new"))
    (folder / (CONFIG + ".new")).write_text(json.dumps(config, indent=1) + "\n")
    for name in (WEIGHTS, CONFIG):
        (folder / (name + ".new")).replace(folder / name)


def load_bundle(folder: Path) -> Bundle:
    """Reads a bundle without running any code of it; raises GenreclfError for what is missing or does not fit."""
    config = _read_config(folder / CONFIG)
    if config.get("format") != FORMAT:
        raise GenreclfError(
            f"{folder / CONFIG}: format {config.get('format')!r}, this genreclf {__version__} reads {FORMAT}; update it"
        )
    missing = sorted({"name", "classes", "view", "picture_seconds", "net"} - set(config))
    if missing:
        raise GenreclfError(f"{folder / CONFIG}: {missing[0]!r} is missing; export the bundle again")
    net = GenreClassifier(build(ModelConfig, config["net"], f"{folder / CONFIG}: net"))
    _load_weights(net, folder / WEIGHTS)
    view = build(ViewConfig, config["view"], f"{folder / CONFIG}: view")
    return Bundle(net.eval(), config["name"], tuple(config["classes"]), view, float(config["picture_seconds"]))


def find_bundle(run: Path) -> Path:
    """The bundle of a run folder, or the folder itself if it is one; raises GenreclfError where there is none."""
    for folder in (run, run / "bundle"):
        if (folder / CONFIG).is_file():
            return folder
    what = "has no bundle yet: its training did not end" if (run / "config.yaml").is_file() else "is no run folder"
    raise GenreclfError(f"run={run}: {what}; give a folder that python -m genreclf.train has finished")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise GenreclfError(f"{path}: cannot be read ({error}); is this a bundle?") from error
    if not isinstance(config, dict):
        raise GenreclfError(f"{path}: no JSON object; is this a bundle?")
    return config


def _load_weights(net: GenreClassifier, path: Path) -> None:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise GenreclfError(f"{path}: cannot be read ({error}); is this a bundle?") from error
    expected = net.state_dict()
    for name in sorted(set(expected) ^ set(tensors)):
        where = "missing" if name in expected else "unknown"
        raise GenreclfError(f"{path}: tensor {name!r} is {where}; the weights do not fit config.json")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise GenreclfError(f"{path}: {name!r} is {list(tensor.shape)}, config.json wants {list(expected[name].shape)}")
    net.load_state_dict(tensors)

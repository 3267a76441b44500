"""Initial weights of a training run: random, or from a pretrained backbone, or from a trained net."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from genreclf.data.notices import print_once
from genreclf.errors import GenreclfError
from genreclf.exporters.bundle import load_bundle
from genreclf.inference.run_folder import find_bundle
from genreclf.inference.task import MULTICLASS
from genreclf.nets.backbone_weights import load_weights
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.efficientnet import EfficientNet
from genreclf.text import spelling_key

RANDOM = {"asked": "none", "pretrained": False}


def start(
    net: GenreClassifier, weights: str, init: str | None, classes: Sequence[str], task: str = MULTICLASS
) -> dict[str, Any]:
    """Gives a net its initial weights: those of the model `init`, or else `weights` of its backbone.

    With `init`, the outputs for a class that it does not have start at zero. Returns the entry for the run's record.
    With `init`, its `new_classes` is whether there are such classes, or the model has another `task`. Raises
    GenreclfError for an `init` that does not exist or has another architecture, and for unknown weights.
    """
    if init is not None:
        return {"asked": init, "pretrained": True, **_copy(init, net, classes, task)}
    if isinstance(net.backbone, EfficientNet):
        return load_weights(net.backbone, weights)
    if weights != "none":
        raise GenreclfError(f"model.weights={weights}: this backbone has no pretrained weights; use none")
    return RANDOM


def _copy(init: str, net: GenreClassifier, classes: Sequence[str], task: str) -> dict[str, Any]:
    """Copies the weights. Returns their source, and whether the output layer has new classes or another task."""
    bundle = load_bundle(find_bundle(init))
    name, trained = bundle.info.name, bundle.net
    if not isinstance(trained, GenreClassifier):
        raise GenreclfError(f"init={init}: {name} is a baseline, which has no layers to start from; give a trained net")
    for key, value in asdict(net.config).items():
        other = getattr(trained.config, key)
        if other != value and key != "num_classes":
            raise GenreclfError(f"init={init}: a model {name} with {key}={other}, not {value}; train with model={name}")
    state, known = trained.state_dict(), bundle.info.classes
    if known != tuple(classes):
        for key in _outputs(net):
            state[key] = _by_class(state[key], known, classes)
        _report(init, known, classes)
    net.load_state_dict(state)
    new = {spelling_key(label) for label in classes} - {spelling_key(label) for label in known}
    return {"source": f"model {name}", "new_classes": bool(new) or bundle.info.task != task}


def _outputs(net: GenreClassifier) -> list[str]:
    """Returns the names of the weights and biases that have a row for each class."""
    layers = [f"head.{len(net.head) - 1}", *(["statistics.head"] if net.statistics else [])]
    return [f"{layer}.{name}" for layer in layers for name in ("weight", "bias")]


def _by_class(trained: Tensor, known: Sequence[str], classes: Sequence[str]) -> Tensor:
    """Returns (classes, ...): the rows of `trained`, (known, ...), for classes in `known`, and zeros for the others."""
    number_of = {spelling_key(label): number for number, label in enumerate(known)}
    rows = trained.new_zeros((len(classes), *trained.shape[1:]))
    for row, label in enumerate(classes):
        if spelling_key(label) in number_of:
            rows[row] = trained[number_of[spelling_key(label)]]
    return rows


def _report(init: str, known: Sequence[str], classes: Sequence[str]) -> None:
    """Reports the classes that are new, and those that the new model will not have."""
    before, now = ({spelling_key(label) for label in labels} for labels in (known, classes))
    new = [label for label in classes if spelling_key(label) not in before]
    lost = [label for label in known if spelling_key(label) not in now]
    found = (("new classes", new), ("classes not kept", lost))
    parts = [f"{what} {', '.join(map(repr, labels))}" for what, labels in found if labels]
    print_once(f"init={init}: {'; '.join(parts)}")

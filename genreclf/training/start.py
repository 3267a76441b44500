"""The weights with which a training starts: random, those of a pretrained backbone, or those of a trained net."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from genreclf.errors import GenreclfError
from genreclf.exporters.bundle import load_bundle
from genreclf.inference.run_folder import find_bundle
from genreclf.nets.backbone_weights import load_weights
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.efficientnet import EfficientNet

RANDOM = {"asked": "none", "pretrained": False}
_OUTPUTS = ("head.", "statistics.head.")  # the layers whose width is the number of classes


def start(net: GenreClassifier, weights: str, init: str | None, classes: Sequence[str]) -> dict[str, Any]:
    """Gives a net its first weights: those of the model `init`, or else `weights` of its backbone.

    With `init`, the output layers stay random if its classes are not `classes`. Returns what the run's record says.
    Raises GenreclfError for an `init` that is not there or has another architecture, and for unknown weights.
    """
    if init is not None:
        _copy(init, net, classes)
        return {"asked": init, "pretrained": True}
    if isinstance(net.backbone, EfficientNet):
        return load_weights(net.backbone, weights)
    if weights != "none":
        raise GenreclfError(f"model.weights={weights}: this backbone has no pretrained weights; use none")
    return RANDOM


def _copy(init: str, net: GenreClassifier, classes: Sequence[str]) -> None:
    bundle = load_bundle(find_bundle(init))
    name, trained = bundle.info.name, bundle.net
    if not isinstance(trained, GenreClassifier):
        raise GenreclfError(f"init={init}: {name} is a baseline, which has no layers to start from; give a trained net")
    for key, value in asdict(net.config).items():
        other = getattr(trained.config, key)
        if other != value and key != "num_classes":
            raise GenreclfError(f"init={init}: a model {name} with {key}={other}, not {value}; train with model={name}")
    state = trained.state_dict()
    if bundle.info.classes != tuple(classes):
        state = {key: value for key, value in state.items() if not key.startswith(_OUTPUTS)}
    net.load_state_dict(state, strict=False)

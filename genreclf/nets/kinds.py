"""The kinds of nets, by name."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from genreclf.config import build, check_choice
from genreclf.nets.baselines import Majority, MajorityConfig, Svm, SvmConfig
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig
from genreclf.nets.net import Net

CLASSIFIER, SVM, MAJORITY = "classifier", "svm", "majority"
_KINDS: dict[str, tuple[type, type[Net]]] = {
    CLASSIFIER: (ModelConfig, GenreClassifier),
    SVM: (SvmConfig, Svm),
    MAJORITY: (MajorityConfig, Majority),
}


def new_net(kind: str, values: Mapping[str, Any], where: str) -> Net:
    """Returns an untrained net of `kind` with the configuration `values`.

    Raises GenreclfError for an unknown kind or invalid values; messages about values begin with the key `where`.
    """
    check_choice("kind", kind, _KINDS)
    config, net = _KINDS[kind]
    return net(build(config, values, where))


def kind_of(net: nn.Module) -> str:
    """Returns the name that `new_net` takes for this kind of net."""
    return next(kind for kind, (_, cls) in _KINDS.items() if type(net) is cls)

"""The kinds of nets: (B, 3, 128, W) levels in, logits (B, classes) and attention (B, heads, T) out."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from genreclf.config import build
from genreclf.errors import GenreclfError
from genreclf.models.baselines import Majority, MajorityConfig, Svm, SvmConfig
from genreclf.models.classifier import GenreClassifier
from genreclf.models.config import ModelConfig

CLASSIFIER, SVM, MAJORITY = "classifier", "svm", "majority"
_KINDS = {
    CLASSIFIER: (ModelConfig, GenreClassifier),
    SVM: (SvmConfig, Svm),
    MAJORITY: (MajorityConfig, Majority),
}


def new_net(kind: str, values: Mapping[str, Any], where: str) -> nn.Module:
    """A net of `kind` with the configuration `values`, its weights as they are at first.

    `where` is the key that messages begin with. Raises GenreclfError for an unknown kind and for values that make none.
    """
    if kind not in _KINDS:
        raise GenreclfError(f"kind={kind!r}: unknown; known: {', '.join(_KINDS)}")
    config, net = _KINDS[kind]
    return net(build(config, values, where))


def kind_of(net: nn.Module) -> str:
    """What `new_net` calls this net."""
    return next(kind for kind, (_, own) in _KINDS.items() if type(net) is own)

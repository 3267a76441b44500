"""The kinds of nets: (B, 3, 128, W) levels in, logits (B, classes) and attention (B, heads, T) out."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from genreclf.config import build
from genreclf.errors import GenreclfError
from genreclf.nets.baselines import Majority, MajorityConfig, Svm, SvmConfig
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.committee import Committee, CommitteeConfig, Member
from genreclf.nets.config import ModelConfig

CLASSIFIER, SVM, MAJORITY, COMMITTEE = "classifier", "svm", "majority", "committee"
_KINDS = {
    CLASSIFIER: (ModelConfig, GenreClassifier),
    SVM: (SvmConfig, Svm),
    MAJORITY: (MajorityConfig, Majority),
}


def new_net(kind: str, values: Mapping[str, Any], where: str) -> nn.Module:
    """A net of `kind` with the configuration `values`, its weights as they are at first.

    `where` is the key that messages begin with. Raises GenreclfError for an unknown kind and for values that make none.
    """
    if kind == COMMITTEE:
        return _new_committee(build(CommitteeConfig, values, where), where)
    if kind not in _KINDS:
        raise GenreclfError(f"kind={kind!r}: unknown; known: {', '.join((*_KINDS, COMMITTEE))}")
    config, net = _KINDS[kind]
    return net(build(config, values, where))


def _new_committee(config: CommitteeConfig, where: str) -> Committee:
    if not config.members:
        raise GenreclfError(f"{where}.members=[]: give one at least")
    members = [build(Member, member, f"{where}.members.{place}") for place, member in enumerate(config.members)]
    nets = []
    for place, member in enumerate(members):
        if member.kind == COMMITTEE:
            raise GenreclfError(f"{where}.members.{place}: is a committee itself; name its members instead")
        if member.net.get("num_classes") != config.num_classes:
            raise GenreclfError(f"{where}.members.{place}.net.num_classes: must be {config.num_classes}, as for all")
        nets.append(new_net(member.kind, member.net, f"{where}.members.{place}.net"))
    return Committee(config, members, nets)


def kind_of(net: nn.Module) -> str:
    """What `new_net` calls this net."""
    if type(net) is Committee:
        return COMMITTEE
    return next(kind for kind, (_, own) in _KINDS.items() if type(net) is own)

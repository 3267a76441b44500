"""Makes the models that need no epochs: what the training segments fit at once, and what finished runs make up."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor, nn

from genreclf.data.datamodule import SpectrogramDataModule, to_images
from genreclf.errors import GenreclfError
from genreclf.inference.run_folder import find_bundle
from genreclf.nets.baselines import FEATURES, Svm
from genreclf.nets.bundle import Bundle, load_bundle
from genreclf.nets.committee import Member
from genreclf.nets.kinds import COMMITTEE, MAJORITY, SVM, kind_of, new_net
from genreclf.training.record import RECORD


def fit_baseline(model: dict[str, Any], datamodule: SpectrogramDataModule) -> nn.Module:
    """The net that the YAML of a model without epochs asks for; no chance takes part.

    Raises GenreclfError for keys that make none, and for a committee's runs where they are not of these data and split.
    """
    values = {**model["net"], "num_classes": len(datamodule.classes)}
    fits = {SVM: _fit_svm, MAJORITY: _fit_majority, COMMITTEE: _seat_committee}
    return fits[model["kind"]](model, values, datamodule).eval()


def _fit_majority(model: dict[str, Any], values: dict[str, Any], datamodule: SpectrogramDataModule) -> nn.Module:
    net = new_net(MAJORITY, values, "model.net")
    counts = torch.zeros(values["num_classes"])
    for batch in datamodule.loader(datamodule.dataset("train"), datamodule.batch_size):
        counts += torch.bincount(batch["target"], minlength=len(counts))
    net.log_shares.copy_((counts / counts.sum()).log())
    return net


def _fit_svm(model: dict[str, Any], values: dict[str, Any], datamodule: SpectrogramDataModule) -> nn.Module:
    if not model["c"] > 0:
        raise GenreclfError(f"model.c={model['c']}: give a number above 0")
    reader = new_net(SVM, {**values, "support_vectors": 0}, "model.net").features
    # What overlapping segments would add are support vectors, which a bundle has to carry, and no accuracy.
    segments = datamodule.loader(datamodule.dataset("train", overlapping=False), datamodule.batch_size)
    batches = [(reader(to_images(batch, None)["image"].float()), batch["target"]) for batch in segments]
    features, target = (torch.cat(part) for part in zip(*batches, strict=True))
    return svm_net(values, features, target, model["c"])


def _seat_committee(model: dict[str, Any], values: dict[str, Any], datamodule: SpectrogramDataModule) -> nn.Module:
    if not model["members"]:
        raise GenreclfError("model.members=[]: give run folders, [RUN,RUN]")
    bundles = [_member(Path(str(run)).expanduser(), datamodule) for run in model["members"]]
    members = [Member(kind_of(bundle.net), asdict(bundle.net.config), bundle.temperature) for bundle in bundles]
    net = new_net(COMMITTEE, {**values, "members": [asdict(member) for member in members]}, "model.net")
    for own, bundle in zip(net.nets, bundles, strict=True):
        own.load_state_dict(bundle.net.state_dict())
    return net


def _member(run: Path, datamodule: SpectrogramDataModule) -> Bundle:
    """The bundle of a run on these clips: one of others might have learnt what is to be held out here."""
    bundle = load_bundle(find_bundle(run))
    try:
        known = json.loads((run / RECORD).read_text())["data"]
    except (OSError, ValueError, KeyError) as error:
        raise GenreclfError(f"model.members: {run}: has no {RECORD}; give the folder of a whole run") from error
    here = datamodule.summary()
    for key, what in (("store_digest", "other clips"), ("split_digest", "another split")):
        if known[key] != here[key]:
            raise GenreclfError(f"model.members: {run}: was trained on {what}; give this one's data and split")
    if (bundle.classes, bundle.view) != (datamodule.classes, datamodule.view):
        raise GenreclfError(f"model.members: {run}: has another view; give view={bundle.view.name}, as for all members")
    return bundle


def svm_net(values: dict[str, Any], features: Tensor, target: Tensor, c: float) -> Svm:
    """(N, features) and (N,) classes -> one machine a class, by scikit-learn, as one net.

    The kernel's width is scikit-learn's "scale": 1 / (features * their variance). Each group of features has its
    say in it, however many they are.
    """
    scaler = StandardScaler().fit(features)
    reader = FEATURES[values["features"]]()
    shares = [say / sum(reader.group_weights) * sum(reader.groups) for say in reader.group_weights]
    weight = np.concatenate(
        [np.full(size, (share / size) ** 0.5) for size, share in zip(reader.groups, shares, strict=True)]
    )
    scaled = scaler.transform(features) * weight
    gamma = 1 / (scaled.shape[1] * scaled.var())
    machines = [SVC(C=c, gamma=gamma).fit(scaled, target == own) for own in range(values["num_classes"])]
    used = np.unique(np.concatenate([machine.support_ for machine in machines]))
    net = new_net(SVM, {**values, "support_vectors": len(used)}, "model.net")
    for row, machine in enumerate(machines):
        net.coefficients[row, np.searchsorted(used, machine.support_)] = torch.from_numpy(machine.dual_coef_[0]).float()
        net.intercept[row] = float(machine.intercept_[0])
    net.support.copy_(torch.from_numpy(scaled[used]))
    net.centre.copy_(torch.from_numpy(scaler.mean_))
    net.scale.copy_(torch.from_numpy(scaler.scale_ / weight))
    net.gamma.fill_(gamma)
    return net

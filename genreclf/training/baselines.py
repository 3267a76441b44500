"""Fits the models that need no epochs: the SVM and the majority class."""

from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor
from torch.nn.functional import one_hot

from genreclf.data.datamodule import SpectrogramDataModule, to_images
from genreclf.inference.task import MULTILABEL
from genreclf.nets.baselines import FEATURES
from genreclf.nets.kinds import MAJORITY, SVM, new_net
from genreclf.nets.net import Net


def fit_baseline(model: dict[str, Any], datamodule: SpectrogramDataModule) -> Net:
    """Fits the net of a model without epochs to the training segments; nothing is random.

    `model` is the configuration's group `model`, which `settings.check_net` has accepted.
    """
    values = {**model["net"], "num_classes": len(datamodule.classes)}
    is_svm = model["kind"] == SVM
    net = _fit_svm(values, datamodule, model["c"]) if is_svm else _fit_majority(values, datamodule)
    return net.eval()


def _fit_majority(values: dict[str, Any], datamodule: SpectrogramDataModule) -> Net:
    net: Any = new_net(MAJORITY, values, "model.net")
    batches = datamodule.loader(datamodule.dataset("train"), datamodule.batch_size)
    target = torch.cat([_one_hot(batch["target"], values["num_classes"]) for batch in batches])
    shares, several = target.mean(0), datamodule.data.task == MULTILABEL
    net.log_shares.copy_(shares.logit() if several else shares.log())  # sigmoid or softmax inverts this
    return net


def _one_hot(target: Tensor, classes: int) -> Tensor:
    """Converts (B,) classes to (B, classes) float32; targets with several genres stay unchanged."""
    return target if target.ndim == 2 else one_hot(target, classes).float()


def _fit_svm(values: dict[str, Any], datamodule: SpectrogramDataModule, c: float) -> Net:
    untrained: Any = new_net(SVM, {**values, "support_vectors": 0}, "model.net")
    # Overlapping segments would add support vectors, and thus size, but no accuracy.
    segments = datamodule.loader(datamodule.dataset("train", overlapping=False), datamodule.batch_size)
    batches = [(untrained.features(to_images(batch, None)["image"].float()), batch["target"]) for batch in segments]
    features, target = (torch.cat(part) for part in zip(*batches, strict=True))
    return svm_net(values, features, target, c)


def svm_net(values: dict[str, Any], features: Tensor, target: Tensor, c: float) -> Net:
    """Fits one support vector machine per class to (N, features) and their targets, and returns them as one net.

    scikit-learn fits the machines. The kernel's width is its "scale": 1 / (number of features * their variance). The
    weight of a group of features in the kernel does not depend on the size of the group.
    """
    scaler = StandardScaler().fit(features)
    weight = _feature_weights(values["features"])
    scaled = scaler.transform(features) * weight
    gamma = 1 / (scaled.shape[1] * scaled.var())
    is_of = _one_hot(target, values["num_classes"]).bool()  # (N, classes)
    machines = [SVC(C=c, gamma=gamma).fit(scaled, of_class) for of_class in is_of.T]
    used = np.unique(np.concatenate([machine.support_ for machine in machines]))
    net: Any = new_net(SVM, {**values, "support_vectors": len(used)}, "model.net")
    for row, machine in enumerate(machines):
        net.coefficients[row, np.searchsorted(used, machine.support_)] = torch.from_numpy(machine.dual_coef_[0]).float()
        net.intercept[row] = float(machine.intercept_[0])
    net.support.copy_(torch.from_numpy(scaled[used]))
    net.centre.copy_(torch.from_numpy(scaler.mean_))
    net.scale.copy_(torch.from_numpy(scaler.scale_ / weight))
    net.gamma.fill_(gamma)
    return net


def _feature_weights(name: str) -> np.ndarray:
    """Returns (features,) factors that give each group of features its weight in squared distances."""
    statistics = FEATURES[name]()
    total = sum(statistics.group_weights) / sum(statistics.groups)
    sizes = zip(statistics.groups, statistics.group_weights, strict=True)
    return np.concatenate([np.full(size, (weight / total / size) ** 0.5) for size, weight in sizes])

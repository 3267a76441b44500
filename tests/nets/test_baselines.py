"""Compares the baselines with scikit-learn and NumPy."""

import io

import numpy as np
import pytest
import torch
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn

from genreclf.errors import GenreclfError
from genreclf.nets.baselines import Majority, MajorityConfig, Svm
from genreclf.nets.kinds import kind_of, new_net
from genreclf.nets.statistics import BandStatistics, SegmentStatistics
from genreclf.training.baselines import svm_net

VALUES = {"num_classes": 3, "features": "bands"}


def levels(batch: int, width: int = 256, seed: int = 0) -> torch.Tensor:
    grey = np.random.default_rng(seed).integers(0, 256, (batch, 1, 128, width), dtype=np.uint8)
    return torch.from_numpy(grey).expand(-1, 3, -1, -1)


@pytest.mark.parametrize("width", [2, 7, 256])
def test_band_statistics_agree_with_numpys(width):
    images = levels(4, width)
    grey = images[:, 0].double().numpy()
    changes, percentiles = np.abs(np.diff(grey, axis=2)), np.percentile(grey, [10, 50, 90], axis=2)
    expected = np.concatenate([grey.mean(2), grey.std(2), changes.mean(2), *percentiles], axis=1)
    found = BandStatistics()(images.float()).numpy()
    assert np.allclose(found, expected, atol=1e-3)


def fitted(classes: int) -> tuple[Svm, np.ndarray, np.ndarray]:
    features, target = np.random.default_rng(1).normal(100, 30, (60, 768)), np.arange(60) % classes
    features[:, :40] += 12 * target[:, None]
    features[:, 700] = 5.0  # a constant band
    values = {**VALUES, "num_classes": classes}
    return svm_net(values, torch.from_numpy(features), torch.from_numpy(target), 3.0), features, target


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_decision_values_agree_with_scikit_learns(classes):
    net, features, target = fitted(classes)
    unseen = features + np.random.default_rng(2).normal(0, 20, features.shape)
    net.features = nn.Identity()
    decided, attention = net(torch.from_numpy(unseen).float())
    reference = make_pipeline(StandardScaler(), OneVsRestClassifier(SVC(C=3.0))).fit(features, target)
    expected = reference.decision_function(unseen)
    if classes == 2:  # scikit-learn has one machine for two classes
        expected = np.stack([-expected, expected], axis=1)
    assert np.allclose(decided.numpy(), expected, atol=2e-3)  # the solver stops at 1e-3
    assert np.array_equal(decided.argmax(1).numpy(), reference.predict(unseen))
    assert attention.shape == (60, 1, 1) and (attention == 1).all()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("kind", ["svm", "majority"])
def test_the_contract_of_the_nets_holds(kind):
    net = fitted(3)[0] if kind == "svm" else Majority(MajorityConfig(3))
    if kind == "majority":
        net.log_shares.copy_(torch.tensor([0.5, 0.3, 0.2]).log())
    images = levels(3, seed=4)
    logits, attention = net.eval()(images)
    assert logits.shape == (3, 3) and logits.dtype == torch.float32 and attention.shape == (3, 1, 1)
    assert torch.allclose(net(images.float())[0], logits)
    for number in range(3):
        assert torch.allclose(net(images[number : number + 1])[0], logits[number : number + 1], atol=1e-5)
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(net), file)
    file.seek(0)
    assert torch.allclose(torch.jit.load(file)(images)[0], logits, atol=1e-5)
    assert kind_of(net) == kind


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_embeddings_are_the_scaled_statistics_and_the_shares():
    svm, images = fitted(3)[0], levels(3, seed=4)
    logits, attention, embedding = svm.outputs(images)
    assert torch.equal(logits, svm(images)[0]) and torch.equal(attention, torch.ones(3, 1, 1))
    torch.testing.assert_close(embedding, (BandStatistics()(images.float()) - svm.centre) / svm.scale)
    torch.testing.assert_close(torch.jit.script(svm).outputs(images)[2], embedding)
    majority = Majority(MajorityConfig(2))
    majority.log_shares.copy_(torch.tensor([0.75, 0.25]).log())
    assert torch.equal(majority.outputs(images)[2], majority.log_shares.expand(3, 2))


def test_majority_predicts_the_shares():
    net = Majority(MajorityConfig(2))
    net.log_shares.copy_(torch.tensor([0.75, 0.25]).log())
    assert torch.allclose(net(levels(2))[0].softmax(1), torch.tensor([[0.75, 0.25]] * 2))


def test_unknown_features_are_refused():
    with pytest.raises(GenreclfError, match=r"model.net.features=mel.*bands, statistics"):
        new_net("svm", {**VALUES, "features": "mel", "support_vectors": 1}, "model.net")


def test_each_group_of_statistics_has_its_weight_in_the_kernel():
    images, target = levels(24, seed=5).float(), torch.arange(24) % 3
    statistics = SegmentStatistics()
    net = svm_net({**VALUES, "features": "statistics"}, statistics(images), target, 3.0)
    scaled = ((statistics(images) - net.centre) / net.scale).double()
    shares = [group.square().sum(1).mean().item() for group in scaled.split(statistics.groups, 1)]
    weights = [1, 1, 1, 0.25]
    assert shares == pytest.approx([sum(shares) / sum(weights) * weight for weight in weights], rel=1e-3)
    # NumPy computes the kernel, which uses the mean distance within each group.
    standardized = StandardScaler().fit_transform(statistics(images))
    parts = np.split(standardized, np.cumsum(statistics.groups)[:-1], axis=1)
    distances = [((part[:, None] - part[None]) ** 2).mean(2) for part in parts]
    kernel = np.exp(-np.mean(distances, axis=0))
    machines = [SVC(C=3.0, kernel="precomputed").fit(kernel, target == label) for label in range(3)]
    expected = np.stack([machine.decision_function(kernel) for machine in machines], axis=1)
    assert np.allclose(net(images)[0].numpy(), expected, atol=5e-3)

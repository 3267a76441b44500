import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from torch.nn.functional import cross_entropy

from genreclf.data.datamodule import NONE
from genreclf.training.losses import GenreLoss, TeacherLoss, divergence


def test_with_equal_weights_it_is_cross_entropy_with_smoothed_labels():
    torch.manual_seed(0)
    logits, target = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    expected = cross_entropy(logits, target, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(GenreLoss(0.1, [1.0] * 4, 0.5)(logits, target), expected)


@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=6), st.integers(0, 10_000))
def test_the_best_logits_under_shares_are_those_of_a_uniform_mix(weights, seed):
    """With the true shares, the loss is least where the logits are the logarithms of the likelihoods p(x | class)."""
    shares = np.array(weights) / sum(weights)
    likelihood = np.random.default_rng(seed).dirichlet(np.ones(len(shares))) + 0.01
    posterior = torch.from_numpy(shares * likelihood / (shares * likelihood).sum())  # in the mix of the training
    logits = torch.from_numpy(likelihood).log().requires_grad_()
    loss = GenreLoss(0.0, shares.tolist(), 0.5)
    every = torch.arange(len(shares))
    (loss(logits.expand(len(shares), -1), every) * posterior).sum().backward()
    assert logits.grad.abs().max() < 1e-6


def test_clips_of_no_class_are_best_answered_with_equal_probabilities():
    loss = GenreLoss(0.1, [0.7, 0.2, 0.1], 0.5)
    target = torch.tensor([NONE])
    equal = loss(torch.zeros(1, 3), target)
    assert equal.item() == pytest.approx(0.5 * math.log(3))
    assert loss(torch.tensor([[1.0, 0.0, 0.0]]), target) > equal
    mixed = loss(torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 2.0]]), torch.tensor([NONE, 2]))
    alone = loss(torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([2]))
    assert mixed[1].item() == pytest.approx(alone.item())


def test_the_teachers_error_is_a_mean_square_and_0_for_clips_without_a_vector():
    torch.manual_seed(0)
    vectors = torch.tensor([[1.0, 2.0, 3.0], [math.nan] * 3, [0.0, -1.0, 4.0]])
    loss, context = TeacherLoss(5, vectors), torch.randn(3, 5)
    errors = loss(context, torch.tensor([2, 1, 0]))
    said = context @ loss.head.weight.T + loss.head.bias
    expected = [(said[0] - vectors[2]).square().mean().item(), 0.0, (said[2] - vectors[0]).square().mean().item()]
    assert errors.tolist() == pytest.approx(expected)
    errors.sum().backward()
    assert loss.head.weight.grad.isfinite().all() and loss.head.weight.grad.abs().max() > 0
    assert set(loss.state_dict()) == {"head.weight", "head.bias"}  # a checkpoint holds no vectors


def test_the_divergence_of_views_is_jensen_and_shannons():
    torch.manual_seed(0)
    logits = 3 * torch.randn(2 * 5, 4)
    p, q = logits.double().softmax(1).numpy().reshape(2, 5, 4)
    # SciPy's distance is the square root, also with the natural logarithm.
    assert divergence(logits, 2).item() == pytest.approx((jensenshannon(p, q, axis=1) ** 2).mean(), rel=1e-5)
    assert divergence(torch.cat([logits[:5], logits[:5]]), 2).item() == pytest.approx(0, abs=1e-6)
    assert divergence(torch.tensor([[50.0, 0], [0, 50.0]]), 2).item() == pytest.approx(math.log(2))

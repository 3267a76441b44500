import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import log_loss
from torch.nn.functional import cross_entropy

from genreclf.data.datamodule import NONE
from genreclf.training.losses import GenreLoss, MultilabelLoss, TeacherLoss, divergence, multilabel_divergence


def test_with_equal_weights_it_is_cross_entropy_with_smoothed_labels():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    expected = cross_entropy(logits.flatten(0, 1), target.repeat(2), label_smoothing=0.1)
    torch.testing.assert_close(GenreLoss(0.1, [1.0] * 4, 0.5)(logits, target), expected)


@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=6), st.integers(0, 10_000))
def test_the_best_logits_under_shares_assume_a_uniform_mix(weights, seed):
    """With the true shares, the loss is minimal if the logits are the log-likelihoods log p(x | class)."""
    shares = np.array(weights) / sum(weights)
    likelihood = np.random.default_rng(seed).dirichlet(np.ones(len(shares))) + 0.01
    posterior = shares * likelihood / (shares * likelihood).sum()  # with the training mix
    logits = torch.from_numpy(likelihood).log().float().requires_grad_()
    loss = GenreLoss(0.0, shares.tolist(), 0.5)
    sum(p * loss(logits[None], torch.tensor([number])) for number, p in enumerate(posterior)).backward()
    assert logits.grad.abs().max() < 1e-5


def test_equal_probabilities_are_best_for_out_of_scope_clips():
    loss, target = GenreLoss(0.1, [0.7, 0.2, 0.1], 0.5), torch.tensor([NONE])
    logits = torch.zeros(1, 3, requires_grad=True)
    equal = loss(logits, target)
    equal.backward()
    assert logits.grad.abs().max() < 1e-6
    for moved in ([1.0, 0, 0], [0, 1.0, 0], [0, 0, -1.0]):
        assert loss(torch.tensor([moved]), target) > equal
    shares = torch.tensor([0.7, 0.2, 0.1])
    assert equal.item() == pytest.approx(-0.5 * (shares * shares.log()).sum().item())


def test_a_batch_is_the_mean_of_its_examples_and_mixup_blends_two_targets():
    torch.manual_seed(0)
    loss, logits = GenreLoss(0.1, [0.7, 0.2, 0.1], 0.5), torch.randn(2, 3, 3)
    target, other, lam = torch.tensor([0, NONE, 2]), torch.tensor([1, 2, 0]), torch.tensor([0.9, 0.6, 0.5])
    alone = [[loss(logits[:, [i]], target[[j]]).item() for j in range(3)] for i in range(3)]
    assert loss(logits, target).item() == pytest.approx(np.diag(alone).mean())
    expected = [lam[i] * alone[i][i] + (1 - lam[i]) * alone[i][other[i]] for i in range(3)]
    assert loss(logits, target, other, lam).item() == pytest.approx(np.mean(expected))


def test_the_teachers_error_is_a_mean_square_and_0_for_clips_without_a_vector():
    torch.manual_seed(0)
    vectors = torch.tensor([[1.0, 2.0, 3.0], [math.nan] * 3, [0.0, -1.0, 4.0]])
    loss, context, clip = TeacherLoss(5, vectors), torch.randn(3, 5), torch.tensor([2, 1, 0])
    predicted = context @ loss.head.weight.T + loss.head.bias
    errors = [
        [(predicted[i] - vectors[j]).square().mean().item() if j != 1 else 0.0 for j in (2, 1, 0)] for i in range(3)
    ]
    total = loss(context, clip)
    assert total.item() == pytest.approx(np.diag(errors).mean())
    total.backward()
    assert loss.head.weight.grad.isfinite().all() and loss.head.weight.grad.abs().max() > 0
    other, lam = torch.tensor([1, 0, 1]), torch.tensor([0.9, 0.7, 0.6])
    mixed = [lam[i] * errors[i][i] + (1 - lam[i]) * errors[i][other[i]] for i in range(3)]
    assert loss(context, clip, other, lam).item() == pytest.approx(np.mean(mixed))
    assert set(loss.state_dict()) == {"head.weight", "head.bias"}  # a checkpoint contains no vectors


def test_the_divergence_of_views_is_jensen_shannon():
    torch.manual_seed(0)
    logits = 3 * torch.randn(2 * 5, 4)
    p, q = logits.double().softmax(1).numpy().reshape(2, 5, 4)
    # SciPy's distance is the square root, also with the natural logarithm.
    assert divergence(logits, 2).item() == pytest.approx((jensenshannon(p, q, axis=1) ** 2).mean(), rel=1e-5)
    assert divergence(torch.cat([logits[:5], logits[:5]]), 2).item() == pytest.approx(0, abs=1e-6)
    assert divergence(torch.tensor([[50.0, 0], [0, 50.0]]), 2).item() == pytest.approx(math.log(2))
    branches = torch.stack([logits, torch.randn(2 * 5, 4)])
    assert divergence(branches, 2).item() == pytest.approx(sum(divergence(each, 2).item() for each in branches) / 2)


def test_the_loss_of_several_genres_is_scikit_learns_with_targets_smoothed_to_the_shares():
    torch.manual_seed(0)
    logits, target = 2 * torch.randn(6, 3), torch.randint(2, (6, 3)).float()
    shares = [0.5, 0.2, 0.01]
    plain = [
        log_loss(true, predicted, labels=[0, 1])
        for true, predicted in zip(target.T, logits.double().sigmoid().T, strict=True)
    ]
    assert MultilabelLoss(0, shares)(logits, target).item() == pytest.approx(np.mean(plain), rel=1e-5)
    # For targets with these shares, the optimal probabilities are the shares, independent of the smoothing.
    many = (torch.arange(1000)[:, None] < 1000 * torch.tensor(shares)).float()
    predicted = torch.tensor(shares).logit().expand(1000, 3).clone().requires_grad_()
    MultilabelLoss(0.3, shares)(predicted, many).backward()
    assert predicted.grad.sum(0).abs().max() < 1e-6


def test_blended_examples_of_several_genres_have_both_targets():
    torch.manual_seed(0)
    loss = MultilabelLoss(0.1, [0.3, 0.6])
    logits, target = torch.randn(2, 4, 2), torch.randint(2, (4, 2)).float()  # two branches
    other, lam = torch.tensor([2, 3, 0, 1]), torch.tensor([0.9, 0.6, 0.5, 1])
    mixed = [
        float(
            lam[i] * loss(logits[:, i : i + 1], target[i : i + 1])
            + (1 - lam[i]) * loss(logits[:, i : i + 1], target[j : j + 1])
        )
        for i, j in enumerate(other.tolist())
    ]
    assert loss(logits, target, other, lam).item() == pytest.approx(np.mean(mixed), rel=1e-5)


def test_the_divergence_of_several_genres_is_the_mean_over_each_genres_yes_and_no():
    torch.manual_seed(0)
    logits = 3 * torch.randn(2, 2 * 5, 4)  # two branches, two views
    yes = logits.double().sigmoid().numpy().reshape(2, 2, 5, 4)
    pairs = np.stack([yes, 1 - yes], -1)
    expected = (jensenshannon(pairs[:, 0], pairs[:, 1], axis=-1) ** 2).mean()
    assert multilabel_divergence(logits, 2).item() == pytest.approx(expected, rel=1e-5)

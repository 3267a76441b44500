"""Compares Muon with timm's, and tests which parameters are matrices."""

from copy import deepcopy
from functools import partial

import pytest
import timm.optim.muon as timm_muon
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from genreclf.training.matrix_stacks import MatrixStacks
from genreclf.training.muon import Muon, is_matrix, orthogonalized

SHAPES = ((8, 5), (5, 8), (8, 5), (6, 3, 3, 3), (16, 1, 3, 3), (7,), (4, 600), (1, 9), (3, 3))


def _parameters(seed: int) -> list[nn.Parameter]:
    torch.manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in SHAPES]


def _step(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()


def test_steps_equal_timms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares in float64, which timm's iteration would otherwise round to bfloat16."""
    exact = partial(timm_muon.zeropower_via_newtonschulz, dtype=torch.float64)
    monkeypatch.setattr(timm_muon, "zeropower_via_newtonschulz", exact)
    ours, theirs = _parameters(0), _parameters(0)
    groups = [[{"params": each, "lr": 0.01, "weight_decay": 0.05}] for each in (ours, theirs)]
    optimizers = Muon(groups[0]), timm_muon.Muon(groups[1], nesterov=True, betas=(0.9, 0.999))
    for step in range(4):
        for optimizer, parameters in zip(optimizers, (ours, theirs), strict=True):
            _step(optimizer, parameters, step)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)


def test_the_same_parameters_are_matrices_as_in_timm() -> None:
    for parameter in _parameters(0):
        assert is_matrix(parameter) == timm_muon._is_suitable_for_muon(parameter)


@given(st.integers(4, 40), st.integers(4, 40), st.floats(1e-3, 1e3), st.integers(0, 9))
def test_singular_values_come_near_one(rows: int, columns: int, scale: float, seed: int) -> None:
    update = scale * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    stacks = MatrixStacks([update])
    (step,) = stacks.separate([each for stack in stacks.stacked([update]) for each in orthogonalized(stack)])
    before, after = torch.linalg.svdvals(update), torch.linalg.svdvals(step)
    assert step.shape == update.shape
    assert after.max() < 1.3
    assert (after[before > 0.02 * before.norm()] > 0.6).all()


def test_a_state_is_restored_exactly() -> None:
    parameters = _parameters(0)
    optimizer = Muon([{"params": parameters, "lr": 0.01, "weight_decay": 0.05}])
    _step(optimizer, parameters, 1)
    copies = [nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    resumed = Muon([{"params": copies, "lr": 1.0, "weight_decay": 0.0}])
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    _step(optimizer, parameters, 2)
    _step(resumed, copies, 2)
    assert all(torch.equal(one, other) for one, other in zip(parameters, copies, strict=True))


def test_stacks_separate_into_the_original_matrices() -> None:
    """They have the strides of the parameters; with other strides, torch would step them one by one on a GPU."""
    parameters = [p for p in _parameters(0) if is_matrix(p)]
    parameters += [torch.randn(shape).to(memory_format=torch.channels_last) for shape in ((8, 5, 3, 3), (8, 5, 1, 1))]
    parameters = [
        torch.randn(90, 4, dtype=torch.float64),
        torch.randn(600, 8, dtype=torch.float64),
        *(p.double() for p in parameters),
    ]
    stacks = MatrixStacks(parameters)
    grouped = stacks.stacked(parameters)
    assert sorted(stack.shape[1] for group in grouped for stack in group) == [64, 64]
    separate = stacks.separate([stack for group in grouped for stack in group])
    for one, other in zip(parameters, separate, strict=True):
        assert torch.equal(one, other) and one.stride() == other.stride()

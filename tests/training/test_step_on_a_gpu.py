"""A training step on a simulated GPU: tensors without content on a device "cuda"."""

from functools import cache

import pytest
import torch
from operations import Operations
from test_step_operations import parts_of
from torch._subclasses.fake_tensor import FakeTensorMode

from genreclf.data import augment
from genreclf.data.datamodule import to_images
from genreclf.nets import statistics
from genreclf.training import muon

# Functions that cache tensors on a device
CONSTANTS = ((augment, "_limits"), (statistics, "_kept_constants"), (muon, "_identity"), (muon, "_log_betas"))


@pytest.fixture
def gpu(monkeypatch):
    """Replaces functions that need a driver, or that do not support tensors without content."""
    if not torch.backends.cuda.is_built():
        pytest.skip("this torch knows no GPU")
    monkeypatch.setattr(torch, "_sample_dirichlet", torch.rand_like)
    monkeypatch.setattr(torch, "lstm", lambda x, start, *_: (x.new_empty(*x.shape[:2], 2 * start[0].shape[2]),))
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *_, **__: module)  # it only changes the order in memory
    for module, name in CONSTANTS:
        monkeypatch.setattr(module, name, cache(getattr(module, name).__wrapped__))
    with FakeTensorMode(), torch.device("cuda"):
        yield


@pytest.mark.parametrize("name", ["a", pytest.param("b", marks=pytest.mark.slow)])
def test_a_step_copies_nothing_from_the_host(name, gpu):
    """A CUDA graph cannot record such a copy."""
    module, augmentation = parts_of(name)
    optimizer = module.train()._optimizer()
    batch = {
        "segments": torch.zeros(4, 256, 128, dtype=torch.uint8),
        "target": torch.arange(4),
        "clip": torch.arange(4),
    }
    for _ in range(2):  # the first step creates constants and the optimizer's state
        with Operations() as seen:
            loss, *_ = module.outputs(to_images(batch, augmentation))
            for parameter in module.parameters():
                parameter.grad = torch.empty_like(parameter)
            optimizer.step()
    assert loss.device.type == "cuda"
    assert not seen.copied and not seen.read_back

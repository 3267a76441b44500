"""Counts a training step's launches and waits, which determine its cost on a GPU."""

import pytest
import torch
from data_config import of_yaml
from operations import Operations
from test_callbacks import trainer_on
from torch import nn

from genreclf.config import build
from genreclf.data.augment import AugmentConfig
from genreclf.data.datamodule import to_images
from genreclf.nets.config import ModelConfig
from genreclf.nets.cpu_gradients import DepthwiseConv2d
from genreclf.training.callbacks import RunningAverage
from genreclf.training.module import GenreModule
from genreclf.training.optim_config import OptimConfig

# Launches of a step in this version, rounded up
LIMITS = {"a": 600, "b": 850, "b_scratch": 1_050}


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    """Uses the GPU's depthwise convolutions; on a CPU they take more operations, which are faster there."""
    monkeypatch.setattr(DepthwiseConv2d, "forward", nn.Conv2d.forward)


def parts_of(name: str) -> tuple[GenreModule, AugmentConfig]:
    """Returns a model's module, and the augmentation with which it is trained."""
    model = of_yaml("model", name)
    net = build(ModelConfig, {**model["net"], "num_classes": 10}, "model.net")
    rates = {key: model[key] for key in ("optimizer", "learning_rate", "backbone_rate")}
    optim = build(OptimConfig, {**of_yaml("optim", "onecycle"), **rates}, "optim")
    augment = build(AugmentConfig, of_yaml("augment", "music" if name == "b" else "channels"), "augment")
    return GenreModule(net, optim, [str(i) for i in range(10)], augment.consistency, 0, [0.1] * 10), augment


class Step:
    """A training step of a model: augmentation, forward pass, backward pass, optimizer, average."""

    def __init__(self, name: str) -> None:
        self.module, self.augment = parts_of(name)
        self.module.log = lambda *_, **__: None
        self.optimizer, self.average, self.steps = self.module._optimizer(), RunningAverage(0.99), 0
        self.average.setup(trainer_on("cpu"), self.module, "fit")
        self.module.train()

    def __call__(self) -> None:
        self.steps += 1
        batch = {"segments": torch.randint(0, 256, (4, 256, 128), dtype=torch.uint8)}
        batch.update(target=torch.arange(4), clip=torch.arange(4))
        self.optimizer.zero_grad()
        self.module.training_step(to_images(batch, self.augment), 0).backward()
        self.optimizer.step()
        self.average.on_train_batch_end(trainer_at(self.steps), self.module, None, None, 0)


def trainer_at(step: int):
    trainer = trainer_on("cpu")
    trainer.global_step = step
    return trainer


@pytest.mark.parametrize("name", list(LIMITS))
def test_a_step_launches_few_operations_and_waits_for_none(name):
    step = Step(name)
    step()  # creates the optimizer's state
    with Operations() as seen:
        step()
    assert not seen.read_back
    assert seen.launches <= LIMITS[name], seen.counts.most_common(30)

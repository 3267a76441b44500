"""Settings of a training run: the keys of train.yaml outside its groups, and all settings together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from genreclf.config import build, yaml_word
from genreclf.errors import GenreclfError, reason
from genreclf.inference.task import TASKS
from genreclf.nets.kinds import CLASSIFIER, MAJORITY, SVM, new_net
from genreclf.training.optim_config import OptimConfig
from genreclf.training.processes import is_first
from genreclf.training.resume import Resumed

# The smallest and largest values by key
_LIMITS: dict[str, tuple[int, int | None]] = {
    "seed": (0, 2**32 - 1),  # NumPy takes 32 bits
    "batch_size": (2, None),  # for batch norm
    "workers": (0, 64),  # each is a process that has imported torch
    "device_store_mib": (0, None),
}
# By kind of model: values of its net that depend on the data
_FITTED = {CLASSIFIER: {"num_classes": 2}, SVM: {"num_classes": 2, "support_vectors": 0}, MAJORITY: {"num_classes": 2}}


@dataclass(frozen=True)
class RunConfig:
    """The keys of train.yaml outside its groups. Raises GenreclfError for values out of range."""

    task: str  # multiclass, or multilabel: a clip may have several genres
    seed: int  # of all random numbers, with the epoch and the device's rank
    batch_size: int  # segments per step and device
    workers: int  # processes that load batches
    device_store_mib: int  # on a GPU, a store of up to this size is copied there
    cuda_graph: bool  # on a GPU, steps are recorded
    temperature: float | None  # of the probabilities; null: fitted, see `trained_bundle`
    fp16_weights: bool  # the bundle's weights are rounded to float16
    init: str | None  # a pretrained model's name, a run or a bundle, from whose weights training starts
    teacher: Path | None  # a file with other nets' vectors for the clips, which the net also learns to predict
    ckpt: str | None  # last: resume from the run folder's last.ckpt

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise GenreclfError(f"task={self.task}: unknown; known: {', '.join(TASKS)}")
        for key, (least, most) in _LIMITS.items():
            value = getattr(self, key)
            if value < least or (most is not None and value > most):
                bound = f"from {least} to {most}" if most is not None else f"of at least {least}"
                raise GenreclfError(f"{key}={value}: give a whole number {bound}")
        if self.temperature is not None and not 0 < self.temperature <= 1_000:
            raise GenreclfError(f"temperature={self.temperature}: must be above 0 and at most 1000")
        if self.init == "":
            raise GenreclfError("init=: no model; give one, or leave it out")
        if self.ckpt not in (None, "last"):
            raise GenreclfError(f"ckpt={self.ckpt}: the only value is last; name the run with run=FOLDER")


@dataclass(frozen=True)
class Settings:
    """Settings of a training run, complete before any music is read."""

    folder: Path  # of the run
    config: dict[str, Any]  # composed, and plain data
    overrides: list[str]
    run: RunConfig
    optim: OptimConfig | None  # None: a model without epochs
    before: Resumed | None  # the earlier part of the run, if it is resumed

    @property
    def first(self) -> bool:
        """True if this is the process that prints, writes and evaluates."""
        return is_first(self.config["trainer"])

    def trainer_words(self, problem: str) -> str:
        """Returns the words that an error of Lightning's Trainer is about: those whose keys it names, or all."""
        words = [word for word in self.overrides if word.startswith("trainer.")]
        named = [word for word in words if word.removeprefix("trainer.").partition("=")[0] in problem]
        return ", ".join(named or words) or "trainer"


def run_config(config: Mapping[str, Any]) -> RunConfig:
    """Returns the keys of a composed configuration outside its groups."""
    return build(RunConfig, {key: config[key] for key in RunConfig.__annotations__}, "")


def check_net(model: Mapping[str, Any]) -> None:
    """Raises GenreclfError for a group `model` from which no net can be made, before any music is read."""
    name, kind, net = model["name"], model["kind"], model["net"]
    if not isinstance(name, str) or not name or "/" in name:
        raise GenreclfError(f"model.name={yaml_word(name)}: give a name without slashes")
    if not isinstance(kind, str) or kind not in _FITTED:
        raise GenreclfError(f"model.kind={yaml_word(kind)}: unknown; known: {', '.join(_FITTED)}")
    if not isinstance(net, Mapping):
        raise GenreclfError(f"model.net={yaml_word(net)}: give its keys, as in model.net.KEY=VALUE")
    weights, c = model.get("weights", "none"), model.get("c", 1)
    if not isinstance(weights, str):
        raise GenreclfError(f"model.weights={yaml_word(weights)}: expected text")
    if type(c) not in (int, float) or not 0 < c < math.inf:
        raise GenreclfError(f"model.c={yaml_word(c)}: give a number above 0")
    try:
        with torch.device("meta"):  # uses no memory for weights
            new_net(kind, {**net, **_FITTED[kind]}, "model.net")
    except GenreclfError:
        raise
    except Exception as error:  # each layer raises another class of exception for impossible sizes
        raise GenreclfError(f"model.net: cannot be built as a net ({reason(error)}); check its sizes") from error

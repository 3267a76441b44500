"""Settings of a training run: the keys of train.yaml outside its groups, and all settings together."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch

from genreclf.config import FROM_0, Limits, build, check_choice, check_fields, yaml_word
from genreclf.errors import GenreclfError, explained
from genreclf.inference.model_info import TEMPERATURES
from genreclf.inference.run_folder import LAST_CHECKPOINT
from genreclf.inference.task import TASKS
from genreclf.nets.kinds import CLASSIFIER, MAJORITY, SVM, new_net
from genreclf.training.optim_config import OptimConfig
from genreclf.training.processes import is_first
from genreclf.training.resume import Resumed

# By kind of model: values of its net that depend on the data
_FITTED = {CLASSIFIER: {"num_classes": 2}, SVM: {"num_classes": 2, "support_vectors": 0}, MAJORITY: {"num_classes": 2}}


@dataclass(frozen=True)
class RunConfig:
    """The keys of train.yaml outside its groups. Raises GenreclfError for values out of range."""

    task: Annotated[str, TASKS]  # multilabel: a clip may have several genres
    # Seeds all random numbers, together with the epoch and the device's rank. NumPy takes 32 bits.
    seed: Annotated[int, Limits(at_least=0, at_most=2**32 - 1)]
    batch_size: Annotated[int, Limits(at_least=2)]  # segments per step and device; batch norm needs two
    workers: Annotated[int, Limits(at_least=0, at_most=64)]  # processes that load batches; each imports torch
    device_store_mib: Annotated[int, FROM_0]  # on a GPU, a store of up to this size is copied there
    cuda_graph: bool  # on a GPU, steps are recorded
    temperature: Annotated[float | None, TEMPERATURES]  # of the probabilities; null: fitted, see `trained_bundle`
    fp16_weights: bool  # the bundle's weights are rounded to float16
    init: str | None  # a pretrained model's name, a run or a bundle, from whose weights training starts
    teacher: Path | None  # a file with other nets' vectors for the clips, which the net also learns to predict
    ckpt: str | None  # last: resume from the run folder's last.ckpt

    def __post_init__(self) -> None:
        check_fields(self, "")
        if self.init == "":
            raise GenreclfError("init=: no model; give one, or leave it out")
        if self.ckpt not in (None, "last"):
            raise GenreclfError(f"ckpt={self.ckpt}: the only value is last; name the run with run=FOLDER")


@dataclass(frozen=True)
class Settings:
    """Settings of a training run, complete before any data are read."""

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

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint that a resumed run continues from; None to start from the first epoch."""
        last = self.folder / LAST_CHECKPOINT
        # A link that loops is an error, not a new start.
        return last if self.before is not None and os.path.lexists(last) else None

    def trainer_words(self, problem: str) -> str:
        """Returns the overrides that an error of Lightning's Trainer is about: those whose keys it names, or all."""
        words = [word for word in self.overrides if word.startswith("trainer.")]
        named = [word for word in words if word.removeprefix("trainer.").partition("=")[0] in problem]
        return ", ".join(named or words) or "trainer"


def run_config(config: Mapping[str, Any]) -> RunConfig:
    """Returns the keys of a composed configuration outside its groups."""
    return build(RunConfig, {key: config[key] for key in RunConfig.__annotations__}, "")


def check_net(model: Mapping[str, Any]) -> None:
    """Raises GenreclfError for a group `model` that describes no net, before any data are read."""
    name, kind, net = model["name"], model["kind"], model["net"]
    if not isinstance(name, str) or not name or "/" in name:
        raise GenreclfError(f"model.name={yaml_word(name)}: give a name without slashes")
    check_choice("model.kind", kind, _FITTED)
    if not isinstance(net, Mapping):
        raise GenreclfError(f"model.net={yaml_word(net)}: give its keys, as in model.net.KEY=VALUE")
    weights, c = model.get("weights", "none"), model.get("c", 1)
    if not isinstance(weights, str):
        raise GenreclfError(f"model.weights={yaml_word(weights)}: expected text")
    if type(c) not in (int, float) or not 0 < c < math.inf:
        raise GenreclfError(f"model.c={yaml_word(c)}: give a number above 0")
    # For impossible sizes, each kind of layer raises a different exception.
    with explained("model.net: cannot be built", "check its sizes"), torch.device("meta"):  # no memory for weights
        new_net(kind, {**net, **_FITTED[kind]}, "model.net")

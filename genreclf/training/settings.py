"""What a training is asked for: the keys of train.yaml outside its groups, and all of it together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genreclf.config import build, yaml_word
from genreclf.errors import GenreclfError
from genreclf.nets.kinds import CLASSIFIER
from genreclf.training.optim_config import OptimConfig
from genreclf.training.processes import is_first
from genreclf.training.resume import Resumed

# By key, the least and the largest value
_LIMITS: dict[str, tuple[int, int | None]] = {
    "seed": (0, 2**32 - 1),  # NumPy takes 32 bits
    "batch_size": (2, None),  # for batch norm
    "workers": (0, 64),  # each is a process that has imported torch
    "device_store_mib": (0, None),
}


@dataclass(frozen=True)
class RunConfig:
    """The keys of train.yaml outside its groups. Raises GenreclfError for values out of range."""

    seed: int  # of everything random, with the epoch and the device's rank
    batch_size: int  # segments per step and device
    workers: int  # processes that read batches
    device_store_mib: int  # on a GPU, a store of up to this size is copied there
    cuda_graph: bool  # on a GPU, steps are recorded
    temperature: float | None  # of the probabilities; null: see `trained_bundle`
    fp16_weights: bool  # the bundle's weights are rounded to float16
    init: str | None  # a pretrained model's name, a run or a bundle: training starts from its weights
    teacher: Path | None  # a file with vectors of other nets for the clips, which the training also predicts
    ckpt: str | None  # last: resume from the run folder's last.ckpt

    def __post_init__(self) -> None:
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
    """A training, all that is known of it before its music is read."""

    folder: Path  # of the run
    config: dict[str, Any]  # composed, and plain data
    overrides: list[str]
    run: RunConfig
    optim: OptimConfig | None  # None: a model without epochs
    before: Resumed | None  # what the folder holds of the run, where it is resumed

    @property
    def first(self) -> bool:
        """Whether this is the process that prints, writes and evaluates."""
        return is_first(self.config["trainer"])

    def trainer_words(self, problem: str) -> str:
        """The words that an error of Lightning's Trainer is about: those whose keys it names, or all of the Trainer."""
        words = [word for word in self.overrides if word.startswith("trainer.")]
        named = [word for word in words if word.removeprefix("trainer.").partition("=")[0] in problem]
        return ", ".join(named or words) or "trainer"


def run_config(config: Mapping[str, Any]) -> RunConfig:
    """The keys of a composed configuration outside its groups."""
    return build(RunConfig, {key: config[key] for key in RunConfig.__annotations__}, "")


def settings_of(folder: Path, config: dict[str, Any], overrides: list[str], before: Resumed | None) -> Settings:
    """Those of a composed configuration. Raises GenreclfError for values out of range, and keys without effect."""
    run, model = run_config(config), config["model"]
    if not isinstance(model["name"], str) or not model["name"] or "/" in model["name"]:
        raise GenreclfError(f"model.name={yaml_word(model['name'])}: give a name without slashes")
    optim = build(OptimConfig, config["optim"], "optim") if model["kind"] == CLASSIFIER else None
    for key in ("init", "teacher"):
        if optim is None and config[key] is not None:
            raise GenreclfError(f"{key}={config[key]}: model={model['name']} is not trained in epochs; leave it out")
    return Settings(folder, config, overrides, run, optim, before)

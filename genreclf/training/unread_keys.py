"""Refuses keys that have no effect with the other settings, because a user who types one expects an effect."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from genreclf.data.notices import print_once
from genreclf.errors import GenreclfError
from genreclf.inference.task import MULTILABEL
from genreclf.nets.kinds import CLASSIFIER
from genreclf.training.optim_config import OptimConfig

_OFF = ("null", "none", "false", "0", "0.0")  # values that switch something off
_IN_EPOCHS = ("optim", "augment", "trainer", "init", "teacher", "cuda_graph", "device_store_mib")
# Where to run, which scripts give to all models. With a model that is not trained in epochs, this is only reported.
_WHERE = ("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy")
_OF_STEPS = tuple(f"optim.{field.name}" for field in fields(OptimConfig) if field.name != "prior_power")


def check_typed_keys(config: Mapping[str, Any], overrides: Sequence[str], of_several: bool) -> None:
    """Raises GenreclfError for an override whose key or group has no effect in the composed configuration.

    `of_several` is whether the run is part of a sweep or a search, whose overrides are for all of its runs. Such an
    override is then only reported, as are those of _WHERE.
    """
    for word in overrides:
        key, _, value = word.lstrip("+").partition("=")
        only_reported = of_several or key in _WHERE
        reasons = (why for why, unread in _unread(config) if f"{key}.".startswith(tuple(f"{name}." for name in unread)))
        why = next(reasons, None) if value not in _OFF else None
        if why and only_reported:
            print_once(f"{word}: without effect: {why}")
        elif why:
            raise GenreclfError(f"{word}: {why}; leave it out")


def _unread(config: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yields each choice that makes keys or groups ineffective, with these."""
    model, data, optim, augment = (config[group] for group in ("model", "data", "optim", "augment"))
    if not data["demo_clips_per_style"]:
        yield f"data={data['name']} is not demo music", ("data.demo_seconds", "data.demo_seed")
    if model["kind"] != CLASSIFIER:
        yield f"model={model['name']} is not trained in epochs", _IN_EPOCHS
        return
    for name in ("optimizer", "learning_rate", "backbone_rate"):  # by default, `optim` takes these from the model
        if model[name] != optim[name]:
            yield f"optim.{name} is {optim[name]}", (f"model.{name}",)
    epochs = config["trainer"]["max_epochs"]
    if model["epochs"] != epochs:
        yield f"trainer.max_epochs is {epochs}", ("model.epochs",)
    if epochs == 0:
        yield "trainer.max_epochs=0 fits the output layer alone", (*_OF_STEPS, "augment", "teacher")
    if config["init"] is not None:
        yield f"the initial weights come from init={config['init']}", ("model.weights",)
    if config["teacher"] is None:
        yield "there is no teacher", ("optim.teacher_weight",)
    if config["task"] == MULTILABEL:
        yield f"not used with task={MULTILABEL}", ("optim.prior_power", "optim.none_weight")
    if data["none"] is None:
        yield "there is no data.none", ("optim.none_weight",)
    if optim["optimizer"] != "adam":
        penalties = [f"model.net.l2_{part}" for part in ("backbone", "projection", "head")]
        yield "only optim.optimizer=adam has L2 penalties", penalties
    if not augment["time_mask_probability"] and not augment["frequency_mask_probability"]:
        yield "there are no masks", ("augment.mask_share", "augment.mask_fill")

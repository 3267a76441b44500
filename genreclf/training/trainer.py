"""Checks the arguments of Lightning's Trainer, creates it, trains with it, and loads the kept weights."""

import inspect
import sys
import traceback
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from genreclf.config import FROM_0, TYPE_NAMES, yaml_word
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.errors import GenreclfError, reason
from genreclf.inference.run_folder import BEST_CHECKPOINT, LAST_CHECKPOINT, METRICS_CSV
from genreclf.text import one_line, shell_command
from genreclf.training.callbacks import EpochLog, checkpoints
from genreclf.training.checkpoint_io import CheckpointFiles, check_kept
from genreclf.training.folder import InPlace
from genreclf.training.loggers import Loggers
from genreclf.training.memory import keep_freed_memory, memory_for
from genreclf.training.module import GenreModule
from genreclf.training.optim_config import OptimConfig
from genreclf.training.precision import AUTO, on_cpu
from genreclf.training.processes import cluster, strategy
from genreclf.training.settings import Settings

TRAINER_KEYS = tuple(f"trainer.{name}" for name in inspect.signature(L.Trainer).parameters)
_HINTS = typing.get_type_hints(L.Trainer.__init__)
# Batch norm and running averages lose too much precision in the "true" half precisions.
_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16", "None")
# Arguments that a run does not support, and what to do instead
_REFUSED = {
    "fast_dev_run": "keeps no model; for a quick trial: trainer.max_epochs=1 trainer.limit_train_batches=2 "
    "trainer.limit_val_batches=2",
    "barebones": "keeps no model; leave it out",
    "callbacks": "the run has its callbacks; see optim.early_stopping and optim.checkpoint",
    "logger": "use logger=NAME",
    "default_root_dir": "use run=FOLDER",
    "use_distributed_sampler": "several devices share the clips anyway; leave it out",
    "plugins": "the run writes its checkpoints itself; for half precision use trainer.precision",
}
_CHECKPOINT_FILES = {"best": BEST_CHECKPOINT, "last": LAST_CHECKPOINT}


def check_trainer(trainer: Mapping[str, Any], init: str | None) -> None:
    """Raises GenreclfError for arguments with which no model would be trained or kept; `init` is as in RunConfig."""
    for key, remedy in _REFUSED.items():
        if trainer.get(key) not in (None, False):
            raise GenreclfError(f"trainer.{key}={trainer[key]}: {remedy}")
    whole_numbers = {"max_epochs": 1 if init is None else 0, "check_val_every_n_epoch": 1, "accumulate_grad_batches": 1}
    for key, least in whole_numbers.items():
        value = trainer.get(key, least)
        if type(value) is not int or value < least:
            zero = "; 0, for the output layer alone, needs init=MODEL" if (key, value) == ("max_epochs", 0) else ""
            raise GenreclfError(f"trainer.{key}={yaml_word(value)}: give a whole number from {least}{zero}")
    _check_types(trainer)
    FROM_0.check("trainer.gradient_clip_val", trainer.get("gradient_clip_val"))
    if str(trainer["precision"]) not in _PRECISIONS:
        known = ", ".join(_PRECISIONS[:3])
        raise GenreclfError(f"trainer.precision={trainer['precision']}: not supported; choose one of {known}")
    if str(trainer["precision"]) in ("16-mixed", "16") and on_cpu(str(trainer.get("accelerator", AUTO))):
        fault = f"trainer.precision={trainer['precision']}: not available on a CPU"
        raise GenreclfError(f"{fault}; choose bf16-mixed or 32-true, or train on a GPU")


def _check_types(trainer: Mapping[str, Any]) -> None:
    """Raises GenreclfError for wrong types: Lightning ignores some of them, and for others fails during training."""
    for key, value in trainer.items():
        kinds = list(_kinds(_HINTS.get(key)))
        if key in _HINTS and key != "precision" and not any(_is_of(value, kind) for kind in kinds):
            # Types that a command line cannot give, such as objects, are not named.
            names = [TYPE_NAMES.get(kind, kind) for kind in kinds if isinstance(kind, str) or kind in TYPE_NAMES]
            raise GenreclfError(f"trainer.{key}={yaml_word(value)}: expected {' or '.join(names)}")


def _kinds(hint: Any) -> Iterator[Any]:
    """Yields the types in a type hint and the values of its literals."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType, typing.Literal):
        for part in typing.get_args(hint):
            yield from _kinds(part)
    else:
        yield typing.get_origin(hint) or hint


def _is_of(value: Any, kind: Any) -> bool:
    """Returns whether a plain value has a type, or equals a value."""
    if not isinstance(kind, type):
        return bool(value == kind)
    return type(value) is kind or (kind is float and type(value) is int)


def check_validation(trainer: Mapping[str, Any], optim: OptimConfig, clips: int) -> None:
    """Raises GenreclfError for settings that need a validation if there is none; `clips` counts validation clips."""
    epochs, every = trainer["max_epochs"], trainer["check_val_every_n_epoch"]  # numbers, by check_trainer
    if not clips:
        cause = "there are no validation clips"
    elif trainer.get("limit_val_batches") == 0:
        cause = "trainer.limit_val_batches=0 validates nothing"
    elif epochs < every:
        cause = f"trainer.check_val_every_n_epoch={every} validates none of {epochs} epochs"
    else:
        return
    for key, other in (("checkpoint", "last"), ("schedule", "onecycle"), ("early_stopping", None)):
        value = getattr(optim, key)
        if value != other:
            remedy = f"give optim.{key}={yaml_word(other)}"
            raise GenreclfError(f"optim.{key}={value}: needs a validation, but {cause}; {remedy}")


def new_trainer(settings: Settings, module: GenreModule, loggers: Loggers, callbacks: Sequence[Callback]) -> L.Trainer:
    """Returns the Trainer of a run with `callbacks` added. Raises GenreclfError if Lightning refuses an argument."""
    folder, asked, task = settings.folder, settings.config["trainer"], module.task
    epoch_log = EpochLog(folder / METRICS_CSV, loggers.epoch, task)
    in_place = [InPlace(folder)] if settings.first else []
    of_run = {
        "callbacks": [*in_place, epoch_log, *callbacks, *checkpoints(folder, module.optim, task)],
        "logger": loggers.lightning,
        "plugins": [CheckpointFiles(), cluster(asked)],
        "strategy": strategy(asked),
        "use_distributed_sampler": False,  # the data module gives each process its clips
        "default_root_dir": str(folder),
    }
    try:
        return L.Trainer(**{"enable_progress_bar": sys.stderr.isatty(), **asked, **of_run})
    except Exception as error:  # of any class: each argument has its own checks
        raise _refusal(settings, reason(error)) from error


def _refusal(settings: Settings, problem: str, remedy: str = "change or remove it") -> GenreclfError:
    return GenreclfError(f"{settings.trainer_words(problem)}: {problem.rstrip('.!')}; {remedy}")


def fit(settings: Settings, trainer: L.Trainer, module: GenreModule, datamodule: SpectrogramDataModule) -> None:
    """Trains the module. A resumed run continues from its checkpoint; if there is none, a line says so."""
    if settings.before is not None and not settings.checkpoint and settings.first:
        print(one_line(f"{settings.folder / LAST_CHECKPOINT}: not there, so the training starts from its first epoch"))
    keep_freed_memory()
    try:
        with memory_for(f"batch_size={settings.run.batch_size}", "give a smaller one, or a smaller model"):
            trainer.fit(module, datamodule, ckpt_path=settings.checkpoint, weights_only=True)
    except (MisconfigurationException, ValueError, ZeroDivisionError) as error:
        if not _is_of_lightning(error):
            raise
        raise _refusal(settings, reason(error)) from error
    except OSError as error:
        if error.errno is None:
            raise
        where, command = error.filename or settings.folder, ("genreclf", "train", f"run={settings.folder}", "ckpt=last")
        remedy = f"fix that, then resume with {shell_command(*command)}"
        raise GenreclfError(f"{where}: {error.strerror}; {remedy}") from error


def _is_of_lightning(error: Exception) -> bool:
    """Returns whether Lightning itself raised an error, which is then about the Trainer's arguments."""
    (*_, (frame, _)) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals["__name__"]).startswith("lightning.")


def load_kept_weights(settings: Settings, trainer: L.Trainer, module: GenreModule) -> None:
    """Loads the weights that `optim.checkpoint` selects into the trained module, on the CPU.

    Raises GenreclfError if there are none, because no epoch was trained or validated.
    """
    kept = settings.folder / _CHECKPOINT_FILES[module.optim.checkpoint]
    if not trainer.global_step:
        raise _refusal(settings, f"no epoch was trained, so there is no {kept.name}", "allow at least one epoch")
    first = trainer.checkpoint_callback  # it writes `kept`
    if isinstance(first, ModelCheckpoint) and not first.best_model_path:
        remedy = "allow a validation, or give optim.checkpoint=last"
        raise _refusal(settings, f"nothing was validated, so there is no {kept.name}", remedy)
    check_kept(kept)
    module.cpu().load_state_dict(CheckpointFiles().load_checkpoint(kept)["state_dict"])

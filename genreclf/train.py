"""Trains a model: genreclf train model=b trainer.devices=1."""

import importlib
import logging
import math
import shutil
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.callbacks import Callback

from genreclf.config import build
from genreclf.data.audit import leak_summary
from genreclf.data.data_config import DataConfig
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.errors import GenreclfError
from genreclf.evaluation.plots import draw_curves
from genreclf.evaluation.trained_bundle import initial_temperature, trained_bundle
from genreclf.exporters.bundle import round_to_fp16, save_bundle
from genreclf.hydra_command import compose, run_command
from genreclf.inference import run_folder
from genreclf.nets.config import ModelConfig
from genreclf.nets.kinds import CLASSIFIER
from genreclf.nets.net import Net
from genreclf.stopping import stoppable
from genreclf.text import one_line, shell_command
from genreclf.training.callbacks import epoch_rows
from genreclf.training.clip_metrics import BEST
from genreclf.training.data_notes import show_data
from genreclf.training.folder import begin, check_folder, is_finished, locked
from genreclf.training.loggers import Loggers, new_loggers
from genreclf.training.memory import memory_for
from genreclf.training.module import GenreModule
from genreclf.training.optim_config import OptimConfig
from genreclf.training.output_layer import fit_output_layer
from genreclf.training.precision import with_precision
from genreclf.training.processes import check_processes, end_with_parent, is_first
from genreclf.training.record import write_record
from genreclf.training.recorded_steps import StepRecorder
from genreclf.training.resume import STEPS, check_data, make_absolute, resumed
from genreclf.training.settings import Settings, check_net, run_config
from genreclf.training.start import RANDOM, start
from genreclf.training.trainer import (
    TRAINER_KEYS,
    check_trainer,
    check_validation,
    fit,
    load_kept_weights,
    new_trainer,
)
from genreclf.training.unread_keys import check_typed_keys

HARMLESS = (
    "Total length of `list` across ranks is zero",  # there may be no validation clips
    ".*does not have many workers.*",  # the store is memory-mapped and needs none
    "Checkpoint directory ",  # the run folder holds other files too
    ".*recommended to use .self.log.*sync_dist=True",  # the metrics of clips already include all processes
    ".*isinstance.treespec, LeafSpec.. is deprecated",  # between Lightning and torch
)


def train(
    config: dict[str, Any], overrides: list[str], callbacks: Sequence[Callback] = (), part_of: str | None = None
) -> None:
    """Trains one run from a composed configuration. Writes the run folder, which is Hydra's output folder.

    `callbacks` are added to the run's own. `part_of` is the folder of the search that the run is part of. In a sweep, a
    job that has finished before is left unchanged, and a job that was stopped is resumed.
    """
    _quiet_libraries()
    hydra = HydraConfig.get()
    folder, sweep = Path(hydra.runtime.output_dir), hydra.mode == RunMode.MULTIRUN
    words = [*hydra.overrides.task, *hydra.overrides.hydra]
    names_folder = any(word.startswith(("run=", "hydra.run.dir=")) for word in words)
    if sweep:
        part_of = hydra.sweep.dir
        if (folder / run_folder.CONFIG_YAML).is_file():
            if is_finished(folder, config, overrides):
                print(one_line(f"{folder}: finished before, with the same settings; left as it is"))
                return
            config = {**config, "ckpt": "last"}

    def run() -> None:
        check_processes(config["trainer"], names_folder, sweep)
        _train(_settings(folder, config, overrides, part_of is not None), callbacks)

    if is_first(config["trainer"]):
        with locked(folder), stoppable(_resume_note(folder, config["ckpt"], part_of)):
            run()
    else:
        end_with_parent()
        with redirect_stdout(None):
            run()


def _quiet_libraries() -> None:
    """Hides warnings of Lightning and torch about things that are intended here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message=message)
    warnings.formatwarning = _warning_line
    threading.excepthook = _quiet_thread


def _warning_line(message: Warning | str, *_: object, **__: object) -> str:
    """Formats a library's warning like the other notes: one line, without the place in the library."""
    return one_line(f"genreclf: {' '.join(str(message).split())}") + "\n"


def _quiet_thread(failed: threading.ExceptHookArgs) -> None:
    """Hides file system errors of a logger's thread, which the logger raises again in the main thread."""
    if failed.exc_type is None or not issubclass(failed.exc_type, OSError):
        threading.__excepthook__(failed)


def resume_all_note(folder: Path | str) -> str:
    """Returns the line for a stopped search or sweep in a folder."""
    return f"stopped; to resume, run the same command with {shell_command(f'run={folder}')}"


def _resume_note(folder: Path, ckpt: str | None, part_of: str | None) -> Callable[[], str]:
    """Returns a function that makes the line for a stopped run. Call it before the run has written anything."""
    written = folder / run_folder.CONFIG_YAML
    # An earlier run that this run will replace
    earlier = written.stat().st_mtime_ns if written.is_file() and ckpt is None else None

    def note() -> str:
        if part_of is not None:
            return resume_all_note(part_of)
        resumable = written.is_file() and written.stat().st_mtime_ns != earlier
        words = "genreclf", "train", f"run={folder}", "ckpt=last"
        return "stopped; " + (f"resume with {shell_command(*words)}" if resumable else "run the same command again")

    return note


def _settings(folder: Path, config: dict[str, Any], typed: list[str], of_several: bool) -> Settings:
    """Returns the settings of the run, or of its folder if it is resumed. Raises GenreclfError for unusable ones.

    `of_several` is as in `check_typed_keys`.
    """
    run = run_config(config)
    before = resumed(folder, typed, _composed) if run.ckpt == "last" else None
    config, overrides = (before.config, before.overrides) if before else (config, typed)
    check_net(config["model"])
    build(DataConfig, config["data"], "data")
    config = with_precision(config)
    check_trainer(config["trainer"], run.init)
    check_typed_keys(config, typed, of_several)
    check_folder(folder, config)
    optim = build(OptimConfig, config["optim"], "optim") if config["model"]["kind"] == CLASSIFIER else None
    return _with_init(Settings(folder, config, overrides, run_config(config), optim, before))


def _with_init(settings: Settings) -> Settings:
    """Checks that `init` exists. Without it, a run goes on from its checkpoint, which holds the weights, and says so.

    Raises GenreclfError if a run that starts needs it.
    """
    if settings.run.init is not None:
        try:
            run_folder.find_bundle(settings.run.init, "init=")
        except GenreclfError:
            if not settings.checkpoint:
                raise
            if settings.first:
                print(one_line(f"init={settings.run.init}: not found; using the weights in {settings.checkpoint}"))
            return replace(settings, run=replace(settings.run, init=None))
    return settings


def _composed(overrides: list[str]) -> dict[str, Any]:
    return with_precision(compose("train", overrides, extra_keys=TRAINER_KEYS))


def _train(settings: Settings, callbacks: Sequence[Callback]) -> None:
    """Trains from the seed to the bundle."""
    L.seed_everything(settings.run.seed, workers=True, verbose=False)
    datamodule = _open_data(settings)
    loggers = new_loggers(settings.config["logger"], settings.folder, settings.first)
    module, weights, trainer = None, RANDOM, None
    if settings.optim is not None:
        module = _module(settings, settings.optim, datamodule)
        weights = _first_weights(settings, module, datamodule)
        trainer = new_trainer(settings, module, loggers, callbacks)
        check_validation(settings.config["trainer"], settings.optim, len(datamodule.clips["val"]))
    if settings.first:
        _begin(settings, datamodule, weights)
    with loggers:
        if module and trainer:
            net = _fitted(settings, trainer, module, datamodule)
        else:
            from genreclf.training.baselines import fit_baseline  # imports scikit-learn, which other models do not need

            net = fit_baseline(settings.config["model"], datamodule)
        if settings.first:
            _save(settings, net, datamodule, loggers)


def _open_data(settings: Settings) -> SpectrogramDataModule:
    """Returns the clips and their split, and makes the paths in the configuration absolute.

    Raises GenreclfError if they differ from those of the resumed run, or if there is no way to fit the temperature.
    """
    config, run = settings.config, settings.run
    make_absolute(config)
    datamodule = SpectrogramDataModule.from_config(config)
    datamodule.prepare_data()
    datamodule.setup()
    if run.temperature is None and run.init is None and not datamodule.clips["val"]:
        remedy = "give a number, such as that of the folds (1 changes nothing), or init=MODEL"
        raise GenreclfError(f"temperature: there are no validation clips to fit it on; {remedy}")
    if settings.before is not None:
        now, trained = datamodule.summary(), settings.before.data
        check_data(settings.folder, config, now, trained, "this would be a different run")
    return datamodule


def _module(settings: Settings, optim: OptimConfig, datamodule: SpectrogramDataModule) -> GenreModule:
    """Returns the net with its loss and random weights."""
    run, task = settings.run, datamodule.data.task
    values = {**settings.config["model"]["net"], "num_classes": len(datamodule.classes)}
    net_config = build(ModelConfig, values, "model.net")
    consistency = datamodule.augment.consistency if datamodule.augment else 0.0
    teacher = None if run.teacher is None else torch.from_numpy(datamodule.teacher(run.teacher))
    shares = datamodule.class_shares
    with memory_for("model.net", "give smaller layers"):
        module = GenreModule(net_config, optim, datamodule.classes, consistency, run.seed, shares, teacher, task)
    module.hparams.update({key: settings.config[key] for key in STEPS})
    module.images, datamodule.images_in_step = datamodule.training_images, True
    module.recorder = StepRecorder(module.outputs) if run.cuda_graph else None
    return module


def _first_weights(settings: Settings, module: GenreModule, datamodule: SpectrogramDataModule) -> dict[str, Any]:
    """Gives the net its initial weights, unless a checkpoint does, and returns their entry in the run's record."""
    if settings.checkpoint and settings.before and settings.before.weights is not None:
        return settings.before.weights
    init, config, task = settings.run.init, settings.config, datamodule.data.task
    weights = start(module.net, config["model"]["weights"], init, datamodule.classes, task)
    if init is not None and (weights["new_classes"] or not config["trainer"]["max_epochs"]):
        temperature = initial_temperature(init, datamodule.classes, task)
        fit_output_layer(module.net, datamodule, module.loss.log_mix, temperature)
    return weights


def _begin(settings: Settings, datamodule: SpectrogramDataModule, weights: dict[str, Any]) -> None:
    """Prints notes about the precision and the data, clears the folder, and writes the run's record."""
    if settings.optim is not None:
        print(f"trainer.precision={settings.config['trainer']['precision']}")
    show_data(datamodule)
    if settings.before is None:
        begin(settings.folder)
    known = settings.before.loggers if settings.before else {}
    details = {"weights": weights, "data": datamodule.summary(), "loggers": known}
    audit = leak_summary(datamodule.store, datamodule.membership)
    write_record(settings.folder, settings.config, settings.overrides, details, audit)


def _fitted(settings: Settings, trainer: L.Trainer, module: GenreModule, datamodule: SpectrogramDataModule) -> Net:
    """Trains all epochs, draws the curves, and returns the net with the weights that are kept."""
    if not settings.config["trainer"]["max_epochs"]:
        return module.net.eval()
    fit(settings, trainer, module, datamodule)
    if settings.first:
        load_kept_weights(settings, trainer, module)
        best = BEST[module.task]
        rows = epoch_rows(settings.folder / run_folder.METRICS_CSV)
        score = draw_curves(rows, settings.folder / run_folder.CURVES, best)
        if not math.isnan(score["last"]):
            shown = f"highest {score['highest']:.1%}, last {score['last']:.1%}"
            print(f"validation {best.replace('_', ' ')}: {shown}; kept: the {module.optim.checkpoint} epoch")
    return module.net.eval()


def _save(settings: Settings, net: Net, datamodule: SpectrogramDataModule, loggers: Loggers) -> None:
    """Writes the bundle of the trained net, passes it to the loggers, and prints the next command."""
    folder = settings.folder
    if settings.run.fp16_weights:
        round_to_fp16(net)
    save_bundle(folder / run_folder.BUNDLE, trained_bundle(settings, net, datamodule))
    for outdated in (run_folder.EVALUATION, run_folder.EXPORTS):  # of an earlier net in this folder
        shutil.rmtree(folder / outdated, ignore_errors=True)
    print(one_line(f"run folder: {folder}"))
    held_out = [split for split in ("test", "val") if datamodule.clips[split]]
    words = ["evaluate", str(folder), *(["clips=val"] if held_out == ["val"] else [])]
    print(f"next: {shell_command('genreclf', *(words if held_out else ['predict', 'FILE', '--model', str(folder)]))}")
    loggers.files(
        run_folder.CONFIG_YAML, run_folder.RECORD, run_folder.AUDIT, run_folder.METRICS_CSV, run_folder.CURVES
    )
    loggers.model(run_folder.BUNDLE)


main = partial(run_command, "train", train, extra_keys=TRAINER_KEYS)

if __name__ == "__main__":
    # Launchers can pickle the functions of a named module, but not those of __main__.
    sys.exit(importlib.import_module("genreclf.train").main())

"""Trains a model: genreclf train model=b trainer.devices=1."""

import importlib
import inspect
import logging
import math
import shutil
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from genreclf.config import build
from genreclf.data.audit import leak_summary
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.genre_map import absolute_genre_map
from genreclf.data.split import SPLITS
from genreclf.errors import GenreclfError, reason
from genreclf.evaluation.calibration import fit_temperature
from genreclf.evaluation.known_fit import fit_known
from genreclf.evaluation.plots import draw_curves
from genreclf.evaluation.predictions import predict_clips
from genreclf.evaluation.thresholds import fit_thresholds
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import Bundle, round_to_fp16, save_bundle
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.frontend.object_store import absolute
from genreclf.hydra_command import compose, instantiate, run_command
from genreclf.inference.known import Known
from genreclf.inference.model_info import ModelInfo, read_bundle_config
from genreclf.inference.predictor import Predictor
from genreclf.inference.run_folder import (
    AUDIT,
    BEST_CHECKPOINT,
    BUNDLE,
    CONFIG_YAML,
    CURVES,
    EVALUATION,
    EXPORTS,
    LAST_CHECKPOINT,
    METRICS_CSV,
    RECORD,
    find_bundle,
)
from genreclf.inference.task import MULTILABEL
from genreclf.nets.config import ModelConfig
from genreclf.nets.kinds import CLASSIFIER
from genreclf.nets.net import Net
from genreclf.stopping import stoppable
from genreclf.text import one_line, shell_command
from genreclf.training.callbacks import EpochLog, checkpoints
from genreclf.training.checkpoint_io import CheckpointFiles
from genreclf.training.clip_metrics import BEST
from genreclf.training.folder import begin, check_model, locked
from genreclf.training.loggers import Loggers
from genreclf.training.memory import keep_freed_memory
from genreclf.training.module import GenreModule, OptimConfig
from genreclf.training.output_layer import fit_output_layer
from genreclf.training.precision import with_precision
from genreclf.training.processes import check_processes, cluster, end_with_parent, is_first, strategy
from genreclf.training.record import write_record
from genreclf.training.recorded_steps import StepRecorder
from genreclf.training.resume import MOVABLE, check_data, resumed
from genreclf.training.start import RANDOM, start
from genreclf.training.sweep_job import Before, done_before

HARMLESS = (
    "Total length of `list` across ranks is zero",  # there may be no validation clips
    ".*does not have many workers.*",  # the store is memory-mapped and needs none
    "Checkpoint directory .* exists and is not empty",  # the run folder holds other files too
    ".*recommended to use .self.log.*sync_dist=True",  # the metrics of clips are those of all processes already
    ".*isinstance.treespec, LeafSpec.. is deprecated",  # between Lightning and torch
)
CHECKPOINT_FILES = {"best": BEST_CHECKPOINT, "last": LAST_CHECKPOINT}
TRAINER_KEYS = tuple(f"trainer.{name}" for name in inspect.signature(L.Trainer).parameters)
# Batch norm and running averages lose too much precision in the "true" half precisions.
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16", "None")
# Arguments of the Trainer that a run cannot have, and what to do instead.
REFUSED = {
    "fast_dev_run": "keeps no model; for a quick trial: trainer.max_epochs=1 trainer.limit_train_batches=2 "
    "trainer.limit_val_batches=2",
    "barebones": "keeps no model; leave it out",
    "callbacks": "the run has its callbacks; see optim.early_stopping and optim.checkpoint",
    "logger": "use logger=NAME",
    "default_root_dir": "use run=FOLDER",
    "use_distributed_sampler": "several devices share the clips anyway; leave it out",
    "plugins": "the run writes its checkpoints itself; for half precision use trainer.precision",
}


@dataclass(frozen=True)
class RunConfig:
    """The keys of train.yaml outside its groups. Raises GenreclfError for values out of range."""

    seed: int  # of everything random, with the epoch and the device's rank
    batch_size: int  # segments per step and device; at least 2, for batch norm
    workers: int  # processes that read batches
    device_store_mib: int  # on a GPU, a store of up to this size is copied there
    cuda_graph: bool  # on a GPU, steps are recorded
    temperature: float | None  # of the probabilities; null: fitted on the validation clips; see `_temperature`
    fp16_weights: bool  # the bundle's weights are rounded to float16
    init: str | None  # a pretrained model's name, a run or a bundle: training starts from its weights
    teacher: Path | None  # a file with vectors of other nets for the clips, which the training also predicts
    ckpt: str | None  # last: resume from the run folder's last.ckpt

    def __post_init__(self) -> None:
        for key, least in (("seed", 0), ("batch_size", 2), ("workers", 0), ("device_store_mib", 0)):
            if getattr(self, key) < least:
                raise GenreclfError(f"{key}={getattr(self, key)}: must be at least {least}")
        if self.temperature is not None and not 0 < self.temperature <= 1_000:
            raise GenreclfError(f"temperature={self.temperature}: must be above 0 and at most 1000")
        if self.ckpt not in (None, "last"):
            raise GenreclfError(f"ckpt={self.ckpt}: the only value is last; name the run with run=FOLDER")


def train(
    config: dict[str, Any], overrides: list[str], callbacks: Sequence[Callback] = (), part_of: str | None = None
) -> None:
    """One run from a composed configuration; writes the run folder, which is Hydra's output folder.

    `callbacks` are called besides the run's own. `part_of` is the folder of the search that the run is part of. A job
    of a sweep that has finished before is left as it is, and one that was stopped is resumed.
    """
    # What Lightning and torch warn about here is chosen on purpose.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message=message)
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    words = [*hydra.overrides.task, *hydra.overrides.hydra]
    names_folder = any(word.startswith(("run=", "hydra.run.dir=")) for word in words)
    sweep = hydra.mode == RunMode.MULTIRUN
    check_processes(config["trainer"], names_folder, sweep)
    if sweep:
        before, part_of = done_before(folder, overrides), hydra.sweep.dir
        if before is Before.ALL:
            print(one_line(f"{folder}: finished before, with the same settings; left as it is"))
            return
        config = {**config, "ckpt": "last" if before is Before.PART else config["ckpt"]}
    if not is_first(config["trainer"]):
        end_with_parent()
        with redirect_stdout(None):
            _train(folder, config, overrides, callbacks)
        return

    written = folder / CONFIG_YAML
    # A run that this training is going to replace
    earlier = written.stat().st_mtime_ns if written.is_file() and config["ckpt"] is None else None

    def note() -> str:
        if part_of is not None:
            return f"stopped; to resume, run the same command with {shell_command(f'run={part_of}')}"
        resumable = written.is_file() and written.stat().st_mtime_ns != earlier
        words = "genreclf", "train", f"run={folder}", "ckpt=last"
        return "stopped; " + (f"resume with {shell_command(*words)}" if resumable else "run the same command again")

    with locked(folder), stoppable(note):
        _train(folder, config, overrides, callbacks)


def _train(folder: Path, config: dict[str, Any], overrides: list[str], callbacks: Sequence[Callback]) -> None:
    run = build(RunConfig, {key: config[key] for key in RunConfig.__annotations__}, "")
    config = with_precision(config)
    _check_trainer(config["trainer"], run.init)
    if run.init is not None:
        find_bundle(run.init, "init=")  # raises before the music is read
    trained_on, logged_as = {}, {}
    if run.ckpt == "last":
        before = resumed(folder, overrides, _composed)
        config, overrides, trained_on, logged_as = before.config, before.overrides, before.data, before.loggers
        run = build(RunConfig, {key: config[key] for key in RunConfig.__annotations__}, "")
    model = config["model"]
    optim = build(OptimConfig, config["optim"], "optim") if model["kind"] == CLASSIFIER else None
    check_model(folder, config)
    for key in ("init", "teacher"):
        if optim is None and config[key] is not None:
            raise GenreclfError(f"{key}={config[key]}: model={model['name']} is not trained in epochs; leave it out")
    L.seed_everything(run.seed, workers=True, verbose=False)
    datamodule = _open_data(config, run)
    if trained_on:
        check_data(folder, config, datamodule.summary(), trained_on, "this would be another training")

    first = is_first(config["trainer"])
    loggers = _loggers(config, folder)
    module, weights, trainer = None, RANDOM, None
    if optim:
        module = _module(model, run, optim, datamodule)
        weights = _start(config, run, module, datamodule)
        trainer = _trainer(folder, config, overrides, optim, loggers, callbacks, datamodule.data.task)
        _check_validation(trainer, optim, datamodule)
    if first:
        _show_data(config, datamodule)
        if run.ckpt is None:
            begin(folder)
        details = {"weights": weights, "data": datamodule.summary(), "loggers": logged_as}
        write_record(folder, config, overrides, details, leak_summary(datamodule.store, datamodule.membership))
    with loggers:
        if module and not config["trainer"]["max_epochs"]:
            net: Net = module.net.eval()
        elif module and trainer:
            _fit(folder, trainer, overrides, module, datamodule, run.ckpt == "last")
            if not first:
                return
            net = _kept_net(folder, trainer, overrides, module)
        else:
            from genreclf.training.baselines import fit_baseline  # imports scikit-learn, which other models do not need

            net = fit_baseline(model, datamodule)
        # A baseline learns the mix of its training clips.
        _save(folder, run, net, model["name"], optim.prior_power if optim else 1.0, datamodule)
        loggers.files(CONFIG_YAML, RECORD, AUDIT, METRICS_CSV, CURVES)
        loggers.model(BUNDLE)


def _loggers(config: dict[str, Any], folder: Path) -> Loggers:
    made = {name: instantiate(logger, f"logger.{name}") for name, logger in config["logger"].items()}
    return Loggers(made, folder, is_first(config["trainer"]))


def _open_data(config: dict[str, Any], run: RunConfig) -> SpectrogramDataModule:
    """The clips and their split; the paths in the configuration become absolute."""
    for key in MOVABLE:
        group, name = key.split(".")
        if config[group][name] is not None:
            config[group][name] = absolute(config[group][name])
    config["data"]["genre_map"] = absolute_genre_map(config["data"].get("genre_map"))
    datamodule = SpectrogramDataModule.from_config(config)
    datamodule.prepare_data()
    datamodule.setup()
    if run.temperature is None and run.init is None and not datamodule.clips["val"]:
        remedy = "give a number, as of the folds (1 changes nothing), or init=MODEL"
        raise GenreclfError(f"temperature: there are no validation clips to fit it on; {remedy}")
    return datamodule


def _module(
    model: dict[str, Any], run: RunConfig, optim: OptimConfig, datamodule: SpectrogramDataModule
) -> GenreModule:
    """The net with its loss; its weights are random."""
    net_config = build(ModelConfig, {**model["net"], "num_classes": len(datamodule.classes)}, "model.net")
    consistency = datamodule.augment.consistency if datamodule.augment else 0.0
    teacher = None if run.teacher is None else torch.from_numpy(datamodule.teacher(run.teacher))
    shares = datamodule.class_shares
    task = datamodule.data.task
    module = GenreModule(net_config, optim, datamodule.classes, consistency, run.seed, shares, teacher, task)
    module.images, datamodule.images_in_step = datamodule.training_images, True
    module.recorder = StepRecorder(module.outputs) if run.cuda_graph else None
    return module


def _start(
    config: dict[str, Any], run: RunConfig, module: GenreModule, datamodule: SpectrogramDataModule
) -> dict[str, Any]:
    """Gives the net its first weights; returns what the record says of them."""
    task = datamodule.data.task
    weights = start(module.net, config["model"]["weights"], run.init, datamodule.classes, task)
    if run.init is not None and (weights["new_classes"] or not config["trainer"]["max_epochs"]):
        temperature = _initial_temperature(run.init, datamodule.classes, task)
        fit_output_layer(module.net, datamodule, module.loss.log_mix, temperature)
    return weights


def _composed(overrides: list[str]) -> dict[str, Any]:
    return with_precision(compose("train", overrides, extra_keys=TRAINER_KEYS))


def _check_trainer(trainer: dict[str, Any], init: str | None) -> None:
    """Refuses arguments with which no model would be trained and kept."""
    for key, remedy in REFUSED.items():
        if trainer.get(key) not in (None, False):
            raise GenreclfError(f"trainer.{key}={trainer[key]}: {remedy}")
    for key, least in (("max_epochs", 1 if init is None else 0), ("check_val_every_n_epoch", 1)):
        value = trainer[key]
        if type(value) is not int or value < least:
            zero = "; 0, for the output layer alone, needs init=MODEL" if (key, value) == ("max_epochs", 0) else ""
            raise GenreclfError(f"trainer.{key}={_yaml(value)}: give a whole number from {least}{zero}")
    if str(trainer["precision"]) not in PRECISIONS:
        known = ", ".join(PRECISIONS[:3])
        raise GenreclfError(f"trainer.precision={trainer['precision']}: not supported; choose one of {known}")


def _yaml(value: Any) -> str:
    return "null" if value is None else str(value)


def _show_data(config: dict[str, Any], datamodule: SpectrogramDataModule) -> None:
    if config["data"]["name"] == "demo":
        print("data=demo: generated music, not a benchmark; for real music: data=gtzan or data=folder data.path=FOLDER")
    if config["model"]["kind"] == CLASSIFIER:
        print(f"trainer.precision={config['trainer']['precision']}")
    summary = datamodule.summary()
    parts = (f"{name} {len(datamodule.clips[name])} clips, {summary['groups'][name]} groups" for name in SPLITS)
    print(f"split={config['split']['name']}: {'; '.join(parts)}; {len(datamodule.classes)} classes")
    if summary["repeated"]:
        seconds = datamodule.view.segment_frames / FRAME_RATE_HZ
        print(f"{summary['repeated']} clips are shorter than a segment, {seconds:.1f} s: they are repeated to fill one")
    kept = "kept together" if config["data"]["label_conflicts"] == "keep" else "left out"
    notes = [
        *(
            f"{len(paths)} clips of the published {name} list are missing (first: {paths[0]})"
            for name, paths in summary["missing"].items()
            if paths
        ),
        *(f"left out {path}: {problem}" for path, problem in summary["unreadable"].items()),
        *(f"one recording with different classes, {kept}: {', '.join(paths)}" for paths in summary["label_conflicts"]),
    ]
    for note in notes:
        print(one_line(note), file=sys.stderr)


def _trainer(
    folder: Path,
    config: dict[str, Any],
    overrides: Sequence[str],
    optim: OptimConfig,
    loggers: Loggers,
    callbacks: Sequence[Callback],
    task: str,
) -> L.Trainer:
    trainer: L.Trainer = instantiate(
        {"enable_progress_bar": sys.stderr.isatty(), **config["trainer"]},
        _asked(overrides),
        callbacks=[EpochLog(folder / METRICS_CSV, loggers.epoch, task), *callbacks, *checkpoints(folder, optim, task)],
        logger=loggers.lightning,
        plugins=[CheckpointFiles(), cluster(config["trainer"])],
        strategy=strategy(config["trainer"]),
        use_distributed_sampler=False,  # the data module gives each process its clips
        default_root_dir=str(folder),
    )
    return trainer


def _asked(overrides: Sequence[str]) -> str:
    """What an error of the Trainer is about."""
    return ", ".join(word for word in overrides if word.startswith("trainer.")) or "trainer"


def _fit(
    folder: Path,
    trainer: L.Trainer,
    overrides: Sequence[str],
    module: GenreModule,
    datamodule: SpectrogramDataModule,
    resume: bool,
) -> None:
    """Trains the module. To `resume`, it continues from the folder's checkpoint, if there is one."""
    last = folder / LAST_CHECKPOINT
    keep_freed_memory()
    try:
        trainer.fit(module, datamodule, ckpt_path=last if resume and last.is_file() else None, weights_only=True)
    except MisconfigurationException as error:
        raise GenreclfError(f"{_asked(overrides)}: {reason(error)}") from error
    except OSError as error:
        if error.errno is None:
            raise
        remedy = f"fix that, then resume with {shell_command('genreclf', 'train', f'run={folder}', 'ckpt=last')}"
        raise GenreclfError(f"{error.filename or folder}: cannot be written ({error.strerror}); {remedy}") from error


def _kept_net(folder: Path, trainer: L.Trainer, overrides: Sequence[str], module: GenreModule) -> Net:
    """The net, on the CPU, with the weights that are kept. Draws the curves."""
    kept = folder / CHECKPOINT_FILES[module.optim.checkpoint]
    if not trainer.global_step or not kept.is_file():
        raise GenreclfError(
            f"{_asked(overrides)}: no epoch was trained, so there is no {kept.name}; allow at least one epoch"
        )
    module.cpu().load_state_dict(torch.load(kept, map_location="cpu", weights_only=True)["state_dict"])
    best = BEST[module.task]
    score = draw_curves(folder / METRICS_CSV, folder / CURVES, best)
    if not math.isnan(score["last"]):
        shown = f"highest {score['highest']:.1%}, last {score['last']:.1%}"
        print(f"validation {best.replace('_', ' ')}: {shown}; kept: the {module.optim.checkpoint} epoch")
    return module.net.eval()


def _check_validation(trainer: L.Trainer, optim: OptimConfig, datamodule: SpectrogramDataModule) -> None:
    """Refuses settings that need a validation where there will be none."""
    epochs, every = trainer.max_epochs or 0, trainer.check_val_every_n_epoch or 1  # numbers, by _check_trainer
    if not datamodule.clips["val"]:
        reason = "there are no validation clips"
    elif trainer.limit_val_batches == 0:
        reason = "trainer.limit_val_batches=0 validates nothing"
    elif epochs < every:
        reason = f"trainer.check_val_every_n_epoch={every} validates none of {epochs} epochs"
    else:
        return
    for key, other in (("checkpoint", "last"), ("schedule", "onecycle"), ("early_stopping", None)):
        value = getattr(optim, key)
        if value != other:
            remedy = f"give optim.{key}={_yaml(other)}"
            raise GenreclfError(f"optim.{key}={value}: needs a validation, but {reason}; {remedy}")


def _save(
    folder: Path, run: RunConfig, net: Net, name: str, prior_power: float, datamodule: SpectrogramDataModule
) -> None:
    """Writes the bundle of a trained net, with its temperature and, for several genres, their thresholds."""
    if run.fp16_weights:
        round_to_fp16(net)
    several = datamodule.data.task == MULTILABEL
    info = ModelInfo(
        name=name,
        classes=datamodule.classes,
        view=datamodule.view,
        picture_seconds=datamodule.data.picture_seconds,
        frames_per_column=datamodule.frames_per_column,
        temperature=run.temperature or 1.0,
        prior_power=1.0 if several else prior_power,
        shares=None if several else tuple(datamodule.class_shares),
        task=datamodule.data.task,
        thresholds=(0.5,) * len(datamodule.classes) if several else None,
    )
    if run.temperature is None:
        info = replace(info, temperature=_temperature(run.init, Bundle(net, info), datamodule))
    if several:
        info = replace(info, thresholds=_thresholds(run.init, Bundle(net, info), datamodule))
    if datamodule.none["val"]:
        info = replace(info, known=_fitted_known(Bundle(net, info), datamodule))
        fitted = "`known` is fitted: music that seems to be of none of the genres gets no genre"
        apart = "too few such validation clips, or their probabilities do not tell them apart"
        print(fitted if info.known else f"`known` is not fitted, so music of none of the genres gets one: {apart}")
    elif run.init is not None and not several and read_bundle_config(find_bundle(run.init)).info.known:
        note = "withholds the genre of out-of-scope music; the new model does so only where data.none names such music"
        print(one_line(f"init={run.init} {note}"))
    try:
        save_bundle(folder / BUNDLE, Bundle(net, info))
    except OSError as error:
        raise GenreclfError(f"{folder / BUNDLE}: cannot be written ({error.strerror}); free some space") from error
    for outdated in (EVALUATION, EXPORTS):  # of an earlier net in this folder
        shutil.rmtree(folder / outdated, ignore_errors=True)
    print(one_line(f"run folder: {folder}"))
    held_out = [split for split in ("test", "val") if datamodule.clips[split]]
    words = ["evaluate", str(folder), *(["clips=val"] if held_out == ["val"] else [])]
    print(f"next: {shell_command('genreclf', *(words if held_out else ['predict', 'FILE', '--model', str(folder)]))}")


def _temperature(init: str | None, bundle: Bundle, datamodule: SpectrogramDataModule) -> float:
    """Fitted on the validation clips, for a bundle whose temperature is 1; without any, `_initial_temperature`."""
    if not datamodule.clips["val"] and init is not None:
        temperature = _initial_temperature(init, bundle.info.classes, bundle.info.task)
        print(f"temperature {temperature:.2f}: not fitted, because there are no validation clips")
        return temperature
    temperature = fit_temperature(*_answers(bundle, datamodule, datamodule.clips["val"]))
    print(f"temperature, fitted on the validation clips: {temperature:.2f}")
    return temperature


def _initial_temperature(init: str, classes: Sequence[str], task: str) -> float:
    """That of the model `init` if it has the same classes, else 1: with an initial 0.7, models were overconfident."""
    initial = _same_answers(init, classes, task)
    return initial.temperature if initial else 1.0


def _same_answers(init: str, classes: Sequence[str], task: str) -> ModelInfo | None:
    """The model `init` if it predicts the same genres in the same way, else None."""
    initial = read_bundle_config(find_bundle(init)).info
    return initial if set(initial.classes) == set(classes) and initial.task == task else None


def _thresholds(init: str | None, bundle: Bundle, datamodule: SpectrogramDataModule) -> tuple[float, ...]:
    """Fitted on the validation clips, for a bundle with its temperature; without any, those of `init`, or else 0.5."""
    info = bundle.info
    if datamodule.clips["val"]:
        return fit_thresholds(*_answers(bundle, datamodule, datamodule.clips["val"]))
    initial = _same_answers(init, info.classes, info.task) if init is not None else None
    known = dict(zip(initial.classes, initial.thresholds or (), strict=True)) if initial else {}
    return tuple(known.get(name, 0.5) for name in info.classes)


def _fitted_known(bundle: Bundle, datamodule: SpectrogramDataModule) -> Known | None:
    """The detector of out-of-scope music, for a bundle with its temperature."""
    none, _ = _answers(bundle, datamodule, datamodule.none["val"])
    return fit_known(*_answers(bundle, datamodule, datamodule.clips["val"]), none)


def _answers(bundle: Bundle, datamodule: SpectrogramDataModule, clips: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(clips, classes) probabilities, and the clips' targets (see `SpectrogramDataModule.targets`)."""
    predictor = Predictor(TorchModel(bundle, "cpu"))
    predictions = predict_clips(predictor, datamodule.store, clips, "calibrating")
    return np.array([prediction.probabilities for prediction in predictions]), datamodule.targets(clips)


main = partial(run_command, "train", train, extra_keys=TRAINER_KEYS)

if __name__ == "__main__":
    # Functions of a module with a name can be sent to the processes of a launcher; those of __main__ cannot.
    sys.exit(importlib.import_module("genreclf.train").main())

"""Trains a model: genreclf train model=b trainer.devices=1."""

import inspect
import logging
import math
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from genreclf.config import build
from genreclf.data.audit import leak_summary
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.split import SPLITS
from genreclf.errors import GenreclfError, one_line
from genreclf.evaluation.calibration import fit_temperature
from genreclf.evaluation.plots import draw_curves
from genreclf.evaluation.predictions import predict_clips
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import Bundle, round_to_fp16, save_bundle
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.hydra_command import instantiate, run_command
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.predictor import Predictor
from genreclf.inference.run_folder import (
    BEST_CHECKPOINT,
    BUNDLE,
    CURVES,
    EVALUATION,
    EXPORTS,
    LAST_CHECKPOINT,
    METRICS_CSV,
)
from genreclf.nets.backbone_weights import load_weights
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig
from genreclf.nets.efficientnet import EfficientNet
from genreclf.nets.kinds import CLASSIFIER
from genreclf.nets.net import Net
from genreclf.training.callbacks import EpochLog, checkpoints
from genreclf.training.module import GenreModule, OptimConfig
from genreclf.training.record import check_resumable, write_record

HARMLESS = (
    ".*does not have many workers.*",  # the store is memory-mapped and needs none
    "Checkpoint directory .* exists and is not empty",  # the run folder holds other files too
    ".*isinstance.treespec, LeafSpec.. is deprecated",  # between Lightning and torch
)
NO_WEIGHTS = {"asked": "none", "pretrained": False}
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
}


@dataclass(frozen=True)
class RunConfig:
    """The keys of train.yaml outside its groups. Raises GenreclfError for values out of range."""

    seed: int  # of everything random, with the epoch and the device's rank
    batch_size: int  # segments per step and device; at least 2, for batch norm
    workers: int  # processes that read batches
    temperature: float | None  # of the probabilities; null: fitted on the validation clips
    fp16_weights: bool  # the bundle's weights are rounded to float16
    ckpt: str | None  # last: resume from the run folder's last.ckpt

    def __post_init__(self) -> None:
        for key, least in (("seed", 0), ("batch_size", 2), ("workers", 0)):
            if getattr(self, key) < least:
                raise GenreclfError(f"{key}={getattr(self, key)}: must be at least {least}")
        if self.temperature is not None and not 0 < self.temperature <= 1_000:
            raise GenreclfError(f"temperature={self.temperature}: must be above 0 and at most 1000")
        if self.ckpt not in (None, "last"):
            raise GenreclfError(f"ckpt={self.ckpt}: the only value is last; name the run with run=FOLDER")


def train(config: dict[str, Any], overrides: list[str]) -> None:
    """One run from a composed configuration; writes the run folder, which is Hydra's output folder."""
    run = build(RunConfig, {key: config[key] for key in RunConfig.__annotations__}, "")
    folder = Path(HydraConfig.get().runtime.output_dir)
    is_classifier = config["model"]["kind"] == CLASSIFIER
    optim = build(OptimConfig, config["optim"], "optim") if is_classifier else None
    _check_trainer(config["trainer"])
    for key in ("path", "table"):
        if config["data"][key] is not None:
            config["data"][key] = str(Path(config["data"][key]).expanduser().resolve())
    resume = check_resumable(folder, config) if run.ckpt == "last" else None
    L.seed_everything(run.seed, workers=True, verbose=False)

    datamodule = SpectrogramDataModule.from_config(config)
    datamodule.prepare_data()
    datamodule.setup()
    if run.temperature is None and not datamodule.clips["val"]:
        raise GenreclfError("temperature: there are no validation clips to fit it on; give a number, as of the folds")
    _show_data(config, datamodule)

    module = _module(config, optim, datamodule) if optim else None
    weights = _load_weights(module.net, config["model"]["weights"]) if module else NO_WEIGHTS
    audit = leak_summary(datamodule.store, datamodule.membership)
    write_record(folder, config, overrides, {"weights": weights, "data": datamodule.summary()}, audit)
    if module:
        net = _train_net(folder, config, overrides, module, datamodule, resume)
    else:
        net = _fit(config["model"], datamodule)
    _save(folder, run, net, config["model"]["name"], datamodule)


def _check_trainer(trainer: dict[str, Any]) -> None:
    """Refuses arguments with which no model would be trained and kept."""
    for key, reason in REFUSED.items():
        if trainer.get(key) not in (None, False):
            raise GenreclfError(f"trainer.{key}={trainer[key]}: {reason}")
    for key in ("max_epochs", "check_val_every_n_epoch"):
        value = trainer[key]
        if type(value) is not int or value < 1:
            shown = "null" if value is None else value
            raise GenreclfError(f"trainer.{key}={shown}: give a whole number from 1")
    if str(trainer["precision"]) not in PRECISIONS:
        known = ", ".join(PRECISIONS[:3])
        raise GenreclfError(f"trainer.precision={trainer['precision']}: not supported; choose one of {known}")


def _show_data(config: dict[str, Any], datamodule: SpectrogramDataModule) -> None:
    if config["data"]["name"] == "demo":
        print(
            "data=demo: generated music, not a benchmark; for real music: data=gtzan, or data=folder data.path=FOLDER"
        )
    summary = datamodule.summary()
    parts = (f"{name} {len(datamodule.clips[name])} clips, {summary['groups'][name]} groups" for name in SPLITS)
    print(f"split={config['split']['name']}: {'; '.join(parts)}; {len(datamodule.classes)} classes")
    if summary["repeated"]:
        seconds = datamodule.view.segment_frames / FRAME_RATE_HZ
        print(f"{summary['repeated']} clips are shorter than a segment, {seconds:.1f} s: they are repeated to fill one")
    for name, missing in summary["missing"].items():
        if missing:
            print(
                f"{len(missing)} clips of the published {name} list are missing (first: {missing[0]})", file=sys.stderr
            )
    for path, problem in summary["unreadable"].items():
        print(one_line(f"left out {path}: {problem}"), file=sys.stderr)
    for paths in summary["label_conflicts"]:
        kept = "kept together" if config["data"]["label_conflicts"] == "keep" else "left out"
        print(one_line(f"one recording with different classes, {kept}: {', '.join(paths)}"), file=sys.stderr)


def _module(config: dict[str, Any], optim: OptimConfig, datamodule: SpectrogramDataModule) -> GenreModule:
    classes, augment = datamodule.classes, datamodule.augment
    net = build(ModelConfig, {**config["model"]["net"], "num_classes": len(classes)}, "model.net")
    return GenreModule(net, optim, classes, augment.consistency if augment else 0.0, config["seed"])


def _load_weights(net: GenreClassifier, weights: str) -> dict[str, Any]:
    if isinstance(net.backbone, EfficientNet):
        return load_weights(net.backbone, weights)
    if weights != "none":
        raise GenreclfError(f"model.weights={weights}: this backbone has no pretrained weights; use none")
    return NO_WEIGHTS


def _fit(model: dict[str, Any], datamodule: SpectrogramDataModule) -> Net:
    from genreclf.training.baselines import fit_baseline  # imports scikit-learn, which other models do not need

    return fit_baseline(model, datamodule)


def _train_net(
    folder: Path,
    config: dict[str, Any],
    overrides: Sequence[str],
    module: GenreModule,
    datamodule: SpectrogramDataModule,
    resume: Path | None,
) -> Net:
    """Trains the module and draws the curves; returns the net, on the CPU, with the weights that are kept."""
    asked = ", ".join(word for word in overrides if word.startswith("trainer.")) or "trainer"
    trainer = instantiate(
        {"enable_progress_bar": sys.stderr.isatty(), **config["trainer"]},
        asked,
        callbacks=[EpochLog(folder / METRICS_CSV), *checkpoints(folder, module.optim)],
        logger=[instantiate(logger, f"logger.{name}") for name, logger in config["logger"].items()],
        default_root_dir=str(folder),
    )
    _check_validation(trainer, module.optim, datamodule)
    try:
        _run_epochs(trainer, module, datamodule, resume, folder)
    except MisconfigurationException as error:
        raise GenreclfError(f"{asked}: {str(error).splitlines()[0]}") from error
    kept = folder / CHECKPOINT_FILES[module.optim.checkpoint]
    if not trainer.global_step or not kept.is_file():
        raise GenreclfError(f"{asked}: no epoch was trained, so there is no {kept.name}; allow at least one epoch")
    state = torch.load(kept, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "net."
    weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    module.net.cpu().load_state_dict(weights)
    accuracy = draw_curves(folder / METRICS_CSV, folder / CURVES)
    if not math.isnan(accuracy["last"]):
        shown = f"highest {accuracy['highest']:.1%}, last {accuracy['last']:.1%}"
        print(f"validation accuracy: {shown}; kept: the {module.optim.checkpoint} epoch")
    return module.net.eval()


def _check_validation(trainer: L.Trainer, optim: OptimConfig, datamodule: SpectrogramDataModule) -> None:
    """Refuses settings that need a validation where there will be none."""
    assert trainer.max_epochs is not None and trainer.check_val_every_n_epoch is not None  # _check_trainer
    if not datamodule.clips["val"]:
        reason = "there are no validation clips"
    elif trainer.limit_val_batches == 0:
        reason = "trainer.limit_val_batches=0 validates nothing"
    elif trainer.max_epochs < trainer.check_val_every_n_epoch:
        every = trainer.check_val_every_n_epoch
        reason = f"trainer.check_val_every_n_epoch={every} validates none of {trainer.max_epochs} epochs"
    else:
        return
    for key, value, instead in (("checkpoint", "best", "last"), ("schedule", "plateau", "onecycle")):
        if getattr(optim, key) == value:
            raise GenreclfError(f"optim.{key}={value}: needs a validation, but {reason}; give optim.{key}={instead}")
    if optim.early_stopping is not None:
        raise GenreclfError(
            f"optim.early_stopping={optim.early_stopping}: needs a validation, but {reason}; "
            "give optim.early_stopping=null"
        )


def _run_epochs(
    trainer: L.Trainer, module: GenreModule, datamodule: SpectrogramDataModule, resume: Path | None, folder: Path
) -> None:
    try:
        trainer.fit(module, datamodule, ckpt_path=str(resume) if resume else None, weights_only=True)
    except SystemExit:  # Lightning turns Ctrl-C into an exit
        saved = (folder / LAST_CHECKPOINT).is_file()
        remedy = f"resume with the same command and run={folder} ckpt=last" if saved else "no epoch was finished"
        print(f"\nstopped in epoch {trainer.current_epoch + 1}; {remedy}", file=sys.stderr)
        raise


def _save(folder: Path, run: RunConfig, net: Net, name: str, datamodule: SpectrogramDataModule) -> None:
    """Writes the bundle of a trained net, with the temperature fitted on the validation clips."""
    if run.fp16_weights:
        round_to_fp16(net)
    seconds, resolution = datamodule.data.picture_seconds, datamodule.frames_per_column
    info = ModelInfo(name, datamodule.classes, datamodule.view, seconds, resolution, run.temperature or 1.0)
    bundle = Bundle(net, info)
    if run.temperature is None:
        temperature = _fitted_temperature(bundle, datamodule)
        print(f"temperature, fitted on the validation clips: {temperature:.2f}")
        bundle = replace(bundle, info=replace(info, temperature=temperature))
    try:
        save_bundle(folder / BUNDLE, bundle)
    except OSError as error:
        raise GenreclfError(f"{folder / BUNDLE}: cannot be written ({error.strerror}); free some space") from error
    for outdated in (EVALUATION, EXPORTS):  # of an earlier net in this folder
        shutil.rmtree(folder / outdated, ignore_errors=True)
    print(f"run folder: {folder}\nnext: genreclf evaluate {folder}")


def _fitted_temperature(bundle: Bundle, datamodule: SpectrogramDataModule) -> float:
    """The temperature for a bundle whose temperature is 1."""
    clips = datamodule.clips["val"]
    predictor = Predictor(TorchModel(bundle, "cpu"))
    predictions = predict_clips(predictor, datamodule.store, clips, "calibrating")
    target = [datamodule.classes.index(datamodule.store.rows[clip].label) for clip in clips]
    probabilities = np.array([prediction.probabilities for prediction in predictions])  # (clips, classes)
    return fit_temperature(probabilities, np.array(target))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    # What Lightning and torch warn about here is chosen on purpose; this package's warnings are shown.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message=message)
    return run_command("train", train, arguments, extra_keys=TRAINER_KEYS)


if __name__ == "__main__":
    sys.exit(main())

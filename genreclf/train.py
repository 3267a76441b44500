"""Trains one model: python -m genreclf.train model=b trainer.devices=1."""

import logging
import math
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import lightning as L
import torch
from torch import nn

from genreclf.config import build
from genreclf.data.audit import leak_summary
from genreclf.data.augment import AugmentConfig
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.sources import DataConfig
from genreclf.data.split import SPLITS, SplitConfig
from genreclf.errors import GenreclfError, one_line
from genreclf.evaluation.calibration import fit_temperature
from genreclf.evaluation.inference import predict_segments
from genreclf.evaluation.plots import draw_curves
from genreclf.frontend.segments import ViewConfig
from genreclf.hydra_command import run_command
from genreclf.nets.backbone_weights import load_weights
from genreclf.nets.bundle import Bundle, round_to_fp16, save_bundle
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig
from genreclf.nets.efficientnet import EfficientNet
from genreclf.nets.kinds import CLASSIFIER
from genreclf.training.callbacks import EpochLog, checkpoints
from genreclf.training.clips import mean_by_clip
from genreclf.training.module import GenreModule, OptimConfig, plain
from genreclf.training.record import LAST, check_resumable, write_record

HARMLESS = (
    ".*does not have many workers.*",  # a memory-mapped store needs none
    "Checkpoint directory .* exists and is not empty",  # the run folder holds more than checkpoints
    ".*isinstance.treespec, LeafSpec.. is deprecated",  # between Lightning and torch
)


NO_WEIGHTS = {"asked": "none", "pretrained": False}


@dataclass(frozen=True)
class RunConfig:
    """The keys of train.yaml that stand outside its groups."""

    seed: int
    batch_size: int
    workers: int
    temperature: float | None
    half: bool
    ckpt: str | None

    def __post_init__(self) -> None:
        # Batch norm has nothing to compare a single example with.
        for key, least in (("seed", 0), ("batch_size", 2), ("workers", 0)):
            if getattr(self, key) < least:
                raise GenreclfError(f"{key}={getattr(self, key)}: must be at least {least}")
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise GenreclfError(f"temperature={self.temperature}: must be above 0")
        if self.ckpt not in (None, "last"):
            raise GenreclfError(f"ckpt={self.ckpt}: the only value is last; name the run with run=FOLDER")


def train(config: dict[str, Any], overrides: list[str]) -> None:
    """One run from a composed configuration: data, model, training, and what the run folder keeps of them."""
    build(RunConfig, {key: config[key] for key in RunConfig.__annotations__}, "")
    folder = Path(hydra.core.hydra_config.HydraConfig.get().runtime.output_dir)
    resume = check_resumable(folder, config) if config["ckpt"] == "last" else None
    trains = config["model"]["kind"] == CLASSIFIER
    optim = build(OptimConfig, config["optim"], "optim") if trains else None
    if type(epochs := config["trainer"]["max_epochs"]) is not int:
        raise GenreclfError(f"trainer.max_epochs={epochs!r}: give a whole number; -1 trains until it is stopped")
    for key in ("path", "table"):
        if config["data"][key] is not None:
            config["data"][key] = str(Path(config["data"][key]).expanduser().resolve())
    L.seed_everything(config["seed"], workers=True, verbose=False)

    datamodule = data_from(config)
    datamodule.prepare_data()
    datamodule.setup()
    if config["temperature"] is None and not datamodule.clips["val"]:
        raise GenreclfError("temperature: no validation clips are left to fit it on; give a number, as from the folds")
    _show_data(config, datamodule)

    module = _module(config, optim, datamodule.classes) if trains else None
    weights = _load_weights(module.net, config["model"]["weights"]) if trains else NO_WEIGHTS
    found = leak_summary(datamodule.store, datamodule.membership)
    write_record(folder, config, overrides, {"weights": weights, "data": datamodule.summary()}, found)

    net = _train_net(folder, config, module, datamodule, resume) if trains else _fit(config["model"], datamodule)
    _keep(folder, config, net, datamodule)


def data_from(config: dict[str, Any]) -> SpectrogramDataModule:
    """The DataModule of a composed configuration; raises GenreclfError for unknown or missing keys."""
    return SpectrogramDataModule(
        build(DataConfig, config["data"], "data"),
        build(SplitConfig, config["split"], "split"),
        build(ViewConfig, config["view"], "view"),
        build(AugmentConfig, config["augment"], "augment"),
        config["batch_size"],
        config["workers"],
        config["seed"],
    )


def _show_data(config: dict[str, Any], datamodule: SpectrogramDataModule) -> None:
    if config["data"]["name"] == "demo":
        print(
            "data=demo: procedural demo music, not a benchmark; real music: data=gtzan, or data=folder data.path=FOLDER"
        )
    summary = datamodule.summary()
    parts = (f"{name} {len(datamodule.clips[name])} clips, {summary['groups'][name]} groups" for name in SPLITS)
    print(f"split={config['split']['name']}: {'; '.join(parts)}; {len(datamodule.classes)} classes")
    for name, missing in summary["missing"].items():
        if missing:
            print(f"the published {name} list has {len(missing)} clips more (first: {missing[0]})", file=sys.stderr)
    for path, problem in summary["unreadable"].items():
        print(one_line(f"left out {path}: {problem}"), file=sys.stderr)
    for paths in summary["label_conflicts"]:
        kept = "kept together" if config["data"]["label_conflicts"] == "keep" else "left out"
        print(one_line(f"one recording, different classes, {kept}: {', '.join(paths)}"), file=sys.stderr)


def _module(config: dict[str, Any], optim: OptimConfig, classes: Sequence[str]) -> GenreModule:
    net = build(ModelConfig, {**config["model"]["net"], "num_classes": len(classes)}, "model.net")
    return GenreModule(plain(net), plain(optim), list(classes), config["seed"])


def _load_weights(net: GenreClassifier, weights: str) -> dict[str, Any]:
    if isinstance(net.backbone, EfficientNet):
        return load_weights(net.backbone, weights)
    if weights != "none":
        raise GenreclfError(f"model.weights={weights}: this backbone has no pretrained weights; use none")
    return NO_WEIGHTS


def _fit(model: dict[str, Any], datamodule: SpectrogramDataModule) -> nn.Module:
    from genreclf.training.baselines import fit_baseline  # only who fits one pays for importing scikit-learn

    return fit_baseline(model, datamodule)


def _train_net(
    folder: Path,
    config: dict[str, Any],
    module: GenreModule,
    datamodule: SpectrogramDataModule,
    resume: Path | None,
) -> nn.Module:
    """The module's net with the weights that are kept, on the CPU, and the curves of its training."""
    trainer = hydra.utils.instantiate(
        config["trainer"],
        callbacks=[EpochLog(folder / "metrics.csv"), *checkpoints(str(folder), module.optim)],
        logger=[hydra.utils.instantiate(logger) for logger in config["logger"].values()],
        enable_progress_bar=sys.stderr.isatty(),
        default_root_dir=str(folder),
    )
    _check_validation(trainer, module.optim, datamodule)
    _run_epochs(trainer, module, datamodule, resume, folder)
    state = torch.load(folder / f"{module.optim.keep}.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    module.net.cpu().load_state_dict({name[4:]: value for name, value in state.items() if name.startswith("net.")})
    figures, keep = draw_curves(folder / "metrics.csv", folder / "curves.png"), module.optim.keep
    if datamodule.clips["val"]:
        print(
            f"validation accuracy: highest {figures['highest']:.1%}, last {figures['last']:.1%}; kept: the {keep} epoch"
        )
    return module.net.eval()


def _check_validation(trainer: L.Trainer, optim: OptimConfig, datamodule: SpectrogramDataModule) -> None:
    """A best epoch takes a validation."""
    if optim.keep == "best" and not datamodule.clips["val"]:
        raise GenreclfError(
            "optim.keep=best: there are no validation clips to choose an epoch by; give optim.keep=last"
        )
    never = 0 <= trainer.max_epochs < trainer.check_val_every_n_epoch or trainer.limit_val_batches == 0
    if optim.keep == "best" and never:
        raise GenreclfError(
            f"trainer.check_val_every_n_epoch={trainer.check_val_every_n_epoch}, max_epochs={trainer.max_epochs}: no "
            "epoch would be validated, so none could be kept as the best; lower it, or optim.keep=last"
        )


def _run_epochs(
    trainer: L.Trainer, module: GenreModule, datamodule: SpectrogramDataModule, resume: Path | None, folder: Path
) -> None:
    try:
        trainer.fit(module, datamodule, ckpt_path=str(resume) if resume else None, weights_only=True)
    except SystemExit:  # Lightning turns Ctrl-C into an exit
        saved = (folder / LAST).is_file()
        way = f"go on with the same command and run={folder} ckpt=last" if saved else "no epoch was finished"
        print(f"\nstopped in epoch {trainer.current_epoch + 1}; {way}", file=sys.stderr)
        raise


def _keep(folder: Path, config: dict[str, Any], net: nn.Module, datamodule: SpectrogramDataModule) -> None:
    """The bundle of a finished training, calibrated on the validation clips."""
    if config["half"]:
        round_to_fp16(net)
    temperature = config["temperature"]
    if temperature is None:
        segments = predict_segments(net, datamodule.val_dataloader(), "none", torch.device("cpu"))
        temperature = fit_temperature(*mean_by_clip(*segments)[:2])
        print(f"temperature, from the validation clips: {temperature:.2f}")
    name, seconds, resolution = config["model"]["name"], datamodule.data.picture_seconds, datamodule.frames_per_column
    bundle = Bundle(net, name, datamodule.classes, datamodule.view, seconds, resolution, temperature)
    save_bundle(folder / "bundle", bundle)
    # Of a run that was trained anew, the answers of the net before.
    shutil.rmtree(folder / "evaluation", ignore_errors=True)
    print(f"run folder: {folder}\nnext: python -m genreclf.evaluate run={folder}")


def main() -> None:
    """The command line."""
    # Lightning and torch tell what this program has chosen on purpose; our own warnings stay.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message=message)
    run_command("train", train)


if __name__ == "__main__":
    main()

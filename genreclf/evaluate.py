"""Scores a run on its own data, or any model on another labelled data set: genreclf evaluate MODEL."""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from genreclf.config import build, check_fields
from genreclf.data.columns import meaning_of
from genreclf.data.data_config import DataConfig
from genreclf.data.data_folder import check_in_place
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.table import columns_in_use
from genreclf.errors import GenreclfError
from genreclf.evaluation.clip_set import OTHER, clips_of_other_data, clips_of_split
from genreclf.evaluation.logged_scores import logged_scores
from genreclf.evaluation.provenance import (
    NO_TRAINING,
    describe_bundle,
    describe_leaks,
    describe_training,
)
from genreclf.evaluation.result_files import FORMAT, SCORED_SPLITS, write_card, write_results
from genreclf.evaluation.score_tables import print_scores
from genreclf.evaluation.scoring import score_clip_set
from genreclf.evaluation.slices import check_slices
from genreclf.exporters.bundle import load_bundle
from genreclf.files import user_path
from genreclf.frontend.object_store import Location
from genreclf.hydra_command import compose, run_command
from genreclf.inference import run_folder
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.results import check_output_folder
from genreclf.inference.task import MULTILABEL, TASKS
from genreclf.inference.tta import TTA
from genreclf.text import one_line
from genreclf.training.loggers import new_loggers
from genreclf.training.resume import DIGESTS, MOVABLE, check_data, read_run

_DATA_KEYS = tuple(f"data.{field.name}" for field in fields(DataConfig))


@dataclass(frozen=True)
class MovedData:
    """The present places of a run's data. None: unchanged."""

    path: Location | None
    table: Path | None
    drop: Path | None
    genre_map: Path | None

    def by_key(self) -> dict[str, str | None]:
        """Returns the given paths by key, made absolute."""
        return {key: MOVABLE[f"data.{key}"](str(path)) for key, path in vars(self).items() if path is not None}


@dataclass(frozen=True)
class EvaluateConfig:
    """The keys of evaluate.yaml. Raises GenreclfError for unknown values."""

    run: str  # a run folder; for other data also a bundle, or a pretrained model's name
    clips: Annotated[str, SCORED_SPLITS]  # other data are scored in full
    tta: Annotated[str, tuple(TTA)]  # scored in addition to predictions without TTA
    slices: tuple[str, ...]  # columns of the table, or genre: also score by their values
    device: str  # auto, cpu or cuda
    data: MovedData  # their content must be the same as in training; other data have a DataConfig instead
    cache: Path | None  # for spectrograms; None: as in training
    out: Path | None  # for other data: the folder of the results; None: evaluations/TIME-MODEL
    task: Annotated[str | None, (None, *TASKS)] = None  # None: the model's task, which is the only possible one

    def __post_init__(self) -> None:
        check_fields(self, "")


def evaluate(config: dict[str, Any], overrides: list[str]) -> None:
    """Scores a run, or a model on other data. Writes all files and prints the scores."""
    data, is_run = config["data"], _is_run(config["run"])
    moved = {field.name: data[field.name] for field in fields(MovedData)}
    unmoved = {**config, "slices": _names(config["slices"]), "data": dict.fromkeys(moved)}
    # For a run, data.path is the new place of its data; a model without data needs other data.
    if "name" in data or (not is_run and data["path"] is not None):
        score_other(build(EvaluateConfig, unmoved, ""), overrides)
        return
    for key in sorted(data.keys() - moved) if is_run else ():
        raise GenreclfError(f"data.{key}: fixed by the run; for another data set, also give data=folder")
    metrics = score(build(EvaluateConfig, {**unmoved, "data": moved}, ""))
    _log(metrics)
    _show(metrics)


def _is_run(name: str) -> bool:
    return name not in run_folder.pretrained_names() and (user_path(name) / run_folder.RECORD).is_file()


def _names(value: Any) -> list[str]:
    """Returns the names of a list. Text, which Hydra does not read as a list, may have brackets or not."""
    names = value.strip("[] ").split(",") if isinstance(value, str) else value
    return [str(name).strip() for name in names if str(name).strip()] if isinstance(names, list) else value


def score(config: EvaluateConfig) -> dict[str, Any]:
    """Scores a run on clips of its data, writes all files, and returns the content of metrics.json.

    Raises GenreclfError.
    """
    if config.out is not None:
        raise GenreclfError(f"out={config.out}: the scores of a run are in its folder; leave it out")
    run, split = _run_folder(config.run), config.clips
    bundle = load_bundle(run / run_folder.BUNDLE)
    _check_task(config, bundle.info)
    model, datamodule = describe_bundle(bundle) | describe_training(run), _training_data(run, config)
    if bundle.info.classes != datamodule.classes:
        raise GenreclfError(f"{run / run_folder.BUNDLE}: other classes than in the run's data; copy the run again")
    folder = run / run_folder.EVALUATION / split
    check_output_folder("", folder)
    scored = score_clip_set(bundle, clips_of_split(datamodule, split, config.slices), config.tta, config.device)
    slices = [f"slices=[{','.join(config.slices)}]"] if config.slices else []
    moved = (f"data.{key}={path}" for key, path in config.data.by_key().items())
    metrics = {
        "format": FORMAT,
        "run": str(run),
        **model,
        "split": split,
        "clips": {name: len(clips) for name, clips in datamodule.clips.items()},
        **describe_leaks(datamodule, split),
        "command": [config.run, f"clips={split}", f"tta={config.tta}", *slices, *moved],
        "tta": scored.results,
    }
    write_results(folder, metrics, scored)
    write_card(run, metrics)
    return metrics


def score_other(config: EvaluateConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Scores a model on all clips of another labelled data set. Writes and prints the scores.

    `overrides` are as typed. Returns the content of metrics.json. Raises GenreclfError.
    """
    if config.clips != "test":
        raise GenreclfError(f"clips={config.clips}: another data set has no splits and is scored in full; leave it out")
    model = run_folder.find_bundle(config.run)
    bundle = load_bundle(model)
    _check_task(config, bundle.info)
    data = _other_data(overrides, bundle.info)
    run = _run_of(model)
    training = describe_training(run) if run else NO_TRAINING
    seen = read_run(run)[1]["data"].get("seen_files") if run else None
    clip_set, left_out = clips_of_other_data(data, bundle.info.classes, frozenset(seen or ()), config.slices)
    default = Path("evaluations") / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{bundle.info.name}"
    folder = config.out or default
    check_output_folder("out=", folder)
    scored = score_clip_set(bundle, clip_set, config.tta, config.device)
    metrics = {
        "format": FORMAT,
        "run": config.run,
        **describe_bundle(bundle),
        **training,
        **{"data_name": data.name, "split_name": None, "store_digest": clip_set.store.digest},
        "split": OTHER,
        "clips": {OTHER: len(clip_set.clips)},
        "left_out": asdict(left_out),
        "audit": _seen_line(None if seen is None else left_out.seen),
        "audit_verdict": None,
        "audit_not_compared": {},
        "training_known": seen is not None,
        "command": [config.run, *(word for word in overrides if not word.startswith("run="))],
        "tta": scored.results,
    }
    write_results(folder, metrics, scored)
    print_scores(metrics)
    print(one_line(f"report: {folder / run_folder.REPORT}"))
    return metrics


def _seen_line(seen: int | None) -> str:
    """Describes the overlap with the training clips. `seen` files were left out; None: there is no record."""
    if seen is None:
        return "it is not known whether the model was trained on some of these clips; if so, the scores are too high"
    return (
        f"files used in the training of the model: {seen}, left out. Not detected: copies in other files "
        "(genreclf audit --against finds them), and files used in the training of an initial model"
    )


def _check_task(config: EvaluateConfig, info: ModelInfo) -> None:
    """Raises GenreclfError for settings that do not work with the model's task."""
    if config.task not in (None, info.task):
        raise GenreclfError(f"task={config.task}: {config.run} is a model with task={info.task}; leave it out")
    if info.task == MULTILABEL and any(meaning_of(name) == "genre" for name in config.slices):
        fault = "with task=multilabel, the report has the scores of each genre"
        raise GenreclfError(f"slices=[genre]: {fault}; leave it out")


def _other_data(overrides: Sequence[str], info: ModelInfo) -> DataConfig:
    """Returns the data set of the command line, by default data=folder; pictures are read as in prediction."""
    words = [word for word in overrides if word.lstrip("+").startswith(("data=", "data.", "cache="))]
    keys = {word.lstrip("+").partition("=")[0] for word in words}
    defaults = {"data": "folder", "data.picture_seconds": str(info.picture_seconds), "task": info.task}
    words = [*(f"{key}={value}" for key, value in defaults.items() if key not in keys), *words]
    return build(DataConfig, compose("prepare", words)["data"], "data")


def _run_of(bundle: Path) -> Path | None:
    """Returns the run that a bundle is part of, or None."""
    run = bundle.parent
    return run if bundle.name == run_folder.BUNDLE and (run / run_folder.RECORD).is_file() else None


def _run_folder(name: str) -> Path:
    if name in run_folder.pretrained_names():
        remedy = f"give a labelled data set, data.path=DIR, or a run folder, such as ./{name}"
        raise GenreclfError(f"{name}: the data of a pretrained model are not available; {remedy}")
    run_folder.find_bundle(name)  # its errors explain why this is not a run
    if not _is_run(name):
        remedy = "give a labelled data set, data.path=DIR, or the folder of a run"
        raise GenreclfError(f"{name}: has no {run_folder.RECORD}, so no data of its run; {remedy}")
    return user_path(name)


def _training_data(run: Path, config: EvaluateConfig) -> SpectrogramDataModule:
    """Returns the data and split of the run. Raises GenreclfError if they differ from those in training."""
    trained, record = read_run(run, ("split", "view", "augment"), DIGESTS)
    trained["data"].update(config.data.by_key())
    if config.cache is not None:
        trained["data"]["cache"] = str(config.cache)
    try:
        datamodule = SpectrogramDataModule.from_config(trained)
    except GenreclfError as error:
        raise GenreclfError(f"{run / run_folder.CONFIG_YAML}: {error}") from error
    if config.data.path is not None:
        check_in_place(datamodule.data)  # nothing must be downloaded to a mistyped path
    check_slices(config.slices, datamodule.data.table)
    with columns_in_use(config.slices):
        datamodule.setup()
    check_data(run, trained, datamodule.summary(), record["data"], "training clips could be scored as test clips")
    split = config.clips
    if not datamodule.clips[split]:
        other = "val" if split == "test" else "test"
        elsewhere = "score it on another data set: data=folder data.path=DIR"
        remedy = f"try clips={other}" if datamodule.clips[other] else elsewhere
        raise GenreclfError(f"clips={split}: the split of {run} has no such clips; {remedy}")
    return datamodule


def _log(metrics: dict[str, Any]) -> None:
    """Logs the scores, the report and the card to the services that have logged the run."""
    run = Path(metrics["run"])
    config, record = read_run(run)
    known = record.get("loggers", {})
    group = {name: settings for name, settings in config.get("logger", {}).items() if name in known}
    with new_loggers(group, run) as loggers:
        loggers.scores(logged_scores(metrics))
        card, scores = (f"{run_folder.BUNDLE}/{name}" for name in (run_folder.CARD, run_folder.SCORES_JSON))
        loggers.files(f"{run_folder.EVALUATION}/{metrics['split']}", card, scores)


def _show(metrics: dict[str, Any]) -> None:
    print_scores(metrics)
    run = Path(metrics["run"])
    print(one_line(f"report: {run / run_folder.EVALUATION / metrics['split'] / run_folder.REPORT}"))
    print(one_line(f"model card: {run / run_folder.BUNDLE / run_folder.CARD}"))


main = partial(run_command, "evaluate", evaluate, extra_keys=_DATA_KEYS)

if __name__ == "__main__":
    sys.exit(main())

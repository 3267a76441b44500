"""Scores a run on its own clips, or any model on other labelled music: genreclf evaluate MODEL."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genreclf.config import build
from genreclf.data.columns import meaning_of
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.leaks import has_leak, leak_line, leaks, not_compared, shared_keys
from genreclf.data.sources import DataConfig
from genreclf.data.table import columns_in_use
from genreclf.errors import GenreclfError, reason
from genreclf.evaluation.card import main_scores, model_card
from genreclf.evaluation.clip_set import OTHER, ClipSet, clips_of_split, other_music
from genreclf.evaluation.logged_scores import logged_scores
from genreclf.evaluation.multilabel_plots import draw_multilabel_scores
from genreclf.evaluation.multilabel_scoring import score_multilabel_clips, unlabelled_genres
from genreclf.evaluation.plots import ClipView, draw_confusion, draw_per_class, draw_reliability
from genreclf.evaluation.predictions import Predictions, predict_clips, write_predictions
from genreclf.evaluation.report import report_page
from genreclf.evaluation.score_tables import print_scores
from genreclf.evaluation.scoring import score_clips, worst_mistakes
from genreclf.evaluation.slices import check_slices
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import Bundle, load_bundle
from genreclf.files import user_path, write_atomically
from genreclf.frontend.object_store import Location, absolute
from genreclf.hydra_command import compose, instantiate, run_command
from genreclf.inference import run_folder
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.predictor import Predictor
from genreclf.inference.task import MULTILABEL, TASKS
from genreclf.inference.tta import check_tta
from genreclf.text import one_line
from genreclf.training.loggers import Loggers
from genreclf.training.resume import check_data, read_run

FORMAT = 4  # of metrics.json
SPLITS = ("test", "val")
_DATA_KEYS = tuple(f"data.{field.name}" for field in fields(DataConfig))


@dataclass(frozen=True)
class MovedData:
    """Where the data of a training are now. None: where they were."""

    path: Location | None
    table: Path | None
    drop: Path | None

    def given(self) -> dict[str, str]:
        """The paths that are given, absolute, by key."""
        return {key: absolute(str(path)) for key, path in vars(self).items() if path is not None}


@dataclass(frozen=True)
class EvaluateConfig:
    """The keys of evaluate.yaml. Raises GenreclfError for unknown values."""

    run: str  # a run folder; for other music also a bundle, or a pretrained model's name
    clips: str  # test or val; other music is scored whole
    tta: str  # scored in addition to predictions without TTA
    slices: tuple[str, ...]  # columns of the table by whose values the scores are given, too; or genre
    device: str  # auto, cpu or cuda
    data: MovedData  # their content must be that of the training; other music has a DataConfig instead
    cache: Path | None  # for spectrograms; None: that of the training
    out: Path | None  # for other music: the folder of the results; None: evaluations/TIME-MODEL
    task: str | None = None  # None: that of the model, which has no other

    def __post_init__(self) -> None:
        check_tta(self.tta)
        if self.task not in (None, *TASKS):
            raise GenreclfError(f"task={self.task}: unknown; known: {', '.join(TASKS)}")
        if self.clips not in SPLITS:
            raise GenreclfError(f"clips={self.clips}: unknown; choose one of {', '.join(SPLITS)}")


def evaluate(config: dict[str, Any], overrides: list[str]) -> None:
    """Scores a run, or a model on other music; writes all files and prints the scores."""
    data, is_run = config["data"], _is_run(config["run"])
    moved = {field.name: data[field.name] for field in fields(MovedData)}
    unmoved = {**config, "slices": _names(config["slices"]), "data": dict.fromkeys(moved)}
    # A run's data.path is where its data have moved; a model without data of its own needs other music.
    if "name" in data or (not is_run and data["path"] is not None):
        score_other(build(EvaluateConfig, unmoved, ""), overrides)
        return
    for key in sorted(data.keys() - moved) if is_run else ():
        raise GenreclfError(f"data.{key}: the data of a run keep theirs; for other music, also give data=folder")
    metrics = score(build(EvaluateConfig, {**unmoved, "data": moved}, ""))
    _log(metrics)
    _show(metrics)


def _is_run(name: str) -> bool:
    return name not in run_folder.pretrained_names() and (user_path(name) / run_folder.RECORD).is_file()


def _names(given: Any) -> list[str]:
    """The names of a list; a single one, and what is no list to Hydra, may stand without brackets or in them."""
    names = given.strip("[] ").split(",") if isinstance(given, str) else given
    return [str(name).strip() for name in names if str(name).strip()] if isinstance(names, list) else given


def score(config: EvaluateConfig) -> dict[str, Any]:
    """Scores a run on clips of its data and writes all files; returns metrics.json's content. Raises GenreclfError."""
    if config.out is not None:
        raise GenreclfError(f"out={config.out}: the scores of a run are in its folder; leave it out")
    run, split = _run_folder(config.run), config.clips
    bundle = load_bundle(run / run_folder.BUNDLE)
    _check_task(config, bundle.info)
    datamodule = _training_data(run, config)
    music = clips_of_split(datamodule, split, config.slices)
    scored = _score(bundle, music, config)
    member = datamodule.membership
    rows = datamodule.store.rows
    shared = leaks(member.splits, shared_keys([rows[clip] for clip in member.clips], member.metadata), split)
    absent = not_compared(rows, dict(zip(member.clips, member.splits, strict=True)))
    metrics = {
        "format": FORMAT,
        "run": str(run),
        **describe_model(run, bundle),
        "split": split,
        "clips": {name: len(clips) for name, clips in datamodule.clips.items()},
        "audit": leak_line(shared, split, absent),
        "audit_leaks": has_leak({split: shared}),
        "audit_not_compared": {part: absent[part] for part in ("train", split)},
        "command": [
            config.run,
            f"clips={split}",
            f"tta={config.tta}",
            *([f"slices=[{','.join(config.slices)}]"] if config.slices else []),
            *(f"data.{key}={path}" for key, path in config.data.given().items()),
        ],
        "tta": scored.results,
    }
    folder = run / run_folder.EVALUATION / split
    try:
        _write(folder, metrics, scored)
        _write_card(run)
    except OSError as error:
        raise GenreclfError(
            f"{run}: cannot be written ({reason(error)}); free space, or change its permissions"
        ) from error
    return metrics


def score_other(config: EvaluateConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Scores a model on labelled music that need not be its training's, all of it; writes and prints the scores.

    `overrides` are as typed. Returns the content of metrics.json. Raises GenreclfError.
    """
    if config.clips != "test":
        raise GenreclfError(f"clips={config.clips}: other music has no splits: all of it is scored; leave it out")
    model = run_folder.find_bundle(config.run)
    bundle = load_bundle(model)
    _check_task(config, bundle.info)
    data = _other_data(overrides, bundle.info)
    run = _run_of(model)
    record = read_run(run)[1] if run else {}
    seen = record.get("data", {}).get("seen_files")
    music, left_out = other_music(data, bundle.info.classes, frozenset(seen or ()), config.slices)
    scored = _score(bundle, music, config)
    if seen is None:
        leak = "whether the model was trained with some of these clips is not known: then the scores are too high"
    else:
        leak = f"files that the training of the model saw: {left_out.seen}, left out; not noticed are copies in other "
        leak += "files (genreclf audit --against finds them), and files that the training of an initial model saw"
    metrics = {
        "format": FORMAT,
        "run": config.run,
        **describe_bundle(bundle),
        **(describe_training(run) if run else NO_TRAINING),
        **{"data_name": data.name, "split_name": None, "store_digest": music.store.digest},
        "split": OTHER,
        "clips": {OTHER: len(music.clips)},
        "left_out": asdict(left_out),
        "audit": leak,
        "audit_leaks": False,
        "audit_not_compared": {},
        "training_known": seen is not None,
        "command": [config.run, *(word for word in overrides if not word.startswith("run="))],
        "tta": scored.results,
    }
    folder = config.out or Path("evaluations") / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{bundle.info.name}"
    try:
        _write(folder, metrics, scored)
    except OSError as error:
        raise GenreclfError(f"out={folder}: cannot be written ({reason(error)}); choose another folder") from error
    print_scores(metrics)
    print(one_line(f"report: {folder / run_folder.REPORT}"))
    return metrics


def _check_task(config: EvaluateConfig, info: ModelInfo) -> None:
    """Refuses what a model of this task cannot be asked for."""
    if config.task not in (None, info.task):
        raise GenreclfError(f"task={config.task}: {config.run} is a model with task={info.task}; leave it out")
    if info.task == MULTILABEL and any(meaning_of(name) == "genre" for name in config.slices):
        raise GenreclfError(
            "slices=[genre]: with task=multilabel, the report has the scores of each genre; leave it out"
        )


def _other_data(overrides: Sequence[str], info: ModelInfo) -> DataConfig:
    """The data set that the command line describes, data=folder unless it says another; pictures as in prediction."""
    words = [word for word in overrides if word.lstrip("+").startswith(("data=", "data.", "cache="))]
    keys = {word.lstrip("+").partition("=")[0] for word in words}
    defaults = {"data": "folder", "data.picture_seconds": str(info.picture_seconds), "task": info.task}
    words = [*(f"{key}={value}" for key, value in defaults.items() if key not in keys), *words]
    return build(DataConfig, compose("prepare", words)["data"], "data")


def _run_of(bundle: Path) -> Path | None:
    """The run that a bundle is part of, if any."""
    run = bundle.parent
    return run if bundle.name == run_folder.BUNDLE and (run / run_folder.RECORD).is_file() else None


def _run_folder(name: str) -> Path:
    if name in run_folder.pretrained_names():
        remedy = f"give labelled music, data.path=DIR, or a run folder, such as ./{name}"
        raise GenreclfError(f"{name}: the data of a pretrained model are not known; {remedy}")
    run_folder.find_bundle(name)  # its errors say why this is no run
    if not _is_run(name):
        remedy = "give labelled music, data.path=DIR, or the folder of a run"
        raise GenreclfError(f"{name}: has no {run_folder.RECORD}, so no data of its run; {remedy}")
    return user_path(name)


def _training_data(run: Path, config: EvaluateConfig) -> SpectrogramDataModule:
    """The data and split of the run. Raises GenreclfError if they are not those of its training."""
    trained, record = read_run(run)
    trained["data"].update(config.data.given())
    if config.cache is not None:
        trained["data"]["cache"] = str(config.cache)
    try:
        datamodule = SpectrogramDataModule.from_config(trained)
    except GenreclfError as error:
        raise GenreclfError(f"{run / run_folder.CONFIG_YAML}: {error}") from error
    check_slices(config.slices, datamodule.data.table)
    with columns_in_use(config.slices):
        datamodule.setup()
    check_data(run, trained, datamodule.summary(), record["data"], "training clips could be scored as test clips")
    split = config.clips
    if not datamodule.clips[split]:
        other = "val" if split == "test" else "test"
        remedy = (
            f"try clips={other}" if datamodule.clips[other] else "score it on other music: data=folder data.path=DIR"
        )
        raise GenreclfError(f"clips={split}: the split of {run} has no such clips; {remedy}")
    return datamodule


@dataclass(frozen=True)
class Scored:
    """What the predictions for a set of clips give."""

    predictions: dict[str, Predictions]  # by TTA
    results: dict[str, Any]  # by TTA
    mistakes: list[ClipView]


def _score(bundle: Bundle, music: ClipSet, config: EvaluateConfig) -> Scored:
    """Predicts without TTA and with that of the configuration."""
    # Calibration needs the probabilities before the temperature too.
    model = TorchModel(replace(bundle, info=replace(bundle.info, temperature=1.0, known=None)), config.device)
    several = bundle.info.task == MULTILABEL
    scored_by, shown_by = (score_multilabel_clips, unlabelled_genres) if several else (score_clips, worst_mistakes)
    found, predictions, results = {}, {}, {}
    for tta in dict.fromkeys(("none", config.tta)):
        clips = (*music.clips, *music.none)
        found[tta] = predict_clips(Predictor(model, tta), music.store, clips, f"scoring, tta={tta}")
        predictions[tta], results[tta] = scored_by(found[tta], bundle.info, music)
    return Scored(predictions, results, shown_by(predictions["none"], found["none"], music))


def describe_model(run: Path, bundle: Bundle) -> dict[str, Any]:
    """The part of metrics.json that does not depend on the scored clips."""
    return {**describe_bundle(bundle), **describe_training(run)}


def describe_bundle(bundle: Bundle) -> dict[str, Any]:
    """The part of metrics.json that is about the model."""
    return {
        "model": bundle.info.name,
        "task": bundle.info.task,
        "classes": list(bundle.info.classes),
        "thresholds": bundle.info.thresholds,
        "parameters": sum(parameter.numel() for parameter in bundle.net.parameters()),
        "view": bundle.info.view.name,
        "temperature": bundle.info.temperature,
    }


# That of a model whose training left no record
NO_TRAINING = dict.fromkeys(("trained_with", "git_commit", "seed", "weights"))


def describe_training(run: Path) -> dict[str, Any]:
    """The part of metrics.json that is about the training."""
    config, record = read_run(run)
    return {
        # A resumed run equals an uninterrupted one, so ckpt=last is not needed to repeat it.
        "trained_with": [word for word in record["overrides"] if word != "ckpt=last"],
        "git_commit": record["git_commit"],
        "seed": record["seed"],
        "weights": record["weights"],
        "data_name": _data_name(config["data"]["name"]),
        "data_fetch": config["data"].get("fetch"),
        "data_subset": config["data"].get("subset"),
        "split_name": config["split"]["name"],
        "store_digest": record["data"]["store_digest"],
    }


def _data_name(name: str) -> str:
    """The name of a data set; of one in a folder (data=hub), the folder's, as cards are published."""
    return Path(name).name if Path(name).exists() else name


def _write(folder: Path, metrics: dict[str, Any], scored: Scored) -> None:
    """The report, the numbers, the predictions and the plots."""
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder / run_folder.PREDICTIONS, scored.predictions)
    write_atomically(folder / run_folder.METRICS, json.dumps(metrics, indent=1) + "\n")
    write_atomically(folder / run_folder.REPORT, report_page(metrics, _draw(metrics, scored, folder), scored.mistakes))


def _write_card(run: Path) -> None:
    """Model card and main scores, in the bundle of a run."""
    bundle, by_split = run / run_folder.BUNDLE, _all_metrics(run)
    write_atomically(bundle / run_folder.CARD, model_card(by_split))
    write_atomically(bundle / run_folder.SCORES_JSON, json.dumps(main_scores(by_split), indent=1) + "\n")


def _log(metrics: dict[str, Any]) -> None:
    """The scores, the report and the card, for the services that know the run."""
    run = Path(metrics["run"])
    config, record = read_run(run)
    known = record.get("loggers", {})
    made = {name: instantiate(config["logger"][name], f"logger.{name}") for name in known if name in config["logger"]}
    with Loggers(made, run) as loggers:
        loggers.scores(logged_scores(metrics))
        card, scores = (f"{run_folder.BUNDLE}/{name}" for name in (run_folder.CARD, run_folder.SCORES_JSON))
        loggers.files(f"{run_folder.EVALUATION}/{metrics['split']}", card, scores)


def _draw(metrics: dict[str, Any], scored: Scored, folder: Path) -> dict[str, bytes]:
    """Draws the plots to files; returns the files' bytes by name."""
    for tta, result in metrics["tta"].items():
        clip = result["clip"]
        part = f", {metrics['split']}" if metrics["split"] != OTHER else ""
        model = f"Model {metrics['model'].upper()}{part}"
        if metrics["task"] == MULTILABEL:
            draw_multilabel_scores(clip, scored.predictions[tta], f"{model}, {clip['n']} clips", folder, tta)
            continue
        title = f"{model}: {clip['accuracy']:.1%} of {clip['n']} clips"
        draw_confusion(np.array(clip["confusion"]), metrics["classes"], title, folder / f"confusion-{tta}.png")
        draw_per_class(clip["per_class"], title, folder / f"per-class-{tta}.png")
        draw_reliability(clip["calibration"], title, folder / f"reliability-{tta}.png")
    return {file.stem: file.read_bytes() for file in folder.glob("*.png")}


def _all_metrics(run: Path) -> dict[str, dict[str, Any]]:
    """The metrics of the splits that have been scored, test clips first."""
    found = {}
    for split in SPLITS:
        file = run / run_folder.EVALUATION / split / run_folder.METRICS
        metrics = json.loads(file.read_text()) if file.is_file() else {}
        if metrics.get("format") == FORMAT:
            found[split] = metrics
        elif metrics:
            note = f"{file}: from an earlier version, not in the model card; score clips={split} again"
            print(one_line(note), file=sys.stderr)
    return found


def _show(metrics: dict[str, Any]) -> None:
    print_scores(metrics)
    run = Path(metrics["run"])
    report = run / run_folder.EVALUATION / metrics["split"] / run_folder.REPORT
    card = run / run_folder.BUNDLE / run_folder.CARD
    for line in (f"report: {report}", f"model card: {card}"):
        print(one_line(line))


main = partial(run_command, "evaluate", evaluate, extra_keys=_DATA_KEYS)

if __name__ == "__main__":
    sys.exit(main())

"""Scores a finished run: genreclf evaluate RUN."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genreclf.config import build
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.leaks import has_leak, leak_line, leaks, not_compared, shared_keys
from genreclf.errors import GenreclfError
from genreclf.evaluation.calibration import calibration, calibration_error
from genreclf.evaluation.card import main_scores, model_card
from genreclf.evaluation.plots import ClipView, draw_confusion, draw_per_class, draw_reliability
from genreclf.evaluation.predictions import Predictions, predict_clips, stored_clip, write_predictions
from genreclf.evaluation.report import report_page
from genreclf.evaluation.scores import intervals, scores
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import Bundle, load_bundle
from genreclf.files import user_path, write_atomically
from genreclf.hydra_command import run_command
from genreclf.inference import run_folder
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.predictor import Prediction, Predictor, apply_temperature
from genreclf.inference.tta import check_tta
from genreclf.terminal import print_table
from genreclf.text import one_line
from genreclf.training.resume import check_data, read_run

FORMAT = 3  # of metrics.json
SPLITS = ("test", "val")
_SHOWN = ("accuracy", "95 %", "top 3", "macro-F1", "log-loss", "ECE")
MAX_MISTAKES = 12


@dataclass(frozen=True)
class MovedData:
    """Where the data of a training are now. None: where they were."""

    path: Path | None
    table: Path | None
    drop: Path | None

    def given(self) -> dict[str, str]:
        """The paths that are given, absolute, by key."""
        return {key: str(user_path(path).resolve()) for key, path in vars(self).items() if path is not None}


@dataclass(frozen=True)
class EvaluateConfig:
    """The keys of evaluate.yaml. Raises GenreclfError for unknown values."""

    run: str  # a run folder
    clips: str  # test or val
    tta: str  # scored in addition to predictions without TTA
    device: str  # auto, cpu or cuda
    data: MovedData  # their content must be that of the training
    cache: Path | None  # for their spectrograms; None: that of the training

    def __post_init__(self) -> None:
        check_tta(self.tta)
        if self.clips not in SPLITS:
            raise GenreclfError(f"clips={self.clips}: unknown; choose one of {', '.join(SPLITS)}")


def evaluate(config: dict[str, Any], _overrides: list[str]) -> None:
    """Scores a run, writes all files and prints the scores."""
    _show(score(build(EvaluateConfig, config, "")))


def score(config: EvaluateConfig) -> dict[str, Any]:
    """Scores a run and writes all files; returns the content of metrics.json. Raises GenreclfError."""
    run, split = _run_folder(config.run), config.clips
    bundle = load_bundle(run / run_folder.BUNDLE)
    datamodule = _training_data(run, config)
    # Calibration needs the probabilities before the temperature too.
    model = TorchModel(replace(bundle, info=replace(bundle.info, temperature=1.0)), config.device)
    found, predictions, results = {}, {}, {}
    for tta in dict.fromkeys(("none", config.tta)):
        predictor = Predictor(model, tta)
        found[tta] = predict_clips(predictor, datamodule.store, datamodule.clips[split], f"scoring, tta={tta}")
        predictions[tta], results[tta] = _score(found[tta], bundle.info, datamodule, split)
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
            *(f"data.{key}={path}" for key, path in config.data.given().items()),
        ],
        "tta": results,
    }
    mistakes = _worst_mistakes(predictions["none"], found["none"], datamodule, split)
    try:
        _write(run, metrics, predictions, mistakes)
    except OSError as error:
        raise GenreclfError(f"{run}: cannot be written ({error}); free space, or change its permissions") from error
    return metrics


def _run_folder(name: str) -> Path:
    if name in run_folder.pretrained_names():
        raise GenreclfError(f"{name}: a pretrained model has no data of its run; give a run folder, such as ./{name}")
    run_folder.find_bundle(name)  # its errors say why this is no run
    folder = user_path(name)
    if not (folder / run_folder.RECORD).is_file():
        raise GenreclfError(f"{name}: has no {run_folder.RECORD}; give the folder of a run, not only its bundle")
    return folder


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
    datamodule.setup()
    check_data(run, trained, datamodule.summary(), record["data"], "training clips could be scored as test clips")
    split = config.clips
    if not datamodule.clips[split]:
        other = "val" if split == "test" else "test"
        raise GenreclfError(f"clips={split}: the split of {run} has no such clips; try clips={other}")
    return datamodule


def _score(
    found: Sequence[Prediction], info: ModelInfo, datamodule: SpectrogramDataModule, split: str
) -> tuple[Predictions, dict[str, Any]]:
    """Calibrated predictions, and the scores of clips and, if clips have several, of segments."""
    clips = datamodule.clips[split]
    rows = [datamodule.store.rows[clip] for clip in clips]
    target = np.array([info.classes.index(row.label) for row in rows])
    uncalibrated = np.array([prediction.probabilities for prediction in found])
    calibrated = apply_temperature(uncalibrated, info.temperature)
    predictions = Predictions(
        classes=info.classes,
        paths=tuple(row.path for row in rows),
        digests=tuple(row.digest for row in rows),
        groups=tuple(datamodule.group_of[clip] for clip in clips),
        target=target,
        probabilities=calibrated,
    )
    before = scores(uncalibrated, target, info.classes)
    errors = {"log_loss": before["log_loss"], "brier": before["brier"], "ece": calibration_error(uncalibrated, target)}
    results = {"clip": {**clip_scores(predictions), "uncalibrated": errors}}
    counts = [len(prediction.segments) for prediction in found]
    if max(counts) > 1:
        segments = np.array([segment.probabilities for prediction in found for segment in prediction.segments])
        segments = apply_temperature(segments, info.temperature)
        results["segment"] = scores(segments, np.repeat(target, counts), info.classes)
    return predictions, results


def clip_scores(predictions: Predictions) -> dict[str, Any]:
    """Scores, intervals and calibration of a set of clips, as JSON-like data."""
    probabilities, target = predictions.probabilities, predictions.target
    return {
        **scores(probabilities, target, predictions.classes),
        "groups": len(set(predictions.groups)),
        "intervals": intervals(probabilities, target, predictions.groups),
        "calibration": calibration(probabilities, target),
    }


def describe_model(run: Path, bundle: Bundle) -> dict[str, Any]:
    """The part of metrics.json that does not depend on the scored clips."""
    config, record = read_run(run)
    return {
        "model": bundle.info.name,
        "classes": list(bundle.info.classes),
        # A resumed run equals an uninterrupted one, so ckpt=last is not needed to repeat it.
        "trained_with": [word for word in record["overrides"] if word != "ckpt=last"],
        "git_commit": record["git_commit"],
        "seed": record["seed"],
        "weights": record["weights"],
        "parameters": sum(parameter.numel() for parameter in bundle.net.parameters()),
        "view": bundle.info.view.name,
        "temperature": bundle.info.temperature,
        "data_name": config["data"]["name"],
        "split_name": config["split"]["name"],
        "store_digest": record["data"]["store_digest"],
    }


def _worst_mistakes(
    predictions: Predictions, found: Sequence[Prediction], datamodule: SpectrogramDataModule, split: str
) -> list[ClipView]:
    """The wrong predictions with the highest probability."""
    classes, probabilities = predictions.classes, predictions.probabilities
    wrong = np.flatnonzero(~predictions.correct)
    worst = wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")][:MAX_MISTAKES]
    return [
        ClipView(
            path=predictions.paths[index],
            true=classes[predictions.target[index]],
            predicted=classes[probabilities[index].argmax()],
            probabilities=tuple(probabilities[index].tolist()),
            levels=stored_clip(datamodule.store, datamodule.clips[split][index]).levels,
            seconds=found[index].seconds,
            attention=found[index].attention,
        )
        for index in worst
    ]


def _write(
    run: Path, metrics: dict[str, Any], predictions: dict[str, Predictions], mistakes: Sequence[ClipView]
) -> None:
    """The files in RUN/evaluation/SPLIT, and card and scores in the bundle."""
    folder = run / run_folder.EVALUATION / metrics["split"]
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder / run_folder.PREDICTIONS, predictions)
    write_atomically(folder / run_folder.METRICS, json.dumps(metrics, indent=1) + "\n")
    write_atomically(folder / run_folder.REPORT, report_page(metrics, _draw(metrics, folder), mistakes))
    bundle, by_split = run / run_folder.BUNDLE, _all_metrics(run)
    write_atomically(bundle / run_folder.CARD, model_card(by_split))
    write_atomically(bundle / run_folder.SCORES_JSON, json.dumps(main_scores(by_split), indent=1) + "\n")


def _draw(metrics: dict[str, Any], folder: Path) -> dict[str, bytes]:
    """Draws the plots to files; returns the files' bytes by name."""
    for tta, result in metrics["tta"].items():
        clip = result["clip"]
        title = f"Model {metrics['model'].upper()}, {metrics['split']}: {clip['accuracy']:.1%} of {clip['n']} clips"
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
    plain = metrics["tta"]["none"]["clip"]
    title = f"Model {metrics['model'].upper()}: {plain['n']} {metrics['split']} clips in {plain['groups']} groups"
    rows = [_cells(tta, level, found) for tta, result in metrics["tta"].items() for level, found in result.items()]
    print_table([("TTA", "text"), *((name, "number") for name in _SHOWN)], rows, title)
    run = Path(metrics["run"])
    report = run / run_folder.EVALUATION / metrics["split"] / run_folder.REPORT
    card = run / run_folder.BUNDLE / run_folder.CARD
    for line in (f"audit: {metrics['audit']}", f"report: {report}", f"model card: {card}"):
        print(one_line(line))


def _cells(tta: str, level: str, found: dict[str, Any]) -> list[str]:
    """The row for the scores of clips or of segments."""
    name, interval, error = f"{tta}, segments", "", ""
    if level == "clip":
        low, high = found["intervals"]["accuracy"]["shown"]
        name, interval, error = tta, f"{low * 100:.0f}-{high * 100:.0f} %", f"{found['calibration']['ece']:.1%}"
    rest = (f"{found['top3_accuracy']:.1%}", f"{found['macro_f1']:.3f}", f"{found['log_loss']:.3f}")
    return [name, f"{found['accuracy']:.1%}", interval, *rest, error]


main = partial(run_command, "evaluate", evaluate)

if __name__ == "__main__":
    sys.exit(main())

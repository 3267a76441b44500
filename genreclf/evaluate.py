"""Scores a finished run: python -m genreclf.evaluate run=RUN."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader

from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.leaks import Leaks, has_leak, leak_line, leaks, shared_keys
from genreclf.data.store import open_store, prepared_store
from genreclf.errors import GenreclfError
from genreclf.evaluation.calibration import apply_temperature, calibration, calibration_error
from genreclf.evaluation.card import model_card
from genreclf.evaluation.inference import predict_segments
from genreclf.evaluation.plots import ClipView, draw_confusion, draw_per_class, draw_reliability
from genreclf.evaluation.predictions import FILE, Predictions, write_predictions
from genreclf.evaluation.report import range_of, report_page
from genreclf.evaluation.scores import intervals, scores
from genreclf.frontend.clip import Clip
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.hydra_command import run_command
from genreclf.inference.predictor import Predictor
from genreclf.inference.run_folder import CARD, find_bundle
from genreclf.inference.tta import TTA
from genreclf.nets.bundle import Bundle, load_bundle
from genreclf.nets.device import pick_device
from genreclf.nets.torch_model import torch_predictor
from genreclf.progress import progress_bar
from genreclf.train import data_from
from genreclf.training.clips import mean_by_clip
from genreclf.training.record import CONFIG, RECORD

METRICS, PAGE = "metrics.json", "report.html"
MISTAKES_SHOWN = 12


def evaluate(config: dict[str, Any], overrides: list[str]) -> None:
    """Scores the bundle of `run` on one split of the run's data, plain and with TTA, writes and shows what came out."""
    _show(score(config, overrides), Path(str(config["run"])).expanduser())


def score(config: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """The same without a word: writes all files, and returns what metrics.json holds."""
    if config["tta"] not in TTA:
        raise GenreclfError(f"tta={config['tta']!r}: unknown; known: {', '.join(TTA)}")
    if config["clips"] not in ("test", "val"):
        raise GenreclfError(f"clips={config['clips']!r}: unknown; known: test, val")
    run, split = Path(str(config["run"])).expanduser(), config["clips"]
    bundle = load_bundle(find_bundle(run))
    datamodule = _data_of(run, bundle, split)
    folder = run / "evaluation" / split
    folder.mkdir(parents=True, exist_ok=True)

    net = bundle.net.to(pick_device(config["device"]))
    results, answers = {}, {}
    for tta in dict.fromkeys(("none", config["tta"])):
        loader = datamodule.loader(datamodule.dataset(split), batch_size=config["batch_size"])
        segments = predict_segments(net, _shown(loader, f"tta={tta}"), tta, next(net.buffers()).device)
        answers[tta], results[tta] = _score(segments, bundle, datamodule)
    write_predictions(folder / FILE, answers)
    metrics = {**facts_of(run, bundle), **_context(run, split, overrides, datamodule), "tta": results}
    (folder / METRICS).write_text(json.dumps(metrics, indent=1) + "\n")
    pictures = _draw(results, bundle, split, folder)
    mistakes = _worst(answers["none"], torch_predictor(bundle, "none", config["device"]), datamodule)
    (folder / PAGE).write_text(report_page(metrics, pictures, mistakes), encoding="utf-8")
    (find_bundle(run) / CARD).write_text(model_card(_all_metrics(run)), encoding="utf-8")
    return metrics


def facts_of(run: Path, bundle: Bundle) -> dict[str, Any]:
    """What is known of the model, whatever it is scored on."""
    record, config = json.loads((run / RECORD).read_text()), yaml.safe_load((run / CONFIG).read_text())
    return {
        "run": str(run),
        "model": bundle.name,
        "classes": list(bundle.classes),
        # A resumed run ends as an unbroken one: it is repeated from its start.
        "trained_with": [word for word in record["overrides"] if word != "ckpt=last"],
        "git_commit": record["git_commit"],
        "seed": record["seed"],
        "weights": record["weights"],
        "parameters": sum(parameter.numel() for parameter in bundle.net.parameters()),
        "view": bundle.view.name,
        "temperature": bundle.temperature,
        "data_name": config["data"]["name"],
        "split_name": config["split"]["name"],
        "store_digest": record["data"]["store_digest"],
    }


def _context(run: Path, split: str, overrides: list[str], datamodule: SpectrogramDataModule) -> dict[str, Any]:
    """What was scored, and what it shares with training."""
    found = _leaks(datamodule, split)
    return {
        "split": split,
        "clips": {name: len(clips) for name, clips in datamodule.clips.items()},
        "command": overrides,
        "audit": leak_line(found, split),
        "audit_leaks": has_leak({split: found}),
    }


def _all_metrics(run: Path) -> dict[str, dict[str, Any]]:
    """By split, those that were scored so far."""
    files = {split: run / "evaluation" / split / METRICS for split in ("test", "val")}
    return {split: json.loads(file.read_text()) for split, file in files.items() if file.is_file()}


def _leaks(datamodule: SpectrogramDataModule, split: str) -> Leaks:
    """What the scored clips share with training."""
    member = datamodule.membership
    keys = shared_keys([datamodule.store.rows[clip].group for clip in member.clips], member.facts)
    return leaks(member.splits, keys, split)


def _data_of(run: Path, bundle: Bundle, split: str) -> SpectrogramDataModule:
    """The run's data, cut as the bundle wants it; refuses data that are not those of the training."""
    try:
        trained = yaml.safe_load((run / CONFIG).read_text())
        record = json.loads((run / RECORD).read_text())
    except OSError as error:
        raise GenreclfError(f"run={run}: {error.filename} is missing; give the folder of a whole run") from error
    datamodule = data_from(trained)
    datamodule.view = bundle.view
    if open_store(prepared_store(datamodule.data)).digest != record["data"]["store_digest"]:
        raise GenreclfError(
            f"run={run}: the files in {trained['data']['path']} are not those of the training; restore them, "
            "for with other files a training clip could be scored as a test clip"
        )
    datamodule.setup()
    if datamodule.summary()["split_digest"] != record["data"]["split_digest"]:
        raise GenreclfError(
            f"run={run}: the split is not that of the training; restore {trained['data']['table'] or 'its settings'}, "
            "for a training clip could be scored as a test clip"
        )
    if not datamodule.clips[split]:
        raise GenreclfError(f"clips={split}: none of them is in {trained['data']['path']}; try clips=val")
    return datamodule


def _shown(loader: DataLoader, what: str):
    with progress_bar(f"scoring, {what}", "batches") as report:
        for done, batch in enumerate(loader, 1):
            yield batch
            report(done, len(loader))


def _score(
    segments: tuple[Tensor, Tensor, Tensor], bundle: Bundle, datamodule: SpectrogramDataModule
) -> tuple[Predictions, dict[str, Any]]:
    """The clips' calibrated answers, and scores of clips, and of segments where clips have several."""
    mean, target, numbers = mean_by_clip(*segments)
    calibrated = apply_temperature(mean, bundle.temperature)
    clips = numbers.tolist()
    rows, groups = [datamodule.store.rows[clip] for clip in clips], [datamodule.group_of[clip] for clip in clips]
    paths, digests = zip(*((row.path, row.digest) for row in rows), strict=True)
    own = Predictions(bundle.classes, paths, digests, tuple(groups), target.numpy(), calibrated.numpy())
    before = scores(mean.numpy(), own.target, bundle.classes)
    uncalibrated = {key: before[key] for key in ("log_loss", "brier")}
    clip_scores = {
        **clip_scores_of(own),
        "uncalibrated": {**uncalibrated, "ece": calibration_error(mean.numpy(), own.target)},
    }
    if len(segments[0]) == len(clips):
        return own, {"clip": clip_scores}
    each = apply_temperature(segments[0], bundle.temperature).numpy()
    return own, {"clip": clip_scores, "segment": scores(each, segments[1].numpy(), bundle.classes)}


def clip_scores_of(own: Predictions) -> dict[str, Any]:
    """All that is told of a set of clips' answers: scores, intervals, calibration."""
    return {
        **scores(own.probabilities, own.target, own.classes),
        "groups": len(set(own.groups)),
        "intervals": intervals(own.probabilities, own.target, own.groups),
        "calibration": calibration(own.probabilities, own.target),
    }


def _draw(results: dict[str, Any], bundle: Bundle, split: str, folder: Path) -> dict[str, bytes]:
    """The pictures, as files and by name."""
    for tta, result in results.items():
        own = result["clip"]
        title = f"Model {bundle.name.upper()}, {split}: {own['accuracy']:.1%} of {own['n']} clips"
        draw_confusion(np.array(own["confusion"]), bundle.classes, title, folder / f"confusion-{tta}.png")
        draw_per_class(own["per_class"], title, folder / f"per-class-{tta}.png")
        draw_reliability(own["calibration"], title, folder / f"reliability-{tta}.png")
    names = [f"{picture}-{tta}" for tta in results for picture in ("confusion", "per-class", "reliability")]
    return {name: (folder / f"{name}.png").read_bytes() for name in names}


def _worst(answers: Predictions, predictor: Predictor, datamodule: SpectrogramDataModule) -> list[ClipView]:
    """The mistakes that were made with most confidence, with what the net saw and heeded."""
    confidence, answer = answers.probabilities.max(1), answers.probabilities.argmax(1)
    wrong = np.flatnonzero(answer != answers.target)
    clip_of = {row.path: clip for clip, row in enumerate(datamodule.store.rows)}
    shown = []
    for number in wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES_SHOWN]:
        path, true = answers.paths[number], answers.classes[answers.target[number]]
        clip = clip_of[path]
        levels, frames = datamodule.store.spectrogram(clip).copy(), datamodule.store.rows[clip].frames
        seconds = frames / FRAME_RATE_HZ
        attention = predictor.predict_with_attention(Clip(levels, frames, 0, seconds, ""))[1]
        shares = tuple(answers.probabilities[number].tolist())
        shown.append(ClipView(path, true, answers.classes[answer[number]], shares, levels, seconds, attention))
    return shown


def _show(metrics: dict[str, Any], run: Path) -> None:
    results, split = metrics["tta"], metrics["split"]
    own = results["none"]["clip"]
    table = Table(title=f"Model {metrics['model'].upper()}: {own['n']} {split} clips in {own['groups']} groups")
    for heading in ("answers", "accuracy", "95 %", "top 3", "macro-F1", "log-loss", "ECE"):
        table.add_column(heading, justify="left" if heading == "answers" else "right", no_wrap=True)
    for tta, result in results.items():
        for level, s in result.items():
            name = {"none": "plain"}.get(tta, f"TTA {tta}") + (", segments" if level == "segment" else "")
            figures = (f"{s['top3_accuracy']:.1%}", f"{s['macro_f1']:.3f}", f"{s['log_loss']:.3f}")
            error = f"{s['calibration']['ece']:.1%}" if level == "clip" else ""
            table.add_row(name, f"{s['accuracy']:.1%}", _range(s), *figures, error)
    console = Console()
    console.print(table)
    page, card = run / "evaluation" / split / PAGE, find_bundle(run) / CARD
    console.print(f"audit: {metrics['audit']}", soft_wrap=True, highlight=False)
    console.print(f"report: {page}\nmodel card: {card}", soft_wrap=True, highlight=False)


def _range(scored: dict[str, Any]) -> str:
    interval = range_of(scored["intervals"]["accuracy"]) if "intervals" in scored else None
    return f"{100 * interval[0]:.0f}-{100 * interval[1]:.0f} %" if interval else ""


def main() -> None:
    """The command line."""
    run_command("evaluate", evaluate)


if __name__ == "__main__":
    main()

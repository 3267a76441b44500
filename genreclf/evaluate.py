"""Scores a finished run: python -m genreclf.evaluate run=RUN."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from genreclf.commands import run_command
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.leaks import leak_line, leaks, shared_keys
from genreclf.data.store import open_store, prepared_store
from genreclf.errors import GenreclfError
from genreclf.evaluation.inference import predict_segments
from genreclf.evaluation.pictures import draw_confusion, draw_per_class
from genreclf.evaluation.scores import scores
from genreclf.evaluation.tta import TTA
from genreclf.progress import progress_bar
from genreclf.serving.bundle import Bundle, find_bundle, load_bundle
from genreclf.serving.device import pick_device
from genreclf.train import data_from
from genreclf.training.clips import mean_by_clip


def evaluate(config: dict[str, Any], overrides: list[str]) -> None:
    """Scores the bundle of `run` on one split of the run's data, plain and with TTA, and writes what came out."""
    if config["tta"] not in TTA:
        raise GenreclfError(f"tta={config['tta']!r}: unknown; known: {', '.join(TTA)}")
    if config["clips"] not in ("test", "val"):
        raise GenreclfError(f"clips={config['clips']!r}: unknown; known: test, val")
    run, split = Path(config["run"]).expanduser(), config["clips"]
    bundle = load_bundle(find_bundle(run))
    datamodule = _data_of(run, bundle, split)
    folder = run / "evaluation" / split
    folder.mkdir(parents=True, exist_ok=True)

    net = bundle.net.to(pick_device(config["device"]))
    results = {}
    for tta in dict.fromkeys(("none", config["tta"])):
        loader = datamodule.loader(datamodule.dataset(split), batch_size=config["batch_size"])
        segments = predict_segments(net, _shown(loader, f"tta={tta}"), tta, next(net.parameters()).device)
        results[tta] = _score(segments, bundle)
        _write_predictions(folder / f"predictions-{tta}.csv", segments, bundle, datamodule)
    facts = {"run": str(run), "split": split, "store_digest": datamodule.store.digest, "command": overrides}
    (folder / "metrics.json").write_text(json.dumps({**facts, "tta": results}, indent=1) + "\n")
    for tta, result in results.items():
        title = f"Model {bundle.name.upper()}, {split}: {result['clip']['accuracy']:.1%} of {result['clip']['n']} clips"
        draw_confusion(np.array(result["clip"]["confusion"]), bundle.classes, title, folder / f"confusion-{tta}.png")
        draw_per_class(result["clip"]["per_class"], title, folder / f"per-class-{tta}.png")
    _show(results, bundle, split, _audit_line(datamodule, split), folder)


def _audit_line(datamodule: SpectrogramDataModule, split: str) -> str:
    """What the scored clips share with training."""
    member = datamodule.membership
    keys = shared_keys([datamodule.store.rows[clip].group for clip in member.clips], member.facts)
    return leak_line(leaks(member.splits, keys, split), split)


def _data_of(run: Path, bundle: Bundle, split: str) -> SpectrogramDataModule:
    """The run's data, cut as the bundle wants it; refuses data that are not those of the training."""
    try:
        trained = yaml.safe_load((run / "config.yaml").read_text())
        record = json.loads((run / "record.json").read_text())
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


def _score(segments: tuple, bundle: Bundle) -> dict[str, Any]:
    """Scores of clips, and of segments where clips have several."""
    probabilities, target, clip = segments
    clip_probabilities, clip_target, numbers = mean_by_clip(probabilities, target, clip)
    result = {"clip": scores(clip_probabilities.numpy(), clip_target.numpy(), bundle.classes)}
    if len(clip) > len(numbers):
        result["segment"] = scores(probabilities.numpy(), target.numpy(), bundle.classes)
    return result


def _write_predictions(path: Path, segments: tuple, bundle: Bundle, datamodule: SpectrogramDataModule) -> None:
    """A row a clip: path, true and predicted class, and the probability of each class."""
    probabilities, target, numbers = mean_by_clip(*segments)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "true", "predicted", *bundle.classes])
        for row, truth, clip in zip(probabilities.numpy(), target.tolist(), numbers.tolist(), strict=True):
            clip_path = datamodule.store.rows[clip].path
            predicted = bundle.classes[row.argmax()]
            writer.writerow([clip_path, bundle.classes[truth], predicted, *(f"{p:.6f}" for p in row)])


def _show(results: dict[str, Any], bundle: Bundle, split: str, audit_line: str, folder: Path) -> None:
    table = Table(title=f"Model {bundle.name.upper()}, {split}")
    for heading in ("TTA", "level", "n", "accuracy", "top 3", "macro-F1", "log-loss"):
        table.add_column(heading, justify="left" if heading in ("TTA", "level") else "right")
    for tta, result in results.items():
        for level, s in result.items():
            shares = (f"{s[key]:.1%}" for key in ("accuracy", "top3_accuracy"))
            table.add_row(tta, level, str(s["n"]), *shares, f"{s['macro_f1']:.3f}", f"{s['log_loss']:.3f}")
    console = Console()
    console.print(table)
    console.print(f"audit: {audit_line}", soft_wrap=True, highlight=False)
    console.print(f"tables and pictures: {folder}", soft_wrap=True)


def main() -> None:
    """The command line."""
    run_command("evaluate", evaluate)


if __name__ == "__main__":
    main()

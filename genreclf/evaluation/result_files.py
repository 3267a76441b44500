"""Writes the files of an evaluation: metrics, predictions, plots, the report, and the card of a run's bundle."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from genreclf.errors import reason
from genreclf.evaluation.card import main_scores, model_card
from genreclf.evaluation.clip_set import OTHER
from genreclf.evaluation.multilabel_plots import draw_multilabel_scores
from genreclf.evaluation.plots import draw_confusion, draw_per_class, draw_reliability
from genreclf.evaluation.predictions import write_predictions
from genreclf.evaluation.report import report_page
from genreclf.evaluation.scoring import Scored
from genreclf.files import write_atomically
from genreclf.inference import run_folder
from genreclf.inference.task import MULTILABEL
from genreclf.text import one_line

FORMAT = 5  # of metrics.json
SCORED_SPLITS = ("test", "val")  # the card's main scores come from the first of these that was scored


def write_results(folder: Path, metrics: dict[str, Any], scored: Scored) -> None:
    """Writes the report, the metrics, the predictions and the plots."""
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder / run_folder.PREDICTIONS, scored.predictions)
    write_atomically(folder / run_folder.METRICS, json.dumps(metrics, indent=1) + "\n")
    write_atomically(folder / run_folder.REPORT, report_page(metrics, _draw(metrics, scored, folder), scored.mistakes))


def write_card(run: Path, metrics: dict[str, Any]) -> None:
    """Writes the model card and the main scores into the bundle of a run whose latest scores are `metrics`."""
    bundle, latest = run / run_folder.BUNDLE, metrics["split"]
    found = {split: metrics if split == latest else _earlier_metrics(run, split) for split in SCORED_SPLITS}
    by_split = {split: one for split, one in found.items() if one}
    write_atomically(bundle / run_folder.CARD, model_card(by_split))
    write_atomically(bundle / run_folder.SCORES_JSON, json.dumps(main_scores(by_split), indent=1) + "\n")


def _draw(metrics: dict[str, Any], scored: Scored, folder: Path) -> dict[str, bytes]:
    """Draws the plots to files and returns the files' bytes by name."""
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


def _earlier_metrics(run: Path, split: str) -> dict[str, Any]:
    """Returns the metrics of a split that was scored; empty if it was not, or if they do not make a card."""
    file = run / run_folder.EVALUATION / split / run_folder.METRICS
    if not file.is_file():
        return {}
    try:
        metrics: dict[str, Any] = json.loads(file.read_text())
        if metrics["format"] != FORMAT:
            raise ValueError("from an earlier version")
        model_card({split: metrics})
        return metrics
    except Exception as error:  # of many classes, if the file was edited
        note = f"{file}: not in the model card ({reason(error)}); score clips={split} again"
        print(one_line(note), file=sys.stderr)
        return {}

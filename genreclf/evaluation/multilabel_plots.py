"""Plots multi-label scores; each function draws numbers to a PNG file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from sklearn.metrics import precision_recall_curve

from genreclf.evaluation.plots import OF_PAIRS, draw_reliability, genre_bars, lines, title_lines
from genreclf.evaluation.predictions import Predictions
from genreclf.plot_text import new_plot

MAX_CURVES = 10  # more cannot be distinguished


def draw_multilabel_scores(clip: dict[str, Any], predictions: Predictions, title: str, folder: Path, tta: str) -> None:
    """Draws the result of `multilabel_clip_scores` to files in `folder`."""
    draw_average_precisions(clip["per_class"], clip["n"], title, folder / f"average-precision-{tta}.png")
    draw_precision_recall(predictions, title, folder / f"precision-recall-{tta}.png")
    draw_reliability(clip["calibration"], title, folder / f"reliability-{tta}.png", OF_PAIRS)


def draw_average_precisions(table: Sequence[dict[str, Any]], clips: int, title: str, path: Path) -> None:
    """Draws the rows of `per_class` in the scores as bars of average precision with intervals, the highest on top.

    A mark shows the share of clips with the genre, which is the average precision of guessing.
    """
    scored = [row for row in table if row["average_precision"] is not None]
    rows = sorted(scored, key=lambda row: -row["average_precision"])
    with genre_bars(rows, "average_precision", "average precision", title, path) as (axes, heights):
        for row, height in zip(rows, heights, strict=True):
            if row["average_precision_interval"]:
                axes.plot(row["average_precision_interval"], [height, height], color="#0072b2", lw=2)
        guessed = [row["support"] / clips for row in rows]
        axes.plot(guessed, heights, "|", color="#d55e00", markersize=9, mew=2, label="guessing")


def draw_precision_recall(predictions: Predictions, title: str, path: Path) -> None:
    """Draws precision against recall for the most frequent genres, with a point at each genre's threshold."""
    target, counts = predictions.target, predictions.target.sum(0)
    frequent = [number for number in np.argsort(-counts, kind="stable")[:MAX_CURVES] if counts[number]]
    with new_plot(path, 7.5, 5) as figure:
        axes = figure.subplots()
        hits = (predictions.predicted & target).sum(0)
        colours = colormaps["turbo"](np.linspace(0.05, 0.95, len(frequent)))
        for number, colour in zip(frequent, colours, strict=True):
            precision, recall, _ = precision_recall_curve(target[:, number], predictions.probabilities[:, number])
            (name,) = lines([predictions.classes[number]])
            # matplotlib leaves labels that begin with an underscore out of the legend
            axes.step(recall, precision, where="post", color=colour, label=f" {name}")
            found = predictions.predicted[:, number].sum()
            if found:
                axes.plot(hits[number] / counts[number], hits[number] / found, "o", color=colour)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.grid(alpha=0.3)
        figure.suptitle(title_lines(title, 7.5))
        figure.legend(frameon=False, loc="outside right upper", fontsize=9)

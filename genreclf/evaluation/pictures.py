"""Plots, each a function from figures to a PNG file."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure


def draw_curves(metrics: Path, path: Path) -> dict[str, float]:
    """Loss and accuracy over the epochs of a run's metrics.csv -> a picture; returns the highest and last accuracy.

    Both are of validation clips, and NaN where no epoch was validated.
    """
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part, colour in (("train", "#0072b2"), ("val", "#d55e00")):
            epochs, values = _curve(rows, f"{part}/{name}")
            marker = "." if len(values) < len(rows) else None
            axes.plot(
                epochs, values, color=colour, marker=marker, label={"train": "training", "val": "validation"}[part]
            )
        axes.set(xlabel="epoch", ylabel=name)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    accuracy = _curve(rows, "val/accuracy")[1] or [float("nan")]
    return {"highest": max(accuracy), "last": accuracy[-1]}


def _curve(rows: list[dict[str, str]], name: str) -> tuple[list[int], list[float]]:
    measured = [row for row in rows if row[name]]
    return [int(row["epoch"]) for row in measured], [float(row[name]) for row in measured]


def draw_confusion(confusion: np.ndarray, classes: Sequence[str], title: str, path: Path) -> None:
    """(classes, classes) counts, true class by row -> a picture: colour is the share of the row, text the count."""
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    size = 2.6 + 0.5 * len(classes)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(confusion):
        colour = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, str(confusion[row, column]), ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    figure.savefig(path, dpi=120)


def draw_per_class(table: Sequence[dict[str, Any]], title: str, path: Path) -> None:
    """The rows of `scores.per_class` -> bars of F1, with precision and recall as marks."""
    figure = Figure(figsize=(8, 0.6 + 0.38 * len(table)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(table))[::-1]  # the first class on top
    axes.barh(places, [row["f1"] for row in table], color="#9ecae1", label="F1")
    axes.plot([row["precision"] for row in table], places, "o", color="#0072b2", label="precision")
    axes.plot([row["recall"] for row in table], places, "D", color="#d55e00", label="recall")
    axes.set_yticks(places, [f"{row['class']} ({row['support']})" for row in table])
    axes.set(xlim=(0, 1.02), title=title)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=120)

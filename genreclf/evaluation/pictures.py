"""Plots, each a function from figures to a PNG file."""

import csv
from pathlib import Path

from matplotlib.figure import Figure


def draw_curves(metrics: Path, path: Path) -> dict[str, float]:
    """Loss and accuracy over the epochs of a run's metrics.csv -> a picture; returns the highest and last accuracy."""
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part, colour in (("train", "#0072b2"), ("val", "#d55e00")):
            epochs, values = _curve(rows, f"{part}/{name}")
            axes.plot(epochs, values, color=colour, label={"train": "training", "val": "validation"}[part])
        axes.set(xlabel="epoch", ylabel=name)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    accuracy = _curve(rows, "val/accuracy")[1]
    return {"highest": max(accuracy), "last": accuracy[-1]}


def _curve(rows: list[dict[str, str]], name: str) -> tuple[list[int], list[float]]:
    # A resumed run repeats the epoch that it was broken off in: the later row counts.
    values = {int(row["epoch"]) + 1: float(row[name]) for row in rows if row.get(name)}
    return list(values), list(values.values())

"""Plots; each function draws numbers to a PNG file."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from genreclf.frontend.log_mel import N_BANDS, band_of
from genreclf.plot_text import drawable, new_plot

OF_CLIPS = ("accuracy", "probability of the predicted genre", "clips")
OF_PAIRS = ("true share", "probability of a genre", "pairs")  # of a clip and a genre
_HERTZ = (100, 500, 1_000, 2_000, 5_000, 10_000)
_SHORT, _LABEL_WIDTH = 24, 60  # characters: the longest name shown on both axes; the line width of longer names
_LINE_INCHES, _CHARACTER_INCHES = 0.17, 0.08


def draw_curves(rows: Sequence[dict[str, str]], path: Path, score: str = "accuracy") -> dict[str, float]:
    """Draws loss and score per epoch from the rows of a run. The score need not be measured on training clips.

    Returns the highest and the last validation score, or NaN if no epoch was validated.
    """
    with new_plot(path, 9, 3.6) as figure:
        for axes, name in zip(figure.subplots(1, 2), ("loss", score), strict=True):
            for part, label, colour in (("train", "training", "#0072b2"), ("val", "validation", "#d55e00")):
                epochs, values = _curve(rows, f"{part}/{name}")
                marker = "." if len(values) < len(rows) else None
                if values:
                    axes.plot(epochs, values, color=colour, marker=marker, label=label)
            axes.set(xlabel="epoch", ylabel=name.replace("_", " "))
            axes.grid(alpha=0.3)
            if axes.lines:
                axes.legend(frameon=False)
    scores = _curve(rows, f"val/{score}")[1] or [float("nan")]
    return {"highest": max(scores), "last": scores[-1]}


def _curve(rows: Sequence[dict[str, str]], name: str) -> tuple[list[int], list[float]]:
    """Returns epochs and values, without the epochs where the column is empty."""
    measured = [row for row in rows if row.get(name)]
    return [int(row["epoch"]) for row in measured], [float(row[name]) for row in measured]


def draw_confusion(confusion: np.ndarray, classes: Sequence[str], title: str, path: Path) -> None:
    """Draws (classes, classes) counts, true class by row. Colours are shares of a row; the text shows counts.

    Long names appear only at the rows, with the numbers of their columns.
    """
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    names = [drawable(name) for name in classes]
    short = max(map(len, names)) <= _SHORT
    rows = names if short else lines([f"{number}. {name}" for number, name in enumerate(classes, 1)])
    columns = names if short else [str(number) for number in range(1, len(names) + 1)]
    room = 2.0 + longest(rows) * _CHARACTER_INCHES
    width, height = room + 0.42 * len(rows), (room if short else 2.0) + row_inches(rows, 0.42) * len(rows)
    with new_plot(path, width, height) as figure:
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal" if short else "auto")
        for row, column in np.argwhere(confusion):
            colour = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, str(confusion[row, column]), ha="center", va="center", color=colour, fontsize=9)
        tilt: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if short else {}
        axes.set_xticks(range(len(columns)), columns, **tilt)
        axes.set_yticks(range(len(rows)), rows)
        axes.set(xlabel="predicted", ylabel="true")
        figure.suptitle(title_lines(title, width))


def draw_per_class(table: Sequence[dict[str, Any]], title: str, path: Path) -> None:
    """Draws the rows of `per_class` in the scores as bars of F1, with precision and recall as marks."""
    with genre_bars(table, "f1", "F1", title, path) as (axes, heights):
        axes.plot([row["precision"] for row in table], heights, "o", color="#0072b2", label="precision")
        axes.plot([row["recall"] for row in table], heights, "D", color="#d55e00", label="recall")


@contextmanager
def genre_bars(
    rows: Sequence[dict[str, Any]], key: str, label: str, title: str, path: Path
) -> Iterator[tuple[Axes, np.ndarray]]:
    """Draws a bar for each row of `per_class`, the first on top. Yields the axes and the heights of the bars."""
    names = lines([f"{row['class']} ({row['support']})" for row in rows])
    width = 7 + max(0, longest(names) - _SHORT) * _CHARACTER_INCHES
    with new_plot(path, width, 1.3 + row_inches(names, 0.32) * len(rows)) as figure:
        axes = figure.subplots()
        heights = np.arange(len(rows))[::-1]
        axes.barh(heights, [row[key] for row in rows], color="#9ecae1", label=label)
        axes.set_yticks(heights, names)
        axes.set(xlim=(0, 1.02), ylim=(-0.6, len(rows) - 0.4))
        axes.grid(axis="x", alpha=0.3)
        figure.suptitle(title_lines(title, width))
        yield axes, heights
        figure.legend(frameon=False, loc="outside lower center", ncols=3)


def lines(names: Sequence[str]) -> list[str]:
    """Wraps the names of rows."""
    return [drawable(name, _LABEL_WIDTH) for name in names]


def longest(labels: Sequence[str]) -> int:
    """Returns the number of characters in the longest line."""
    return max((len(line) for label in labels for line in label.split("\n")), default=0)


def row_inches(labels: Sequence[str], least: float) -> float:
    """Returns a row height that has room for the label with the most lines."""
    return max(least, _LINE_INCHES * (1 + max((label.count("\n") + 1 for label in labels), default=0)) - 0.1)


def title_lines(text: str, width: float) -> str:
    """Wraps a title to fit a figure of the given width in inches."""
    return drawable(text, int(width * 9))


def draw_reliability(
    calibration: dict[str, Any], title: str, path: Path, words: tuple[str, str, str] = OF_CLIPS
) -> None:
    """Draws the result of `calibration.calibration` as a reliability diagram, above the number of clips in each bin.

    `words` label the vertical axis, the horizontal axis, and the counts.
    """
    bins, (share, probability, counted) = calibration["bins"], words
    centres = [(one["low"] + one["high"]) / 2 for one in bins]
    widths = [0.94 * (one["high"] - one["low"]) for one in bins]
    with new_plot(path, 5.6, 5.8) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        accuracies = [one["accuracy"] for one in bins]
        upper.bar(centres, accuracies, widths, color="#9ecae1", label=share)
        confidences = [one["confidence"] for one in bins]
        upper.plot(confidences, accuracies, "o", color="#0072b2", label="at the mean probability")
        upper.plot([0, 1], [0, 1], color="#d55e00", label="perfect calibration")
        upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel=share)
        lower.bar(centres, [one["n"] for one in bins], widths, color="#56707f")
        lower.set(xlabel=probability, ylabel=counted)
        lower.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
        for axes in (upper, lower):
            axes.grid(alpha=0.3)
        error, expected = calibration["ece"], calibration["ece_if_calibrated"]["p95"]
        figure.suptitle(
            f"{title_lines(title, 5.6)}\ncalibration error {error:.1%} (perfect calibration: up to {expected:.1%})",
            fontsize=11,
        )
        figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=9)


@dataclass(frozen=True)
class ClipView:
    """A clip as the model reads it, and its prediction."""

    path: str
    true: str
    predicted: str
    probabilities: tuple[float, ...]  # in the order of the classes
    levels: np.ndarray  # (128, columns) uint8, row 0 the lowest band
    seconds: float
    attention: np.ndarray | None  # (n,) over equal time steps, 1 if uniform; None for a net without attention


def draw_clip(view: ClipView) -> bytes:
    """Returns a PNG: the spectrogram on axes in seconds and hertz, with the attention above it."""
    file = io.BytesIO()
    with new_plot(file, 7, 2.3 if view.attention is None else 3.1) as figure:
        if view.attention is None:
            picture = figure.subplots()
        else:
            upper, picture = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
            _draw_attention(upper, view.attention, view.seconds)
        extent = (0, view.seconds, 0, N_BANDS)
        picture.imshow(view.levels, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=255, extent=extent)
        picture.set_yticks([band_of(hertz) + 0.5 for hertz in _HERTZ], [f"{hertz:,}" for hertz in _HERTZ])
        picture.set(xlabel="seconds", ylabel="hertz", xlim=(0, view.seconds))
    return file.getvalue()


def _draw_attention(axes: Axes, attention: np.ndarray, seconds: float) -> None:
    edges = np.linspace(0, seconds, len(attention) + 1)
    axes.stairs(attention, edges, color="#0072b2", fill=True, alpha=0.25)
    axes.stairs(attention, edges, color="#0072b2", lw=1.2, baseline=None)
    axes.axhline(1, color="#56707f", lw=0.8, ls="--")
    axes.set(ylim=(0, max(2.0, 1.1 * float(attention.max()))), yticks=[1], yticklabels=["even"])
    axes.set_ylabel("attention", fontsize=8)

"""A comparison -> a picture: each system's accuracy with its interval, and below it the differences."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genreclf.errors import one_line
from genreclf.evaluation.comparison import LEVEL, counted

ALL_PAIRS_AT_MOST = 10
_LABEL_WIDTH, _LABEL_LINES, _TITLE_WIDTH = 34, 6, 56  # letters, lines, letters
_LINE_INCHES, _GAP_INCHES = 0.155, 0.26  # of a label's line, and between two rows
_AROUND_INCHES = 1.0  # title and axis


def draw_comparison(found: dict[str, Any], path: Path) -> None:
    """What `comparison.compare` found -> a PNG. Of more than ten pairs, only those with the best system are drawn."""
    comparison_figure(found).savefig(path, dpi=120)


def comparison_figure(found: dict[str, Any]) -> Figure:
    """Systems above, pairs below, a row each, as high as its label has lines; 7.5 inches wide."""
    systems, pairs = found["systems"], drawn_pairs(found)
    names = [_folded(system["label"]) for system in systems]
    labels = [_folded(label) for label in _pair_labels(pairs, len(found["pairs"]))]
    inches = [sum(map(_row_inches, rows)) + _AROUND_INCHES for rows in (names, labels) if rows]
    figure = Figure(figsize=(7.5, sum(inches)), layout="constrained")
    axes = figure.subplots(len(inches), 1, height_ratios=inches, squeeze=False)[:, 0]
    _draw_systems(axes[0], systems, _rows(axes[0], names))
    axes[0].set_title(f"accuracy on {counted(found['clips'], 'clip')} in {counted(found['groups'], 'group')}")
    if pairs:
        _draw_pairs(axes[1], pairs, _rows(axes[1], labels))
        axes[1].set_title(_pair_title(pairs, len(found["pairs"])), parse_math=False)
    return figure


def drawn_pairs(found: dict[str, Any]) -> list[dict[str, Any]]:
    """All pairs, or where they are many, those of the best system."""
    if len(found["pairs"]) <= ALL_PAIRS_AT_MOST:
        return found["pairs"]
    return [pair for pair in found["pairs"] if pair["better"] == found["systems"][0]["label"]]


def _pair_labels(pairs: Sequence[dict[str, Any]], total: int) -> list[str]:
    """Where all are of the best, the title names it."""
    return [
        f"over {pair['other']}" if len(pairs) < total else f"{pair['better']} over {pair['other']}" for pair in pairs
    ]


def _pair_title(pairs: Sequence[dict[str, Any]], total: int) -> str:
    if len(pairs) == total:
        return "differences"
    title = f"differences, {len(pairs)} of {total} pairs, the best: {_drawable(pairs[0]['better'])}"
    return textwrap.fill(title, _TITLE_WIDTH, max_lines=2, placeholder=" …")


def _row_inches(label: str) -> float:
    return _GAP_INCHES + _LINE_INCHES * (1 + label.count("\n"))


def _rows(axes: Axes, labels: Sequence[str]) -> np.ndarray:
    """Where the labels' rows lie, in inches, the first on top; labels the axis."""
    ends = np.cumsum([_row_inches(label) for label in labels])
    places = ends[-1] - ends + [_row_inches(label) / 2 for label in labels]
    axes.set_yticks(places, labels, fontsize=9, parse_math=False)
    axes.set_ylim(0, ends[-1] + 0.1)
    axes.grid(axis="x", alpha=0.3)
    return places


def _draw_systems(axes: Axes, systems: Sequence[dict[str, Any]], places: np.ndarray) -> None:
    for place, system in zip(places, systems, strict=True):
        if system["clustered"] is not None:
            axes.plot([100 * end for end in system["clustered"]], [place, place], color="#9ecae1", lw=5)
        if len(system["seeds"]) > 1:
            seeds = [100 * share for share in system["accuracy_by_seed"]]
            axes.plot(seeds, [place] * len(seeds), "|", color="#0072b2", markersize=7)
        mean = 100 * system["accuracy"]
        axes.plot(mean, place, "o", color="#0072b2")
        axes.annotate(f"{mean:.1f}", (mean, place), (0, 6), textcoords="offset points", ha="center", size=8)
    axes.set_xlabel("% right: mean, strokes: single seeds,\nbar: 95 %, clips of a group drawn together", fontsize=9)


def _draw_pairs(axes: Axes, pairs: Sequence[dict[str, Any]], places: np.ndarray) -> None:
    for place, pair in zip(places, pairs, strict=True):
        sure = pair["clustered"] is not None and pair["clustered"][0] > 0 and pair["p_holm"] < LEVEL
        colour = "#d55e00" if sure else "#7f8c8d"
        if pair["clustered"] is not None:
            axes.plot([100 * end for end in pair["clustered"]], [place, place], color=colour, lw=2)
        # Filled or not, for who sees no colour.
        axes.plot(100 * pair["difference"], place, "o", color=colour, markerfacecolor=colour if sure else "white")
    axes.axvline(0, color="black", lw=0.8)
    axes.set_xlabel("points, with 95 %; orange and filled where\nboth tests agree that there is one", fontsize=9)


def _folded(label: str) -> str:
    return textwrap.fill(_drawable(label), _LABEL_WIDTH, max_lines=_LABEL_LINES, placeholder=" …")


def _drawable(label: str) -> str:
    return one_line(label).encode(errors="backslashreplace").decode()

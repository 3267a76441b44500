"""Plots a comparison: the accuracy of each system with its interval, and below them the differences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from genreclf.evaluation.comparison import LEVEL, count
from genreclf.plot_text import drawable, new_plot

MAX_PAIRS = 10
_LABEL_WIDTH, _TITLE_WIDTH = 34, 56  # in characters per line
_LINE_INCHES, _GAP_INCHES = 0.155, 0.26  # the height of a label's line, and the gap between two rows
_MARGIN_INCHES = 1.0  # for title and axis


def draw_comparison(found: dict[str, Any], path: Path) -> None:
    """Draws the result of `comparison.compare` to a PNG file: a row per system above, a row per pair below.

    Each row is as high as its label. Of more than ten pairs, only the best system's are drawn.
    """
    systems, pairs = found["systems"], pairs_to_draw(found)
    names = [drawable(system["label"], _LABEL_WIDTH) for system in systems]
    partial = len(pairs) < len(found["pairs"])  # then the title names the best system
    compared = [f"vs {pair['other']}" if partial else f"{pair['better']} vs {pair['other']}" for pair in pairs]
    labels = [drawable(text, _LABEL_WIDTH) for text in compared]
    inches = [sum(map(_row_inches, rows)) + _MARGIN_INCHES for rows in (names, labels) if rows]
    clips, groups = count(found["clips"], "clip"), count(found["groups"], "group")
    with new_plot(path, 7.5, sum(inches)) as figure:
        axes = figure.subplots(len(inches), 1, height_ratios=inches, squeeze=False)[:, 0]
        _draw_systems(axes[0], systems, found["score"], _label_rows(axes[0], names))
        axes[0].set_title(f"{found['score'].replace('_', ' ')} on {clips} in {groups}")
        if pairs:
            _draw_pairs(axes[1], pairs, _label_rows(axes[1], labels))
            title = "differences"
            if partial:
                title += f", {len(pairs)} of {len(found['pairs'])} pairs, the best system: {pairs[0]['better']}"
            axes[1].set_title(drawable(title, _TITLE_WIDTH))


def pairs_to_draw(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns all pairs or, if there are more than MAX_PAIRS, the pairs with the best system."""
    pairs: list[dict[str, Any]] = found["pairs"]
    if len(pairs) <= MAX_PAIRS:
        return pairs
    return [pair for pair in pairs if pair["better"] == found["systems"][0]["label"]]


def _row_inches(label: str) -> float:
    return _GAP_INCHES + _LINE_INCHES * (1 + label.count("\n"))


def _label_rows(axes: Axes, labels: Sequence[str]) -> np.ndarray:
    """Labels the rows, the first on top; returns their heights on the axis, in inches."""
    ends = np.cumsum([_row_inches(label) for label in labels])
    heights = ends[-1] - ends + [_row_inches(label) / 2 for label in labels]
    axes.set_yticks(heights, labels, fontsize=9)
    axes.set_ylim(0, ends[-1] + 0.1)
    axes.grid(axis="x", alpha=0.3)
    return np.asarray(heights)


def _draw_systems(axes: Axes, systems: Sequence[dict[str, Any]], score: str, heights: np.ndarray) -> None:
    for height, system in zip(heights, systems, strict=True):
        if system["shown"] is not None:
            axes.plot([100 * end for end in system["shown"]], [height, height], color="#9ecae1", lw=5)
        if len(system["seeds"]) > 1:
            by_seed = [100 * value for value in system[f"{score}_by_seed"]]
            axes.plot(by_seed, [height] * len(by_seed), "|", color="#0072b2", markersize=7)
        mean = 100 * system[score]
        axes.plot(mean, height, "o", color="#0072b2")
        axes.annotate(f"{mean:.1f}", (mean, height), (0, 6), textcoords="offset points", ha="center", size=8)
    axes.set_xlabel(
        f"{score.replace('_', ' ')} in %: mean; strokes: single seeds;\nbar: 95 % interval, groups resampled",
        fontsize=9,
    )


def _draw_pairs(axes: Axes, pairs: Sequence[dict[str, Any]], heights: np.ndarray) -> None:
    for height, pair in zip(heights, pairs, strict=True):
        significant = pair["clustered"] is not None and pair["clustered"][0] > 0 and pair["p_holm"] < LEVEL
        colour = "#d55e00" if significant else "#7f8c8d"
        if pair["clustered"] is not None:
            axes.plot([100 * end for end in pair["clustered"]], [height, height], color=colour, lw=2)
        face = colour if significant else "white"  # visible to colour-blind readers too
        axes.plot(100 * pair["difference"], height, "o", color=colour, markerfacecolor=face)
    axes.axvline(0, color="black", lw=0.8)
    text = "difference in points with 95 % interval;\norange and filled: significant by both tests"
    axes.set_xlabel(text, fontsize=9)

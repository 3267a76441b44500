"""A comparison -> a picture: each system's accuracy with its interval, and below it the differences."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ALL_PAIRS_AT_MOST = 10
_LABEL_WIDTH = 34  # letters


def draw_comparison(found: dict[str, Any], path: Path) -> None:
    """What `comparison.compare` found -> a PNG. Of more than ten pairs, only those with the best system are drawn."""
    systems, pairs = found["systems"], drawn_pairs(found)
    rows = [max(len(systems), 1), len(pairs)]
    inches = [0.9 + 0.42 * count for count in rows if count]
    figure = Figure(figsize=(7.5, sum(inches) + 0.3), layout="constrained")
    axes = figure.subplots(len(inches), 1, height_ratios=inches, squeeze=False)[:, 0]
    _draw_systems(axes[0], systems, f"accuracy on {found['clips']} clips in {found['groups']} groups")
    if pairs:
        _draw_pairs(axes[1], pairs, len(found["pairs"]))
    figure.savefig(path, dpi=120)


def drawn_pairs(found: dict[str, Any]) -> list[dict[str, Any]]:
    """All pairs, or where they are many, those of the best system."""
    if len(found["pairs"]) <= ALL_PAIRS_AT_MOST:
        return found["pairs"]
    return [pair for pair in found["pairs"] if pair["better"] == found["systems"][0]["label"]]


def _draw_systems(axes: Axes, systems: list[dict[str, Any]], title: str) -> None:
    places = np.arange(len(systems))[::-1]  # the best on top
    for place, system in zip(places, systems, strict=True):
        if system["clustered"] is not None:
            axes.plot([100 * end for end in system["clustered"]], [place, place], color="#9ecae1", lw=5)
        axes.plot(
            [100 * share for share in system["accuracy_by_seed"]], [place] * len(system["seeds"]), "|", c="#0072b2"
        )
        axes.plot(100 * system["accuracy"], place, "o", color="#0072b2")
        axes.annotate(f"{100 * system['accuracy']:.1f}", (100 * system["accuracy"], place + 0.22), ha="center", size=8)
    axes.set_yticks(places, [_folded(system["label"]) for system in systems])
    axes.set(title=title, xlabel="% right; bar: 95 %, clips of a group drawn together; strokes: seeds")
    axes.set_ylim(-0.6, len(systems) - 0.3)
    axes.grid(axis="x", alpha=0.3)


def _draw_pairs(axes: Axes, pairs: list[dict[str, Any]], total: int) -> None:
    places = np.arange(len(pairs))[::-1]
    for place, pair in zip(places, pairs, strict=True):
        sure = pair["clustered"] is not None and pair["clustered"][0] > 0 and pair["p_holm"] < 0.05
        colour = "#d55e00" if sure else "#7f8c8d"
        if pair["clustered"] is not None:
            axes.plot([100 * end for end in pair["clustered"]], [place, place], color=colour, lw=2)
        axes.plot(100 * pair["difference"], place, "o", color=colour)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(places, [_folded(f"{pair['better']} over {pair['other']}") for pair in pairs])
    title = "differences" if len(pairs) == total else f"differences, {len(pairs)} of {total} pairs: those of the best"
    axes.set(title=title, xlabel="points, 95 %; coloured where both tests agree that there is one")
    axes.set_ylim(-0.6, len(pairs) - 0.4)
    axes.grid(axis="x", alpha=0.3)


def _folded(label: str) -> str:
    return textwrap.fill(label, _LABEL_WIDTH)

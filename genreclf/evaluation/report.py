"""A scored run -> one page of HTML that needs nothing beside it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from genreclf.evaluation.pictures import ClipView, draw_clip
from genreclf.page import render

TEMPLATE = "evaluation/report.html.jinja"
CONFUSIONS_TOLD = 5


def report_page(metrics: dict[str, Any], pictures: dict[str, bytes], mistakes: Sequence[ClipView]) -> str:
    """The page. `metrics` is what `evaluate` writes to metrics.json; `pictures` are PNG files by name, such as
    "confusion-none"; `mistakes` are drawn in their order. Names of files and classes may hold any text.
    """
    return render(
        TEMPLATE,
        m=metrics,
        plain=metrics["tta"]["none"]["clip"],
        pictures=pictures,
        mistakes=[(view, draw_clip(view), runners_up(view, metrics["classes"])) for view in mistakes],
        confusions={tta: confusions(own["clip"], metrics["classes"]) for tta, own in metrics["tta"].items()},
        majority=majority_share(metrics["tta"]["none"]["clip"]),
        ln_classes=math.log(len(metrics["classes"])),
    )


def runners_up(view: ClipView, classes: Sequence[str]) -> list[tuple[str, float]]:
    """The three most probable classes with their probabilities."""
    return sorted(zip(classes, view.probabilities, strict=True), key=lambda pair: -pair[1])[:3]


def confusions(scores: dict[str, Any], classes: Sequence[str]) -> list[tuple[str, str, int, int]]:
    """The most frequent: true class, the one it is taken for, how often, of how many clips."""
    matrix = np.array(scores["confusion"])
    support = matrix.sum(axis=1)
    wrong = matrix * (1 - np.eye(len(matrix), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS_TOLD]
    places = [divmod(int(place), len(matrix)) for place in order]
    return [(classes[t], classes[p], int(wrong[t, p]), int(support[t])) for t, p in places if wrong[t, p]]


def majority_share(scores: dict[str, Any]) -> float:
    """The share of the scored clips in their largest class: what answering with it would get."""
    return max(row["support"] for row in scores["per_class"]) / scores["n"]

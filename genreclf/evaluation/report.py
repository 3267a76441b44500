"""Renders the scores of a run as one self-contained HTML page."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from genreclf.evaluation.plots import ClipView, draw_clip
from genreclf.evaluation.slices import NO_VALUE
from genreclf.inference.results import ranked
from genreclf.inference.task import MULTILABEL
from genreclf.page import render
from genreclf.text import shell_command

MAX_CONFUSIONS = 5
CONFIDENT = 0.8  # an edge of the calibration bins


def report_page(metrics: dict[str, Any], pictures: dict[str, bytes], mistakes: Sequence[ClipView]) -> str:
    """Returns the page. Names of files and classes may contain any text.

    `metrics` is the content of metrics.json, `pictures` are PNG files by name ("confusion-none", ...), and `mistakes`
    are shown in their order.
    """
    plain, classes, trained_with = metrics["tta"]["none"]["clip"], metrics["classes"], metrics["trained_with"] or ()
    several = metrics.get("task") == MULTILABEL
    likeliest = [ranked(dict(zip(classes, view.probabilities, strict=True)))[:3] for view in mistakes]
    return render(
        f"evaluation/{'multilabel_' if several else ''}report.html.jinja",
        m=metrics,
        plain=plain,
        no_value=NO_VALUE,
        temperature_set=temperature_set(trained_with),
        trained=shell_command("genreclf", "train", *trained_with) if trained_with else "",
        scored=shell_command("genreclf", "evaluate", *metrics["command"]),
        pictures=pictures,
        mistakes=list(zip(mistakes, map(draw_clip, mistakes), likeliest, strict=True)),
        **(_guessing(plain) if several else _of_classes(plain, classes)),
    )


def _guessing(plain: dict[str, Any]) -> dict[str, Any]:
    """Returns the mean average precision of guessing: a genre's share of the clips, averaged over scored genres."""
    shares = [row["support"] / plain["n"] for row in plain["per_class"] if row["average_precision"] is not None]
    return {"guessing": sum(shares) / max(len(shares), 1)}


def _of_classes(plain: dict[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """Returns the values that only the report of a model of one genre per clip shows."""
    return {
        "confident": confident_predictions(plain["calibration"]["bins"]),
        "confusions": confusions(plain, classes),
        "majority": max(row["support"] for row in plain["per_class"]) / plain["n"],
        "uniform_log_loss": math.log(len(classes)),
        "mean_true_probability": math.exp(-plain["log_loss"]),
    }


def confusions(scores: dict[str, Any], classes: Sequence[str]) -> list[tuple[str, str, int, int]]:
    """Returns the most frequent confusions: true class, predicted class, count, and clips of the true class."""
    matrix = np.array(scores["confusion"])
    support = matrix.sum(axis=1)
    wrong = matrix * (1 - np.eye(len(matrix), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_CONFUSIONS]
    cells = [divmod(int(index), len(matrix)) for index in order]
    return [(classes[t], classes[p], int(wrong[t, p]), int(support[t])) for t, p in cells if wrong[t, p]]


def confident_predictions(bins: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Counts all and correct predictions above CONFIDENT, with their mean confidence, from calibration bins."""
    above = [one for one in bins if one["low"] > CONFIDENT - 1e-6]
    n = sum(one["n"] for one in above)
    correct = sum(round(one["n"] * one["accuracy"]) for one in above)
    return {"n": n, "correct": correct, "confidence": sum(one["n"] * one["confidence"] for one in above) / max(n, 1)}


def temperature_set(trained_with: Sequence[str]) -> bool:
    """Returns whether the training's overrides set the temperature; if not, it was fitted on validation clips."""
    return any(word.startswith("temperature=") and word != "temperature=null" for word in trained_with)

"""A scored run -> one page of HTML that needs nothing beside it."""

import math
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from genreclf.evaluation.plots import ClipView, draw_clip
from genreclf.page import render

TEMPLATE = "evaluation/report.html.jinja"
CONFUSIONS_TOLD = 5
SURE = 0.8  # an edge of the bins


def report_page(metrics: dict[str, Any], pictures: dict[str, bytes], mistakes: Sequence[ClipView]) -> str:
    """The page. `metrics` is what `evaluate` writes to metrics.json; `pictures` are PNG files by name, such as
    "confusion-none"; `mistakes` are drawn in their order. Names of files and classes may hold any text.
    """
    plain = metrics["tta"]["none"]["clip"]
    return render(
        TEMPLATE,
        m=metrics,
        plain=plain,
        sure=sure_answers(plain["calibration"]["bins"]),
        range_of=range_of,
        given=temperature_given(metrics["trained_with"]),
        trained=command_line("train", metrics["trained_with"]),
        scored=command_line("evaluate", metrics["command"]),
        pictures=pictures,
        mistakes=[(view, draw_clip(view), runners_up(view, metrics["classes"])) for view in mistakes],
        confusions=confusions(plain, metrics["classes"]),
        majority=majority_share(plain),
        ln_classes=math.log(len(metrics["classes"])),
        right_share=math.exp(-plain["log_loss"]),
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


def range_of(interval: dict[str, Sequence[float] | None]) -> Sequence[float] | None:
    """The interval to show: the clustered one, else the Wilson one, else None.

    Where every clip scores the same, so does whatever is drawn: a range of no width would promise too much.
    """
    drawn = interval["clustered"]
    return drawn if drawn and drawn[0] < drawn[1] else interval.get("wilson")


def sure_answers(bins: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of `calibration`'s bins above SURE: how many clips, how many right, and their mean confidence in [0, 1]."""
    sure = [one for one in bins if one["low"] > SURE - 1e-6]
    n = sum(one["n"] for one in sure)
    right = sum(round(one["n"] * one["accuracy"]) for one in sure)
    return {"n": n, "right": right, "confidence": sum(one["n"] * one["confidence"] for one in sure) / max(n, 1)}


def temperature_given(trained_with: Sequence[str]) -> bool:
    """Whether the training was told its temperature; else it was fitted on the validation clips."""
    return any(word.startswith("temperature=") and word != "temperature=null" for word in trained_with)


def command_line(command: str, overrides: Sequence[str]) -> str:
    """What a shell takes to run one of the package's commands again."""
    return shlex.join(["python", "-m", f"genreclf.{command}", *overrides])

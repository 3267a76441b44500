"""Prints the scores of an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

from genreclf.evaluation.clip_set import OTHER
from genreclf.evaluation.slices import NO_VALUE, not_shown
from genreclf.inference.task import MULTICLASS, MULTILABEL
from genreclf.terminal import Kind, print_table
from genreclf.text import one_line

# By task: the scores in the table of all clips and in tables of slices. The interval is for the first score.
_SHOWN = {
    MULTICLASS: ("accuracy", "top3_accuracy", "macro_f1", "log_loss", "ece"),
    MULTILABEL: ("mean_average_precision", "roc_auc", "macro_f1", "log_loss", "ece"),
}
_SHOWN_OF_SLICES = {
    MULTICLASS: ("accuracy", "macro_accuracy", "log_loss", "ece"),
    MULTILABEL: ("mean_average_precision", "roc_auc", "log_loss", "ece"),
}
_HEADINGS = {
    **{"accuracy": "accuracy", "top3_accuracy": "top 3", "macro_accuracy": "macro", "macro_f1": "macro-F1"},
    **{"mean_average_precision": "mAP", "roc_auc": "ROC-AUC", "log_loss": "log-loss", "ece": "ECE"},
}
_PLAIN = ("macro_f1", "log_loss")  # the others are shares, shown as percentages


def print_scores(metrics: Mapping[str, Any]) -> None:
    """Prints the scores in `metrics`, the content of metrics.json, and the line about the audit."""
    plain, task = metrics["tta"]["none"]["clip"], metrics.get("task", MULTICLASS)
    part = f"{metrics['split']} " if metrics["split"] != OTHER else ""
    title = f"Model {metrics['model'].upper()}: {plain['n']} {part}clips in {plain['groups']} groups"
    found = [(tta, level, scores) for tta, result in metrics["tta"].items() for level, scores in result.items()]
    rows = [_row(tta, level, scores, task) for tta, level, scores in found]
    print_table([("TTA", "text"), *_columns(_SHOWN[task])], rows, title)
    if task == MULTICLASS:
        by_tta = (f"{tta} {_macro_accuracy(scores)}" for tta, level, scores in found if level == "clip")
        print(f"macro-accuracy, the mean over the genres: {', '.join(by_tta)}")
    for name, sliced in plain["slices"].items():
        columns: list[tuple[str, Kind]] = [(one_line(name), "text"), ("clips", "number"), ("groups", "number")]
        of_values = [_slice_row(one, _SHOWN_OF_SLICES[task]) for one in sliced["values"]]
        print_table([*columns, *_columns(_SHOWN_OF_SLICES[task])], of_values, f"by {name}{not_shown(sliced)}")
    if plain["none"]:
        print(f"{plain['none']['n']} clips of none of the genres (out of scope): AUROC {plain['none']['auroc']:.3f}")
    print(one_line(f"audit: {metrics['audit']}"))


def _columns(shown: Sequence[str]) -> list[tuple[str, Kind]]:
    first, *others = (_HEADINGS[name] for name in shown)
    return [(name, "number") for name in (first, "95 %", *others)]


def _row(tta: str, level: str, found: Mapping[str, Any], task: str) -> list[str]:
    """Returns the table row for the scores of clips or segments. Segments have no interval."""
    if level != "clip":
        return [f"{tta}, segments", *_cells(found, "", _SHOWN[task])]
    interval = ends(found["intervals"][_SHOWN[task][0]]["shown"])
    return [tta, *_cells({**found, "ece": found["calibration"]["ece"]}, interval and f"{interval} %", _SHOWN[task])]


def _slice_row(found: Mapping[str, Any], shown: Sequence[str]) -> list[str]:
    numbers = str(found["n"]), str(found["groups"])
    return [found["value"] or NO_VALUE, *numbers, *_cells(found, ends(found["intervals"][shown[0]]), shown)]


def _cells(found: Mapping[str, Any], interval: str, shown: Sequence[str]) -> list[str]:
    """Returns the scores as text, empty if missing, with the interval after the first one."""
    first, *others = (_text(name, found.get(name)) for name in shown)
    return [first, interval, *others]


def _text(name: str, value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if name in _PLAIN else f"{value:.1%}"


def _macro_accuracy(clip: Mapping[str, Any]) -> str:
    interval = clip["intervals"]["macro_accuracy"]["shown"]
    return f"{clip['macro_accuracy']:.1%}" + (f" ({ends(interval)} %)" if interval else "")


def ends(interval: Sequence[float] | None) -> str:
    """Formats an interval of a share in percent, such as 71-83; empty for None."""
    return "" if interval is None else f"{100 * interval[0]:.0f}-{100 * interval[1]:.0f}"

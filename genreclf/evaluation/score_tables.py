"""Prints the scores of an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

from genreclf.evaluation.clip_set import OTHER
from genreclf.evaluation.slices import NO_VALUE, not_shown
from genreclf.inference.task import MULTILABEL
from genreclf.terminal import Kind, print_table
from genreclf.text import one_line

_SHOWN = ("accuracy", "95 %", "top 3", "macro-F1", "log-loss", "ECE")
_MULTILABEL_SHOWN = ("mAP", "95 %", "ROC-AUC", "macro-F1", "log-loss", "ECE")
_MULTILABEL_SLICE_SHOWN = ("clips", "groups", "mAP", "95 %", "ROC-AUC", "log-loss", "ECE")
_SLICE_SHOWN = ("clips", "groups", "accuracy", "95 %", "macro", "log-loss", "ECE")


def print_scores(metrics: Mapping[str, Any]) -> None:
    """Prints the scores in `metrics`, the content of metrics.json, and the line about the audit."""
    plain = metrics["tta"]["none"]["clip"]
    part = f"{metrics['split']} " if metrics["split"] != OTHER else ""
    title = f"Model {metrics['model'].upper()}: {plain['n']} {part}clips in {plain['groups']} groups"
    if metrics.get("task") == MULTILABEL:
        rows = [_multilabel_cells(tta, result["clip"]) for tta, result in metrics["tta"].items()]
        print_table([("TTA", "text"), *((name, "number") for name in _MULTILABEL_SHOWN)], rows, title)
        for name, found in plain["slices"].items():
            _show_multilabel_slice(name, found)
        print(one_line(f"audit: {metrics['audit']}"))
        return
    rows = [_cells(tta, level, found) for tta, result in metrics["tta"].items() for level, found in result.items()]
    print_table([("TTA", "text"), *((name, "number") for name in _SHOWN)], rows, title)
    by_tta = (f"{tta} {_macro_accuracy(result['clip'])}" for tta, result in metrics["tta"].items())
    print(f"macro-accuracy, the mean over the genres: {', '.join(by_tta)}")
    for name, found in plain["slices"].items():
        _show_slice(name, found)
    if plain["none"]:
        print(f"{plain['none']['n']} clips of none of the genres (out of scope): AUROC {plain['none']['auroc']:.3f}")
    print(one_line(f"audit: {metrics['audit']}"))


def _macro_accuracy(clip: Mapping[str, Any]) -> str:
    interval = clip["intervals"]["macro_accuracy"]["shown"]
    return f"{clip['macro_accuracy']:.1%}" + (f" ({_ends(interval)} %)" if interval else "")


def _show_slice(name: str, found: Mapping[str, Any]) -> None:
    """Prints a table of the scores without TTA, by the values of one column."""
    columns: list[tuple[str, Kind]] = [(one_line(name), "text"), *((shown, "number") for shown in _SLICE_SHOWN)]
    rows = [
        [
            *(one["value"] or NO_VALUE, str(one["n"]), str(one["groups"]), f"{one['accuracy']:.1%}"),
            *(_ends(one["intervals"]["accuracy"]), f"{one['macro_accuracy']:.1%}"),
            *(f"{one['log_loss']:.3f}", f"{one['ece']:.1%}"),
        ]
        for one in found["values"]
    ]
    print_table(columns, rows, f"by {name}{not_shown(found)}")


def _ends(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0] * 100:.0f}-{interval[1] * 100:.0f}"


def _cells(tta: str, level: str, found: Mapping[str, Any]) -> list[str]:
    """Returns the table row for the scores of clips or segments."""
    name, interval, error = f"{tta}, segments", "", ""
    if level == "clip":
        interval = f"{_ends(found['intervals']['accuracy']['shown'])} %"
        name, error = tta, f"{found['calibration']['ece']:.1%}"
    rest = (f"{found['top3_accuracy']:.1%}", f"{found['macro_f1']:.3f}", f"{found['log_loss']:.3f}")
    return [name, f"{found['accuracy']:.1%}", interval, *rest, error]


def _multilabel_cells(tta: str, found: Mapping[str, Any]) -> list[str]:
    """Returns the table row for multi-label clip scores."""
    interval = found["intervals"]["mean_average_precision"]["shown"]
    shares = (
        _share(found["mean_average_precision"]),
        f"{_ends(interval)} %" if interval else "",
        _share(found["roc_auc"]),
    )
    return [tta, *shares, f"{found['macro_f1']:.3f}", f"{found['log_loss']:.3f}", f"{found['calibration']['ece']:.1%}"]


def _show_multilabel_slice(name: str, found: Mapping[str, Any]) -> None:
    columns: list[tuple[str, Kind]] = [
        (one_line(name), "text"),
        *((shown, "number") for shown in _MULTILABEL_SLICE_SHOWN),
    ]
    rows = [
        [
            *(one["value"] or NO_VALUE, str(one["n"]), str(one["groups"]), _share(one["mean_average_precision"])),
            *(_ends(one["intervals"]["mean_average_precision"]), _share(one["roc_auc"])),
            *(f"{one['log_loss']:.3f}", f"{one['ece']:.1%}"),
        ]
        for one in found["values"]
    ]
    print_table(columns, rows, f"by {name}{not_shown(found)}")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"

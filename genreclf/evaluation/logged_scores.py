"""Selects the scores of a run that its loggers record: numbers by name."""

from typing import Any

from genreclf.inference.task import MULTILABEL

_MULTILABEL = ("mean_average_precision", "roc_auc", "macro_f1", "micro_f1", "log_loss")
SCORES = ("accuracy", "macro_accuracy", "macro_f1", "top2_accuracy", "top3_accuracy", "log_loss", "brier")


def logged_scores(metrics: dict[str, Any]) -> dict[str, float]:
    """Returns the clip scores of metrics.json by name.

    The names are `test/accuracy`, `test/accuracy_low` and `test/accuracy_high` for the ends of its 95 % interval, and
    so on; with test-time augmentation, `test/pitch_shift/accuracy`.
    """
    found = {}
    for tta, result in metrics["tta"].items():
        clip = result["clip"]
        prefix = metrics["split"] if tta == "none" else f"{metrics['split']}/{tta}"
        found[f"{prefix}/clips"] = float(clip["n"])
        found[f"{prefix}/calibration_error"] = clip["calibration"]["ece"]
        names = _MULTILABEL if metrics.get("task") == MULTILABEL else SCORES
        found.update({f"{prefix}/{name}": clip[name] for name in names if clip[name] is not None})
        for name, interval in clip["intervals"].items():
            if interval["shown"] is not None:
                found[f"{prefix}/{name}_low"], found[f"{prefix}/{name}_high"] = _ends(interval["shown"])
    return found


def _ends(interval: Any) -> tuple[float, float]:
    return float(interval[0]), float(interval[1])

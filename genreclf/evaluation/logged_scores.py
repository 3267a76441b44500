"""Selects the scores of a run that its loggers record: numbers by name."""

from typing import Any


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
        found.update({f"{prefix}/{name}": value for name, value in clip.items() if isinstance(value, float)})
        for name, interval in clip["intervals"].items():
            if interval["shown"] is not None:
                found[f"{prefix}/{name}_low"], found[f"{prefix}/{name}_high"] = interval["shown"]
    return found

"""Makes the model card of a bundle (README.md, in the format of model hubs) and its main scores as JSON."""

from collections.abc import Mapping
from typing import Any

from genreclf.evaluation.card_metadata import front_matter
from genreclf.evaluation.report import temperature_set
from genreclf.evaluation.slices import NO_VALUE
from genreclf.inference.task import MULTILABEL
from genreclf.page import render
from genreclf.text import shell_command

PATH_KEYS = ("data.path", "data.table", "run", "cache")  # hidden, as is every value that looks like a path


def model_card(by_split: Mapping[str, dict[str, Any]]) -> str:
    """Returns the card, made from the metrics.json of at least one split. Class names may contain any text.

    The metrics of a pretrained model also have `stages`, the settings of its training stages, each of which starts from
    the weights of the one before; `folds`, the number of scored folds; and `about`, Markdown about its music.
    """
    metrics = next(iter(by_split.values()))
    stages = metrics.get("stages", [metrics["trained_with"]])
    body = render(
        "evaluation/card.md.jinja",
        m=metrics,
        by_split=by_split,
        no_value=NO_VALUE,
        commands=[shell_command("genreclf", "train", *map(_without_path, words)) for words in stages],
        temperature_set=temperature_set(metrics["trained_with"]),
    )
    return f"---\n{front_matter(by_split)}---\n{body}"


def main_scores(by_split: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns the content of scores.json: the scores of the first split without TTA.

    `interval` is the 95 % interval of the accuracy that reports show. `reliability` comes from
    `calibration.reliability`, and is empty for metrics of an earlier version. Shares are in [0, 1]. A multi-label model
    has the mean average precision instead of the accuracy, and also the ROC-AUC.
    """
    split, metrics = next(iter(by_split.items()))
    clip, several = metrics["tta"]["none"]["clip"], metrics.get("task") == MULTILABEL
    score = "mean_average_precision" if several else "accuracy"
    return {
        "split": split,
        "clips": clip["n"],
        "groups": clip["groups"],
        **({"task": MULTILABEL, "roc_auc": clip["roc_auc"]} if several else {}),
        score: clip[score],
        "interval": clip["intervals"][score]["shown"],
        "calibration_error": clip["calibration"]["ece"],
        "parameters": metrics["parameters"],
        "reliability": clip["calibration"].get("reliability", []),
    }


def _without_path(override: str) -> str:
    """Hides the value of an override that may be a path: published cards must not reveal their author's folders."""
    key, _, value = override.partition("=")
    return f"{key}=..." if key in PATH_KEYS or set(value) & set("/\\~") else override

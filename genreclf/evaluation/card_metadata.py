"""Makes the front matter of a model card, which describes the model and its scores to model hubs."""

import math
import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from genreclf.data.public_sets import HUB
from genreclf.inference.task import MULTILABEL
from genreclf.nets.efficientnet import ARCHITECTURE

TAGS = ["music", "music-genre-classification", "audio-classification"]
LICENSE, LICENSE_NAME = "other", "not-stated"  # the publisher chooses one: Classifier.push_to_hub(license=...)
# The Hub's ids of data sets that their makers published there, and of pretrained weights
HUB_DATA_SETS = {"gtzan": "marsyas/gtzan"}
HUB_WEIGHTS = {ARCHITECTURE: "timm/efficientnet_b0.ra_in1k"}
_SPLITS = {"test": "test", "val": "validation", "folds": "cross-validation"}
# By the Hub's name of a metric, or ours if it has none: the displayed name, and the key in the result
_METRICS = {
    "accuracy": ("Accuracy", "accuracy"),
    "macro_accuracy": ("Macro-accuracy", "macro_accuracy"),
    "mean_average_precision": ("Mean average precision", "mean_average_precision"),
    "roc_auc": ("Macro ROC-AUC", "roc_auc"),
    "f1": ("Macro-F1", "macro_f1"),
    "log_loss": ("Log-loss", "log_loss"),
}


def front_matter(by_split: Mapping[str, dict[str, Any]]) -> str:
    """Returns the YAML between the lines of dashes, with a final line break, from the metrics.json of each split.

    The scores are without TTA, with their 95 % intervals if there are any.
    """
    metrics = next(iter(by_split.values()))
    data_set = _hub_data_set(metrics)
    data = ModelCardData(
        license=LICENSE,
        license_name=LICENSE_NAME,
        library_name="genreclf",
        pipeline_tag="audio-classification",
        tags=TAGS,
        datasets=[data_set] if data_set else None,
        base_model=HUB_WEIGHTS.get(str((metrics["weights"] or {}).get("source"))),
        metrics=["roc_auc", "f1"] if metrics.get("task") == MULTILABEL else ["accuracy", "f1"],
        model_name=f"Music genre classifier, model {metrics['model'].upper()}",
        eval_results=[result for split, one in by_split.items() for result in _results(split, one, data_set)],
    )
    return data.to_yaml() + "\n"


def _hub_data_set(metrics: Mapping[str, Any]) -> str | None:
    """Returns the data set's name on the Hub, or None if it is not there."""
    name = str(metrics["data_name"])
    fetched = metrics.get("data_fetch") == HUB and re.fullmatch(r"[\w.-]+/[\w.-]+", name)
    return name if fetched else HUB_DATA_SETS.get(name)


def _results(split: str, metrics: Mapping[str, Any], data_set: str | None) -> list[EvalResult]:
    clip = metrics["tta"]["none"]["clip"]
    counts = {"clips": clip["n"], "groups": clip["groups"]}
    found = []
    for metric, (name, key) in _METRICS.items():
        if clip.get(key) is None or not math.isfinite(clip[key]):  # of the other task, or undefined
            continue
        interval = clip["intervals"].get(key, {}).get("shown")
        found.append(
            EvalResult(
                task_type="audio-classification",
                task_name="Music genre classification",
                dataset_type=data_set or metrics["data_name"],
                dataset_name=metrics["data_name"],
                dataset_config=metrics.get("data_subset"),
                dataset_split=_SPLITS[split],
                dataset_args=counts,
                metric_type=metric,
                metric_name=name,
                metric_value=round(float(clip[key]), 4),
                metric_args={"interval_95": [round(float(end), 4) for end in interval]} if interval else None,
            )
        )
    return found

"""Lists the available trained models and their scores without loading them."""

from dataclasses import dataclass
from pathlib import Path

from genreclf.errors import GenreclfError
from genreclf.files import newest_first
from genreclf.inference.model_info import read_bundle_config, read_json_object
from genreclf.inference.reliability import ReliabilityBin, read_bins
from genreclf.inference.run_folder import BUNDLE, MODEL_CONFIG, PRETRAINED, SCORES_JSON, pretrained_names
from genreclf.inference.task import MULTICLASS, MULTILABEL
from genreclf.text import one_line

_MAIN_SCORE = {MULTICLASS: "accuracy", MULTILABEL: "mean_average_precision"}  # keys in scores.json, by task


@dataclass(frozen=True)
class Scores:
    """A bundle's scores.json: the main score on clips that training did not use."""

    value: float  # the accuracy; if multi-label, the mean average precision
    interval: tuple[float, float]  # 95 % interval of the value
    parameters: int
    reliability: tuple[ReliabilityBin, ...] = ()  # accuracy by the prediction's probability; empty if not measured
    task: str = MULTICLASS

    @property
    def name(self) -> str:
        """The name of the score in `value`."""
        return _MAIN_SCORE[self.task].replace("_", " ")

    def __str__(self) -> str:
        """Formats the score and its interval as 72.1 % (65 to 79 %)."""
        low, high = self.interval
        return f"{self.value:.1%} ({low * 100:.0f} to {high:.0%})".replace("%", " %")


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be loaded."""

    label: str  # for people
    folder: Path  # of the bundle
    scores: Scores | None  # None before the first evaluation
    picture_seconds: float  # length of the music in a picture, unless the user chooses another


def list_models(runs: Path) -> list[ModelEntry]:
    """Returns the pretrained models, then the finished runs and bundles below the folder `runs`, newest first."""
    pretrained = [_entry(f"{name} (pretrained)", PRETRAINED / name) for name in pretrained_names()]
    trained = []
    for config in newest_first(runs, MODEL_CONFIG):
        place = config.parent.parent if config.parent.name == BUNDLE else config.parent
        trained.append(_entry(runs.name if place == runs else str(place.relative_to(runs)), config.parent))
    return [entry for entry in (*pretrained, *trained) if entry is not None]


def _entry(label: str, folder: Path) -> ModelEntry | None:
    try:
        info = read_bundle_config(folder).info
    except GenreclfError:
        return None  # the commands report what is wrong with it
    return ModelEntry(one_line(label), folder, read_scores(folder), info.picture_seconds)


def read_scores(bundle: Path) -> Scores | None:
    """Reads a bundle folder's scores; None before the first evaluation or if they are damaged."""
    try:
        values = read_json_object(bundle / SCORES_JSON)
        task = values.get("task", MULTICLASS)  # earlier versions wrote no task
        value, low, high = (float(share) for share in (values[_MAIN_SCORE[task]], *values["interval"]))
        if not (0 <= value <= 1 and 0 <= low <= high <= 1):
            return None
        return Scores(value, (low, high), int(values["parameters"]), read_bins(values.get("reliability")), task)
    except (GenreclfError, KeyError, TypeError, ValueError, OverflowError):
        return None

"""The information about a trained model that inference needs, and a bundle's config.json."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol

import numpy as np

from genreclf import __version__
from genreclf.config import SHARE, Limits, build, check_fields
from genreclf.errors import GenreclfError, explained, reason
from genreclf.frontend.segments import ViewConfig
from genreclf.inference.known import Known
from genreclf.inference.run_folder import MODEL_CONFIG
from genreclf.inference.task import MULTICLASS, MULTILABEL, TASKS

FORMATS = {MULTICLASS: 7, MULTILABEL: 8}  # of a bundle; versions without tasks refuse the second
_MAX_CONFIG_BYTES = 100_000
# Limits for values from untrusted files: integer arithmetic on frames stays exact, and no clip is longer than a day.
_SECONDS, _FRAMES = Limits(above=0, at_most=100_000), Limits(above=0, at_most=5_000_000)
# With lower values, a probability would be 0, or a quotient infinite.
TEMPERATURES, _SHARES = Limits(at_least=0.04, at_most=1_000), Limits(at_least=1e-12, at_most=1)


@dataclass(frozen=True)
class ModelInfo:
    """Information about a trained model, without its weights. Raises GenreclfError for invalid values."""

    name: str  # the model's configuration: a, b, svm, ...
    classes: tuple[str, ...]  # in the order of the probabilities
    view: ViewConfig  # how clips are cut into segments
    picture_seconds: Annotated[float, _SECONDS]  # length of the music in a spectrogram picture
    frames_per_column: Annotated[float, _FRAMES]  # of the training spectrograms: 1 for audio, more if downsampled
    temperature: Annotated[float, TEMPERATURES]  # applied to a clip's mean probabilities
    # The following have defaults, because bundles of earlier versions lack them.
    # The probabilities assume the mix shares ** prior_power: 0 is uniform, 1 the mix in training.
    prior_power: Annotated[float, SHARE] = 1.0
    shares: Annotated[tuple[float, ...] | None, _SHARES] = None  # of the classes in the training clips
    known: Known | None = None  # detects out-of-scope music; None for a model trained without any
    task: Annotated[str, TASKS] = MULTICLASS  # one genre per clip, or multilabel: any number of genres
    # multilabel: one per class; a clip has the classes that reach them
    thresholds: Annotated[tuple[float, ...] | None, SHARE] = None

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes) or not self.classes:
            raise GenreclfError(f"classes={list(self.classes)}: expected different names")
        _FRAMES.check("view.segment_frames", self.view.segment_frames)
        check_fields(self, "")
        of_classes = {"shares": self.shares, "thresholds": self.thresholds}
        of_classes |= {"known.weights": self.known.weights if self.known else None}
        for key, values in of_classes.items():
            if values is not None and len(values) != len(self.classes):
                raise GenreclfError(f"{key}={list(values)}: expected a number for each class")
        if (self.task == MULTILABEL) != (self.thresholds is not None):
            raise GenreclfError("thresholds: needed with task=multilabel, and only there")
        if self.task == MULTILABEL and (self.shares is not None or self.known is not None or self.prior_power != 1):
            raise GenreclfError("shares, known, prior_power: not with task=multilabel")

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-like data, from which `from_dict` restores an equal object."""
        values = asdict(self)
        if self.task == MULTICLASS:  # as in earlier versions, so that the digests of their predictions stay valid
            del values["task"], values["thresholds"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelInfo":
        """Inverse of `to_dict`. Keys that are not ModelInfo's are ignored. Raises GenreclfError for invalid values."""
        return build(cls, {key: values[key] for key in cls.__annotations__ if key in values}, "")


class ModelOutput(NamedTuple):
    """A model's output for N segments."""

    probabilities: np.ndarray  # (N, classes), before the temperature
    attention: np.ndarray  # (N, T), the mean over the heads; each row sums to 1
    embedding: np.ndarray  # (N, D), the net's context vector


class Model(Protocol):
    """A trained model that onnxruntime runs for prediction, or torch for evaluation."""

    info: ModelInfo
    weights_sha256: str

    def predict_proba(self, segments: np.ndarray) -> ModelOutput:
        """Runs the net on (N, 128, 256) uint8 segments."""


@dataclass(frozen=True)
class BundleConfig:
    """A bundle's config.json."""

    info: ModelInfo
    kind: str  # the kind of net: classifier, svm or majority
    net: dict[str, Any]  # the net's configuration
    weights_sha256: str  # of model.safetensors; model.onnx contains it, too

    def to_json(self) -> str:
        """Returns the text of config.json."""
        rest: dict[str, Any] = {"kind": self.kind, "net": self.net, "weights_sha256": self.weights_sha256}
        first = {"format": FORMATS[self.info.task], "genreclf": __version__}
        return json.dumps({**first, **self.info.to_dict(), **rest}, indent=1) + "\n"


def read_bundle_config(folder: Path) -> BundleConfig:
    """Reads a bundle folder's config.json. Raises GenreclfError if it is missing, damaged or of another format."""
    path = folder / MODEL_CONFIG
    values = read_json_object(path)
    found, known = values.get("format"), FORMATS.values()
    if not isinstance(found, int):
        raise GenreclfError(f"{path}: describes no genreclf model; give a bundle, a run or a pretrained model")
    if found not in known:
        newer = found > max(known)
        remedy = "update genreclf" if newer else "train the model again with this version"
        reads = f"genreclf {__version__} reads format {' and '.join(map(str, known))}"
        raise GenreclfError(f"{path}: bundle format {found!r}; {reads}; {remedy}")
    try:
        rest: dict[str, Any] = {key: values[key] for key in ("kind", "net", "weights_sha256") if key in values}
        return build(BundleConfig, {**rest, "info": ModelInfo.from_dict(values)}, "")
    except GenreclfError as error:
        raise GenreclfError(f"{path}: damaged ({reason(error)}); copy the bundle again") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """Reads the JSON object in a small file. Raises GenreclfError if there is none."""
    with explained(f"{path}: cannot be read", "copy the bundle again", OSError, ValueError, RecursionError):
        with path.open("rb") as file:
            text = file.read(_MAX_CONFIG_BYTES + 1)
        if len(text) > _MAX_CONFIG_BYTES:
            raise ValueError(f"larger than {_MAX_CONFIG_BYTES} bytes")
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
    return values

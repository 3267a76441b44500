"""Predictions of a scored split, and their Parquet file, which pandas, polars and DuckDB can open."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from genreclf.data.store import Store
from genreclf.files import write_atomically
from genreclf.frontend.clip import Clip
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.inference.predictor import Prediction, Predictor
from genreclf.progress import progress_map
from genreclf.tags.plan import join_genres, split_genres
from genreclf.text import utf8

PREFIX = "p_"  # of the columns with the probability of a class
_THRESHOLDS = b"genreclf.thresholds"


@dataclass(frozen=True)
class Predictions:
    """Predictions with one entry per clip."""

    classes: tuple[str, ...]
    paths: tuple[str, ...]  # relative to the data folder
    digests: tuple[str, ...]  # SHA-256 of the files
    groups: tuple[str, ...]  # clips of one group are never split between training and test
    target: np.ndarray  # (N,) indices of the true classes; (N, classes) bool if clips may have several genres
    probabilities: np.ndarray  # (N, classes), calibrated
    thresholds: tuple[float, ...] | None = None  # for several genres: the least probability at which a clip has each

    @property
    def several(self) -> bool:
        """Whether clips may have several genres."""
        return self.target.ndim == 2

    @property
    def predicted(self) -> np.ndarray:
        """(N,) indices of the predicted classes, or (N, classes) bool."""
        if self.thresholds is None:
            return np.asarray(self.probabilities.argmax(1))
        return self.probabilities >= np.array(self.thresholds)

    @property
    def correct(self) -> np.ndarray:
        """(N,) bool."""
        return np.asarray(self.predicted == self.target)

    def subset(self, clips: Sequence[int]) -> "Predictions":
        """Returns the entries at these indices, in this order."""
        texts = (self.paths, self.digests, self.groups)
        paths, digests, groups = (tuple(each[clip] for clip in clips) for each in texts)
        chosen = np.asarray(clips, dtype=np.int64)
        target, probabilities = self.target[chosen], self.probabilities[chosen]
        return replace(self, paths=paths, digests=digests, groups=groups, target=target, probabilities=probabilities)


def predict_clips(predictor: Predictor, store: Store, clips: Sequence[int], progress: str) -> list[Prediction]:
    """Predicts the clips at these indices of the store. `progress` labels the progress bar."""
    return progress_map(lambda clip: predictor.predict(stored_clip(store, clip)), clips, progress, "clips")


def stored_clip(store: Store, clip: int) -> Clip:
    """Returns a clip of the store as the front end made it."""
    row = store.rows[clip]
    return Clip(np.array(store.spectrogram(clip)), row.frames, 0, row.frames / FRAME_RATE_HZ, "")


def write_predictions(path: Path, by_tta: Mapping[str, Predictions]) -> None:
    """Writes a row for each clip and TTA: path, digest, group, tta, true, predicted, then p_CLASS for each class.

    Several genres of a clip are joined by semicolons; the file's metadata then contain the thresholds.
    """
    buffer = pa.BufferOutputStream()
    table = pa.concat_tables(_table(tta, predictions) for tta, predictions in by_tta.items())
    thresholds = next(iter(by_tta.values())).thresholds
    if thresholds is not None:
        table = table.replace_schema_metadata({_THRESHOLDS: json.dumps(thresholds)})
    parquet.write_table(table, buffer)
    write_atomically(path, buffer.getvalue().to_pybytes())


def _table(tta: str, predictions: Predictions) -> pa.Table:
    classes = list(map(utf8, predictions.classes))
    columns = {
        "path": list(map(utf8, predictions.paths)),
        "digest": predictions.digests,
        "group": list(map(utf8, predictions.groups)),
        "tta": [tta] * len(predictions.paths),
        "true": cells(predictions.target, classes),
        "predicted": cells(predictions.predicted, classes),
    }
    by_class = {PREFIX + name: predictions.probabilities[:, number] for number, name in enumerate(classes)}
    return pa.table({**columns, **by_class})


def cells(numbers: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Converts (N,) class indices or (N, classes) bool to one cell per clip with its genres."""
    names = np.array(classes)
    if numbers.ndim == 1:
        return list(names[numbers])
    return [join_genres(names[row]) for row in numbers]


def read_predictions(path: Path, tta: str) -> Predictions | None:
    """Reads the rows of one TTA, sorted by path. Returns None if the file has none.

    Raises OSError, KeyError or ValueError (as pyarrow does) for a file that `write_predictions` did not write.
    """
    table = parquet.read_table(path)
    table = table.filter(pa.compute.equal(table["tta"], tta)).sort_by("path")
    if not len(table):
        return None
    columns = [name for name in table.column_names if name.startswith(PREFIX)]
    classes = tuple(name.removeprefix(PREFIX) for name in columns)
    paths, digests, groups, true = (tuple(table[name].to_pylist()) for name in ("path", "digest", "group", "true"))
    thresholds = (table.schema.metadata or {}).get(_THRESHOLDS)
    probabilities = np.column_stack([table[name] for name in columns]).astype(float)
    if not (probabilities >= 0).all():
        raise ValueError("a probability is not a number of at least 0")
    if thresholds is None:
        target = np.array([classes.index(name) for name in true], dtype=np.int64)
        return Predictions(classes, paths, digests, groups, target, probabilities)
    several = np.array([[name in split_genres(cell) for name in classes] for cell in true])
    return Predictions(classes, paths, digests, groups, several, probabilities, tuple(json.loads(thresholds)))

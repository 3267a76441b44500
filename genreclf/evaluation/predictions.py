"""A scored split's answers, clip by clip, as a Parquet file that pandas, polars and DuckDB open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

FILE = "predictions.parquet"
PREFIX = "p_"  # of the columns that hold a class's probability


@dataclass(frozen=True)
class Predictions:
    """An entry a clip. `paths` are relative, `digests` of the files, `groups` of clips that are never parted.

    `target` is (N,) the true classes' numbers, `probabilities` (N, classes) calibrated.
    """

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    groups: tuple[str, ...]
    target: np.ndarray
    probabilities: np.ndarray


def write_predictions(path: Path, by_tta: Mapping[str, Predictions]) -> None:
    """A row for each clip and kind of TTA: path, digest, group, tta, true, predicted, then p_CLASS for each class."""
    parquet.write_table(pa.concat_tables(_table(tta, own) for tta, own in by_tta.items()), path)


def _table(tta: str, own: Predictions) -> pa.Table:
    names = np.array(own.classes)
    columns = {
        "path": list(map(_text, own.paths)),
        "digest": own.digests,
        "group": list(map(_text, own.groups)),
        "tta": [tta] * len(own.paths),
        "true": names[own.target].tolist(),
        "predicted": names[own.probabilities.argmax(1)].tolist(),
    }
    shares = {PREFIX + name: own.probabilities[:, number] for number, name in enumerate(own.classes)}
    return pa.table({**columns, **shares})


def _text(name: str) -> str:
    """Names of files need not be UTF-8, which Parquet wants."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def read_predictions(path: Path, tta: str) -> Predictions | None:
    """The rows of one kind of TTA in the order of paths; None where the file has none of it.

    Raises OSError or ValueError (pyarrow's errors are such) for a file that is none of ours.
    """
    table = parquet.read_table(path)
    table = table.filter(pa.compute.equal(table["tta"], tta)).sort_by("path")
    if not len(table):
        return None
    shares = [name for name in table.column_names if name.startswith(PREFIX)]
    classes = tuple(name.removeprefix(PREFIX) for name in shares)
    paths, digests, groups, true = (tuple(table[name].to_pylist()) for name in ("path", "digest", "group", "true"))
    target = _numbers(true, classes)
    return Predictions(classes, paths, digests, groups, target, np.column_stack([table[name] for name in shares]))


def _numbers(names: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    return np.array([classes.index(name) for name in names], dtype=np.int64)

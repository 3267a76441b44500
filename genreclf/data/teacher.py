"""Reads vectors from other nets, which the net also learns to predict in training (knowledge distillation)."""

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np

from genreclf.data.clip_name import clip_name
from genreclf.data.notices import tell_once
from genreclf.errors import GenreclfError, reason
from genreclf.text import first_names

NAMES = "clip"  # the array or column with the clips' names
COMPONENTS = 16  # of each teacher: a net can hardly predict the components with less variance (see scripts/TRIALS.md)
MIN_CLIPS = 2  # training clips with a vector: fewer have no principal components
_MAX_NUMBER = 1e30  # the squares of larger numbers would overflow
_LEAST_SHARE = 1e-6  # of the first component's variance: smaller variances are rounding errors


def teacher_vectors(file: Path, paths: Sequence[str], training: Sequence[int]) -> np.ndarray:
    """Returns the targets of the clips `paths`: (clips, K) float32, with NaN in the rows of clips not in `file`.

    Each array of the file is one teacher. It is reduced to its first 16 principal components and whitened to variance
    1, both computed from the clips `training`. The components of all teachers are concatenated.

    `file` is an .npz or .parquet. `clip` contains the clips' paths or names, and each other array or column a vector
    per clip. Prints on standard error how many clips have no vector. Raises GenreclfError for a file that cannot be
    used.
    """
    names, teachers = _read(file)
    rows = _rows(file, names, paths)
    missing = [path for path, row in zip(paths, rows, strict=True) if row < 0]
    if missing:
        tell_once(f"teacher={file}: has no vector for {len(missing)} of {len(paths)} clips ({first_names(missing)})")
    taught = [rows[clip] for clip in training if rows[clip] >= 0]
    if len(taught) < MIN_CLIPS:
        raise GenreclfError(
            f"teacher={file}: has vectors for {len(taught)} training clips; give it at least {MIN_CLIPS}"
        )
    whitened = {name: _whitened(vectors, taught) for name, vectors in teachers.items()}
    for name, vectors in whitened.items():
        if not vectors.shape[1]:
            raise GenreclfError(f"teacher={file}: {name!r} is the same for all training clips; leave it out")
    reduced = np.concatenate(list(whitened.values()), 1)  # (names, K)
    targets = np.full((len(paths), reduced.shape[1]), np.nan, np.float32)
    known = rows >= 0
    targets[known] = reduced[rows[known]]
    return targets


def _read(file: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Reads the clips' names, and the (names, D) vectors of each teacher."""
    try:
        arrays = _parquet(file) if file.suffix.lower() == ".parquet" else _npz(file)
        names = [str(name) for name in arrays.pop(NAMES)]
        teachers = {name: vectors.astype(np.float64, casting="same_kind") for name, vectors in arrays.items()}
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        need = f"an .npz or .parquet with {NAMES!r} and vectors of one length"
        raise GenreclfError(f"teacher={file}: cannot be read ({reason(error)}); give {need}") from error
    for name, vectors in teachers.items():
        if vectors.ndim != 2 or len(vectors) != len(names):
            fault = f"{name!r} has shape {vectors.shape}, with {len(names)} clips"
            raise GenreclfError(f"teacher={file}: {fault}; give one vector per clip")
        if not (np.abs(vectors) < _MAX_NUMBER).all():
            fault = f"{name!r} has numbers that are not finite, or above {_MAX_NUMBER:g}"
            raise GenreclfError(f"teacher={file}: {fault}; leave those clips out")
    if not teachers:
        raise GenreclfError(f"teacher={file}: has no vectors besides {NAMES!r}; add an array with one vector per clip")
    return names, teachers


def _npz(file: Path) -> dict[str, np.ndarray]:
    if file.is_file() and not is_zipfile(file):
        raise ValueError("it is not an .npz file")
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def _parquet(file: Path) -> dict[str, np.ndarray]:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    try:
        table = read_table(file)
    except ArrowException as error:
        raise ValueError(error) from error
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}


def _rows(file: Path, names: Sequence[str], paths: Sequence[str]) -> np.ndarray:
    """Returns the row of each clip, or -1, by its path or else by its name without folder and suffix: (clips,)."""
    row_of = {name: row for row, name in enumerate(names)}
    if len(row_of) < len(names):
        twice = next(name for row, name in enumerate(names) if row_of[name] != row)
        raise GenreclfError(f"teacher={file}: two vectors for {twice!r}; delete one of them")
    rows = np.array([row_of.get(path, row_of.get(clip_name(path), -1)) for path in paths])
    if (rows < 0).all():
        firsts = f"first name: {next(iter(names), 'none')!r}, first clip: {next(iter(paths), 'none')!r}"
        raise GenreclfError(f"teacher={file}: none of its {len(names)} names matches a clip; compare them ({firsts})")
    return rows


def _whitened(vectors: np.ndarray, training: Sequence[int]) -> np.ndarray:
    """Returns principal components, each divided by its standard deviation over the rows `training`.

    (N, D) -> (N, at most 16)
    """
    mean = vectors[training].mean(0)
    _, deviations, axes = np.linalg.svd(vectors[training] - mean, full_matrices=False)
    kept = np.flatnonzero(deviations[:COMPONENTS] ** 2 > _LEAST_SHARE * deviations[0] ** 2)
    scale = deviations[kept] / len(training) ** 0.5
    return np.asarray((vectors - mean) @ axes[kept].T / scale)

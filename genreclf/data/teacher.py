"""Reads vectors from other nets, which the net also learns to predict in training (knowledge distillation)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict

from genreclf.data.clip_name import clip_name
from genreclf.data.notices import print_once
from genreclf.errors import GenreclfError, explained
from genreclf.text import first_names

NAMES = "clip"  # the array or column with the clips' names
COMPONENTS = 16  # of each teacher: a net can hardly predict the components with less variance (see scripts/TRIALS.md)
_SCORED_COMPONENTS = 64  # from which the genre scores are computed
_RIDGE = 300.0  # against overfitting with few clips; with a thousand, it only scales the scores of whitened components
_PARTS = 8  # of the training clips: the scores of one part are from a fit to the others
MIN_CLIPS = 2  # training clips with a vector: fewer have no principal components
_MAX_NUMBER = 1e30  # the squares of larger numbers would overflow
_LEAST_SHARE = 1e-6  # of the first component's variance: smaller variances are rounding errors


@dataclass(frozen=True)
class Taught:
    """The training clips, to whose genres the teachers' genre scores are fitted."""

    clips: Sequence[int]  # positions in the list of paths
    genres: np.ndarray  # (clips, classes), 1 for each genre of a clip, else 0; only 0 for out-of-scope clips
    groups: Sequence[Any]  # one value per clip: the scores of a clip are from a fit to other groups


def teacher_vectors(file: Path, paths: Sequence[str], training: Taught) -> np.ndarray:
    """Returns the targets of the clips `paths`: (clips, K) float32, with NaN in the rows of clips not in `file`.

    Each array of the file is one teacher. Its targets are its first 16 principal components, and a score for each
    genre, which is a ridge regression of the first 64 components on the genres. The scores of a training clip are from
    a fit to other groups. All targets are whitened to variance 1. Everything is computed from the training clips.

    `file` is an .npz or .parquet. `clip` contains the clips' paths or names, and each other array or column a vector
    per clip. Prints on standard error how many clips have no vector. Raises GenreclfError for a file that cannot be
    used.
    """
    names, teachers = _read(file)
    rows = _rows(file, names, paths)
    missing = [path for path, row in zip(paths, rows, strict=True) if row < 0]
    if missing:
        print_once(f"teacher={file}: has no vector for {len(missing)} of {len(paths)} clips ({first_names(missing)})")
    taught = [number for number, clip in enumerate(training.clips) if rows[clip] >= 0]
    if len(taught) < MIN_CLIPS:
        fault = f"has vectors for {len(taught)} training clips"
        raise GenreclfError(f"teacher={file}: {fault}; give it at least {MIN_CLIPS}")
    fitted = rows[[training.clips[number] for number in taught]]
    genres, groups = training.genres[taught], [training.groups[number] for number in taught]
    parts = []
    for name, vectors in teachers.items():
        components = _whitened(vectors, fitted, _SCORED_COMPONENTS)
        if not components.shape[1]:
            raise GenreclfError(f"teacher={file}: {name!r} is the same for all training clips; leave it out")
        scores = _genre_scores(components, fitted, genres, groups)
        parts += [components[:, :COMPONENTS], _whitened(scores, fitted, scores.shape[1])]
    reduced = np.concatenate(parts, 1)  # (names, K)
    targets = np.full((len(paths), reduced.shape[1]), np.nan, np.float32)
    known = rows >= 0
    targets[known] = reduced[rows[known]]
    return targets


def _read(file: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Reads the clips' names, and the (names, D) vectors of each teacher."""
    remedy = f"give an .npz or .parquet with {NAMES!r} and vectors of one length"
    faults = OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile
    with explained(f"teacher={file}: cannot be read", remedy, *faults):
        arrays = _parquet(file) if file.suffix.lower() == ".parquet" else _npz(file)
        names = [str(name) for name in arrays.pop(NAMES)]
        teachers = {name: vectors.astype(np.float64, casting="same_kind") for name, vectors in arrays.items()}
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


def _whitened(vectors: np.ndarray, fitted: np.ndarray, most: int) -> np.ndarray:
    """Returns principal components, each divided by its standard deviation over the rows `fitted`.

    (N, D) -> (N, at most `most`)
    """
    mean = vectors[fitted].mean(0)
    _, deviations, axes = np.linalg.svd(vectors[fitted] - mean, full_matrices=False)
    kept = np.flatnonzero(deviations[:most] ** 2 > _LEAST_SHARE * deviations.max(initial=0) ** 2)
    scale = deviations[kept] / len(fitted) ** 0.5
    return np.asarray((vectors - mean) @ axes[kept].T / scale)


def _genre_scores(components: np.ndarray, fitted: np.ndarray, genres: np.ndarray, groups: Sequence[Any]) -> np.ndarray:
    """Returns a score for each genre, whose fit never contained the clip's own group: (N, classes).

    With fewer than two groups, there are none: (N, 0).
    """
    parts = min(_PARTS, len(set(groups)))
    if parts < 2:
        return np.empty((len(components), 0))
    ridge = Ridge(_RIDGE)
    scores = ridge.fit(components[fitted], genres).predict(components)
    folds = GroupKFold(parts)
    scores[fitted] = cross_val_predict(ridge, components[fitted], genres, groups=groups, cv=folds)
    return np.asarray(scores)

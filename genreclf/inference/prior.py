"""The mix of genres (class prior) that probabilities assume: how common each genre is."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genreclf.errors import GenreclfError, reason
from genreclf.files import check_ends, user_path
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.task import MULTILABEL

UNIFORM, TRAINING = "uniform", "training"
COLUMNS = ["genre", "weight"]


def prior_factors(prior: str | None, info: ModelInfo) -> np.ndarray | None:
    """(classes,) what a model's probabilities are multiplied by for another mix of genres; None for its own.

    `prior` is None (the model's own mix), "uniform", "training" (the shares of the training clips), or the path of a
    CSV with the columns genre and weight (how common it is: a share or a number of songs). Raises GenreclfError for a
    model that does not know the shares of its training clips or predicts several genres, and for a file that cannot be
    used.
    """
    if prior is not None and info.task == MULTILABEL:
        raise GenreclfError(f"prior={prior}: model {info.name} predicts several genres, without a mix; leave it out")
    if prior is None or (prior, info.prior_power) in ((UNIFORM, 0), (TRAINING, 1)):
        return None
    if info.shares is None:
        raise GenreclfError(f"prior={prior}: model {info.name} does not record the genres' shares in its training")
    shares = np.array(info.shares)
    powers = {UNIFORM: 0.0, TRAINING: 1.0}
    asked = shares ** powers[prior] if prior in powers else _weights(user_path(prior), info.classes)
    return np.asarray(asked / shares**info.prior_power)


def with_prior(probabilities: np.ndarray, factors: np.ndarray | None) -> np.ndarray:
    """(..., classes) probabilities times `factors`, scaled to sum to 1 (Saerens et al. 2002)."""
    if factors is None:
        return probabilities
    products = probabilities * factors
    return np.asarray(products / products.sum(axis=-1, keepdims=True))


def _weights(file: Path, classes: Sequence[str]) -> np.ndarray:
    """The weight of each class in the file, which names all of them."""
    where = f"prior={file}"
    try:
        with check_ends(file).open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            if table.fieldnames != COLUMNS:
                raise ValueError(f"its first line is not {','.join(COLUMNS)}")
            rows = {row["genre"]: float(row["weight"]) for row in table}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise GenreclfError(
            f"{where}: cannot be read ({reason(error)}); give uniform, training, or a CSV of them"
        ) from error
    if missing := [name for name in classes if name not in rows]:
        raise GenreclfError(f"{where}: has no weight for {', '.join(map(repr, missing))}; add a line for each")
    if unknown := [name for name in rows if name not in classes]:
        known = ", ".join(classes)
        raise GenreclfError(f"{where}: the model has no genre {unknown[0]!r}; delete its line (the genres: {known})")
    weights = [rows[name] for name in classes]
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise GenreclfError(f"{where}: weights are numbers of at least 0, and one is above 0; correct {weights}")
    return np.array(weights)

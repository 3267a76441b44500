"""The mix of genres (class prior) that probabilities assume: how common each genre is."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genreclf.csv_text import read_csv_text
from genreclf.errors import GenreclfError
from genreclf.files import user_path
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.task import MULTILABEL
from genreclf.text import spelling_key

UNIFORM, TRAINING = "uniform", "training"
COLUMNS = ("genre", "weight")
_THOUSANDS = re.compile(r"[1-9]\d{0,2},\d{3}")  # or a decimal comma: not known


def prior_factors(prior: str | None, info: ModelInfo) -> np.ndarray | None:
    """Returns factors, (classes,), that convert a model's probabilities to another mix of genres; None for its own.

    `prior` is None (the model's own mix), "uniform", "training" (the shares in the training clips), or the path of a
    CSV with the columns genre and weight (how common it is: a share or a number of songs). Raises GenreclfError if the
    model does not record the shares in its training clips or predicts several genres, or if the file cannot be used.
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
    """Multiplies (..., classes) probabilities by `factors` and scales them to sum to 1 (Saerens et al. 2002)."""
    if factors is None:
        return probabilities
    products = probabilities * factors
    return np.asarray(products / products.sum(axis=-1, keepdims=True))


def _weights(file: Path, classes: Sequence[str]) -> np.ndarray:
    """Reads the weight of each class, (classes,), from a file that must list them all; the highest becomes 1."""
    where = f"prior={file}"
    if not file.exists():  # perhaps a misspelt word
        raise GenreclfError(f"{where}: no such file; give uniform, training, or a CSV with {' and '.join(COLUMNS)}")
    spellings = {spelling_key(name): name for name in classes}
    rows: dict[str, float] = {}
    for line, (genre, weight) in read_csv_text(file, where).columns(*COLUMNS):
        name = genre if genre in classes else spellings.get(spelling_key(genre), genre)
        if name in rows:
            raise GenreclfError(f"{where}: line {line}: {genre!r} has a weight already; delete one of the lines")
        rows[name] = _weight(weight, f"{where}: line {line}: {genre}")
    if missing := [name for name in classes if name not in rows]:
        raise GenreclfError(f"{where}: has no weight for {', '.join(map(repr, missing))}; add a line for each")
    if unknown := [name for name in rows if name not in classes]:
        known = ", ".join(classes)
        raise GenreclfError(f"{where}: the model has no genre {unknown[0]!r}; delete its line (the genres: {known})")
    weights = [rows[name] for name in classes]
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise GenreclfError(f"{where}: weights are numbers of at least 0, and one is above 0; correct {weights}")
    return np.array(weights) / max(weights)  # products with large numbers would be infinite


def _weight(cell: str, where: str) -> float:
    """Returns a number, which may have a decimal comma."""
    try:
        return float(cell if _THOUSANDS.fullmatch(cell) else cell.replace(",", "."))
    except ValueError as error:
        raise GenreclfError(f"{where}: {cell!r} is not a number; give one, such as 0.25 or 1000") from error

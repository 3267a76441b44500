"""Estimates whether a clip is of one of a model's genres at all."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from genreclf.config import Limits, check_fields

# Lower probabilities are raised to this, because they depend on the recording more than on the music. With 1e-6, a
# model that changed 3 % of its predictions at 8 kHz withheld half of the correct ones there.
_LEAST = 0.02
_FINITE = Limits(-100_000, at_most=100_000)  # so that the score stays finite


@dataclass(frozen=True)
class Known:
    """A detector of out-of-scope music: logistic regression on the logarithms of a model's probabilities.

    The probability that a clip is in scope, if half of all clips are, is sigmoid(offset + weights * x), where x are the
    logarithms of the calibrated probabilities. Their maximum alone is less informative, because some genres are
    predicted for out-of-scope music more often than others. Raises GenreclfError for values beyond `_FINITE`.
    """

    offset: Annotated[float, _FINITE]
    weights: Annotated[tuple[float, ...], _FINITE]  # one per class
    threshold: Annotated[float, _FINITE]  # below it the genre is withheld, as for 5 % of the correct predictions

    def __post_init__(self) -> None:
        check_fields(self, "known")

    def probability(self, probabilities: np.ndarray) -> np.ndarray:
        """(..., classes) calibrated probabilities -> (...) in [0, 1]."""
        score = self.offset + log_probabilities(probabilities) @ np.array(self.weights)
        return np.asarray(1 / (1 + np.exp(-score)))


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """(..., classes) probabilities -> (..., classes) logarithms, at least log(0.02)."""
    return np.asarray(np.log(np.maximum(probabilities, _LEAST)))

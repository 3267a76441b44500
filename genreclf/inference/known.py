"""Whether a clip is of one of a model's genres at all."""

from dataclasses import dataclass

import numpy as np

_LEAST = 1e-6  # of a probability and of its complement


@dataclass(frozen=True)
class Known:
    """How a model that has heard music of none of its genres tells it: by how sure it is of the best one.

    The log-odds of the highest probability, (x), become the probability sigmoid(offset + slope * x) that the clip is of
    one of the genres, if as many clips are as are not (Platt 1999).
    """

    offset: float
    slope: float
    threshold: float  # below it the genre is withheld; 5 % of the correct answers are

    def probability(self, probabilities: np.ndarray) -> float:
        """(classes,) calibrated probabilities -> in [0, 1]."""
        return float(1 / (1 + np.exp(-self.offset - self.slope * confidence(probabilities))))


def confidence(probabilities: np.ndarray) -> np.ndarray:
    """(..., classes) -> (...) log-odds of the highest probability."""
    highest = np.clip(probabilities.max(axis=-1), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(highest / (1 - highest)))

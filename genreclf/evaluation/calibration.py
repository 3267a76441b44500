"""Whether "80 %" means 80 %: how confidence and accuracy agree, and the temperature that brings them together."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

BINS = 15
CHANCE_DRAWS = 1_000
_LOG_TEMPERATURES = (-3.0, 3.0)


@dataclass(frozen=True)
class Bin:
    """Predictions whose confidence lies in (low, high]: how many, their mean confidence, the share that is right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def apply_temperature(probabilities: Tensor, temperature: float) -> Tensor:
    """(N, classes) probabilities raised to 1 / `temperature` and scaled to sum to 1: the order of classes stays.

    Of one segment's softmax this is the usual softmax(logits / T) (Guo et al. 2017); of a mean over segments or copies
    it calibrates the mean, which is what is answered (Rahaman and Thiery 2021). Scripts.
    """
    return (probabilities.clamp(min=1e-12).log() / temperature).softmax(dim=1)


def fit_temperature(probabilities: Tensor, target: Tensor) -> float:
    """The temperature, from 0.05 to 20, that makes the log-loss of (N, classes) probabilities least.

    Fit it on validation clips. A normal prior of its logarithm, with deviation 1, weighs as much as a clip or two: it
    holds the temperature where there are few clips, or all are right.
    """
    from scipy.optimize import minimize_scalar  # only who trains pays for this import

    def loss(log_temperature: float) -> float:
        own = apply_temperature(probabilities.double(), math.exp(log_temperature)).gather(1, target[:, None])
        return float(-own.log().sum()) + log_temperature**2 / 2

    return math.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded", options={"xatol": 1e-6}).x)


def cross_fitted(probabilities: Tensor, target: Tensor, fold: np.ndarray) -> Tensor:
    """(N, classes) probabilities, apply_temperature in each fold by what fits the clips of all others; `fold` is (N,) numbers.

    So no clip has a part in its own temperature. Takes two folds at least.
    """
    out = probabilities.clone()
    for number in np.unique(fold):
        own, others = (torch.from_numpy(mask) for mask in (fold == number, fold != number))
        out[own] = apply_temperature(probabilities[own], fit_temperature(probabilities[others], target[others]))
    return out


def reliability(probabilities: np.ndarray, target: np.ndarray) -> list[Bin]:
    """The predictions in 15 bins of equal width by the probability of the class that is answered; empty ones are left
    out.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == target
    place = _place(confidence)
    return [
        Bin(
            number / BINS,
            (number + 1) / BINS,
            int((place == number).sum()),
            float(confidence[place == number].mean()),
            float(right[place == number].mean()),
        )
        for number in np.unique(place)
    ]


def calibration_error(probabilities: np.ndarray, target: np.ndarray) -> float:
    """The expected calibration error, in [0, 1]: the bins' mean distance of confidence and accuracy, weighted by size
    (Naeini et al. 2015, Guo et al. 2017).
    """
    return _errors(probabilities.max(axis=1), (probabilities.argmax(axis=1) == target)[None])[0]


def chance_error(probabilities: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The calibration error that a perfectly calibrated model with these confidences would show: mean, 95th percentile.

    It is not 0, as bins hold few clips; an error below the percentile gives no reason to doubt the calibration
    (Bröcker and Smith 2007).
    """
    confidence = probabilities.max(axis=1)
    right = np.random.default_rng(seed).random((CHANCE_DRAWS, len(confidence))) < confidence
    errors = _errors(confidence, right)
    return float(errors.mean()), float(np.percentile(errors, 95))


def _place(confidence: np.ndarray) -> np.ndarray:
    """(N,) the number of each one's bin."""
    return np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)


def _errors(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(N,) confidences, (draws, N) whether right -> (draws,) calibration errors."""
    in_bin = np.zeros((len(confidence), BINS))
    in_bin[np.arange(len(confidence)), _place(confidence)] = 1
    return np.abs((right - confidence) @ in_bin).sum(axis=1) / len(confidence)


def calibration(probabilities: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """All of it as JSON-like data."""
    mean, most = chance_error(probabilities)
    return {
        "ece": float(calibration_error(probabilities, target)),
        "ece_by_chance": {"mean": mean, "p95": most},
        "mean_confidence": float(probabilities.max(axis=1).mean()),
        "bins": [asdict(one) for one in reliability(probabilities, target)],
    }

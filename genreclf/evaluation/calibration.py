"""Measures calibration, and fits the temperature with which predictions made with 80 % are correct in 80 % of cases."""

import itertools
import math
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from genreclf.inference.temperature import apply_temperature, apply_temperature_to_each

BINS = 15
SIMULATIONS = 1_000
_NUMBERS_AT_ONCE = 5_000_000  # 40 MB
_LEAST = 1e-12  # avoids log(0)
# The bins of `reliability`. With 20 clips, the standard error of an accuracy of 80 % is 9 points.
_TWENTIETHS, _LEAST_CLIPS = 20, 20


def fit_temperature(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Fits the temperature, in [0.05, 20], that minimizes the log-loss of (N, classes) probabilities (Guo et al. 2017).

    `target` is (N,) classes or, for several genres, (N, classes) bool, with the log-loss summed over the genres. Use
    validation clips. A standard normal prior on the logarithm of the temperature weighs about as much as one or two
    clips. It keeps the temperature finite if there are few clips, or if all are correct.
    """

    def loss(log_temperature: float) -> float:
        calibrated = calibrated_by(probabilities, math.exp(log_temperature), target)
        if target.ndim == 2:
            likelihood = np.maximum(np.where(target, calibrated, 1 - calibrated), _LEAST)
        else:
            likelihood = calibrated[np.arange(len(target)), target]
        return -float(np.log(likelihood).sum()) + log_temperature**2 / 2

    return math.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-6}).x)


def calibrated_by(probabilities: np.ndarray, temperature: float, target: np.ndarray) -> np.ndarray:
    """Applies a temperature to the probabilities. The shape of `target` determines the task."""
    return (apply_temperature_to_each if target.ndim == 2 else apply_temperature)(probabilities, temperature)


def cross_calibrate(probabilities: np.ndarray, target: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Calibrates each fold of (N, classes) probabilities with the temperature fitted on all other folds.

    A clip's label therefore never affects its own temperature. `fold` is (N,), with at least two different numbers.
    """
    calibrated = np.empty(probabilities.shape)
    for number in np.unique(fold):
        inside, outside = fold == number, fold != number
        temperature = fit_temperature(probabilities[outside], target[outside])
        calibrated[inside] = calibrated_by(probabilities[inside], temperature, target)
    return calibrated


def calibration_error(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Returns the expected calibration error in [0, 1] (Naeini et al. 2015, Guo et al. 2017).

    It is the mean of |confidence - accuracy| over bins, weighted by their size. For several genres, `target` is
    (N, classes) bool, and the bins are over all pairs of a clip and a genre.
    """
    confidence, correct = _confidence(probabilities, target)
    return float(_errors(confidence, correct[None])[0])


def _confidence(probabilities: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the confidence of each prediction and whether it is correct.

    There is one per clip, (N,), or for several genres one per pair of a clip and a genre, (N * classes,).
    """
    if target.ndim == 2:
        return probabilities.ravel(), target.ravel()
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == target


def _bin_index(confidence: np.ndarray) -> np.ndarray:
    return np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)


def _errors(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Returns (draws,) calibration errors from (N,) confidences and (draws, N) bool."""
    in_bin = np.zeros((len(confidence), BINS))
    in_bin[np.arange(len(confidence)), _bin_index(confidence)] = 1
    return np.abs((correct - confidence) @ in_bin).sum(axis=1) / len(confidence)


def reliability(confidence: np.ndarray, correct: np.ndarray) -> list[dict[str, Any]]:
    """Returns the accuracy of (N,) predictions by confidence, in bins of at least 20 clips, for display.

    The edges are multiples of 0.05. A bin with fewer clips is merged with the next one, the last bin with the one
    before. Fewer than 20 clips make one bin. Bins are [low, high); the last one includes 1.
    """
    borders = np.arange(1, _TWENTIETHS) / _TWENTIETHS
    index = np.searchsorted(borders, confidence, side="right")
    counts = np.bincount(index, minlength=_TWENTIETHS)
    edges = [int(index.min())]
    for edge in range(edges[0] + 1, _TWENTIETHS + 1):
        if counts[edges[-1] : edge].sum() >= _LEAST_CLIPS and counts[edge:].sum() >= _LEAST_CLIPS:
            edges.append(edge)
    edges.append(_TWENTIETHS)
    return [
        {
            "low": low / _TWENTIETHS,
            "high": high / _TWENTIETHS,
            "clips": int(counts[low:high].sum()),
            "accuracy": float(correct[(low <= index) & (index < high)].mean()),
        }
        for low, high in itertools.pairwise(edges)
    ]


def calibration(probabilities: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Returns the calibration of (N, classes) probabilities as JSON-like data.

    For several genres, "n" and "clips" count pairs of a clip and a genre, and "accuracy" is the share of pairs in which
    the clip has the genre.

    `ece_if_calibrated` is the error of a perfectly calibrated model with these confidences (mean and 95th percentile).
    It is above 0 because bins hold few clips. An error below the percentile is no evidence against the calibration
    (Bröcker and Smith 2007). `bins` are the non-empty bins, (low, high] by confidence. scores.json contains
    `reliability`.
    """
    confidence, correct = _confidence(probabilities, target)
    errors, index = _simulated_errors(confidence), _bin_index(confidence)
    return {
        "ece": calibration_error(probabilities, target),
        "ece_if_calibrated": {"mean": float(errors.mean()), "p95": float(np.percentile(errors, 95))},
        "mean_confidence": float(confidence.mean()),
        "bins": [
            {
                "low": number / BINS,
                "high": (number + 1) / BINS,
                "n": int((index == number).sum()),
                "confidence": float(confidence[index == number].mean()),
                "accuracy": float(correct[index == number].mean()),
            }
            for number in np.unique(index).tolist()
        ],
        "reliability": reliability(confidence, correct),
    }


def _simulated_errors(confidence: np.ndarray) -> np.ndarray:
    """Returns (SIMULATIONS,) errors of a perfectly calibrated model with these confidences."""
    generator, at_once = np.random.default_rng(0), max(1, _NUMBERS_AT_ONCE // len(confidence))
    draws = [min(at_once, SIMULATIONS - start) for start in range(0, SIMULATIONS, at_once)]
    return np.concatenate([_errors(confidence, generator.random((n, len(confidence))) < confidence) for n in draws])

"""Calibration by a temperature: it makes probabilities less or more extreme, and keeps their order."""

import numpy as np

_LEAST = 1e-12  # a probability of 0 has no logarithm


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """(..., classes) probabilities to the power of 1 / `temperature`, scaled to sum to 1; the order of classes stays.

    For a softmax this is softmax(logits / temperature) (Guo et al. 2017). For means: Rahaman and Thiery 2021.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), _LEAST)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def apply_temperature_to_each(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities that do not depend on each other: sigmoid(logit / `temperature`) of each; 0.5 stays."""
    values = probabilities.astype(np.float64)
    logits = np.log(np.maximum(values, _LEAST)) - np.log(np.maximum(1 - values, _LEAST))
    return np.asarray(1 / (1 + np.exp(-logits / temperature)))


def clip_temperature(temperature: float, frames: int, multilabel: bool) -> float:
    """The temperature for the mean over `frames` of music, of a model with this `temperature`. TorchScript compiles it.

    In `multilabel` the length does not matter: more would draw the rare genres of a short clip towards 50 %.
    """
    return temperature if multilabel else temperature * length_factor(frames)


def length_factor(frames: int, least: int = 430, full: int = 1292, exponent: float = 0.15) -> float:
    """The factor of the temperature for a clip of `frames`, from 1.18 for 10 s or less to 1 from 30 s on.

    A mean over fewer segments is more confident and less accurate. Fitted on 2,009 clips of 30 s and their parts (see
    "How much music is needed" in scripts/RESULTS.md). On plain numbers, which TorchScript compiles too.
    """
    return float((full / max(least, min(frames, full))) ** exponent)

"""Temperature scaling, which makes probabilities more or less extreme and keeps their order."""

import numpy as np

_LEAST = 1e-12  # because a probability of 0 has no logarithm


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Raises (..., classes) probabilities to the power 1 / `temperature` and scales them to sum to 1.

    For a softmax, this equals softmax(logits / temperature) (Guo et al. 2017). For means, see Rahaman and Thiery 2021.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), _LEAST)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def apply_temperature_to_each(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Scales independent probabilities: sigmoid(logit / `temperature`) of each, so 0.5 does not change."""
    values = probabilities.astype(np.float64)
    logits = np.log(np.maximum(values, _LEAST)) - np.log(np.maximum(1 - values, _LEAST))
    return np.asarray(1 / (1 + np.exp(-logits / temperature)))


def clip_temperature(temperature: float, frames: int, multilabel: bool) -> float:
    """Returns the temperature for a mean over `frames` of music, for a model with `temperature`. Works in TorchScript.

    With `multilabel`, the length does not matter: a higher temperature would pull a short clip's rare genres to 50 %.
    """
    return temperature if multilabel else temperature * length_factor(frames)


def length_factor(frames: int, least: int = 430, full: int = 1292, exponent: float = 0.15) -> float:
    """Returns the factor of the temperature for a clip of `frames`, from 1.18 up to 10 s to 1 from 30 s on.

    A mean over fewer segments is more confident and less accurate. Fitted on 2,009 clips of 30 s and their parts (see
    "How much music is needed" in scripts/RESULTS.md). Works on plain numbers, also in TorchScript.
    """
    return float((full / max(least, min(frames, full))) ** exponent)

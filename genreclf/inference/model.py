"""What a predictor asks of a trained model, whatever runs it: onnxruntime for prediction, torch for evaluation."""

from typing import NamedTuple, Protocol

import numpy as np

from genreclf.inference.model_info import ModelInfo


class ModelOutput(NamedTuple):
    """A model's output for N segments."""

    probabilities: np.ndarray  # (N, classes), before the temperature
    attention: np.ndarray  # (N, T), the mean over the heads; each row sums to 1
    embedding: np.ndarray  # (N, D), the net's context vector


class Model(Protocol):
    """A trained model."""

    info: ModelInfo
    weights_sha256: str

    def predict_proba(self, segments: np.ndarray) -> ModelOutput:
        """Runs the net on (N, 128, 256) uint8 segments."""

"""A bundle as the model of a predictor, run by torch."""

import numpy as np
import torch

from genreclf.errors import GenreclfError
from genreclf.exporters.torch_log_mel import LogMelSpectrogram
from genreclf.inference.predictor import Facts, Predictor
from genreclf.inference.tta import TTA, probabilities
from genreclf.nets.bundle import Bundle, weights_sha256
from genreclf.nets.device import pick_device


class TorchModel:
    """Answers for a bundle. `tta` is one of `TTA`; raises GenreclfError for others and for a missing device."""

    def __init__(self, bundle: Bundle, tta: str, device: str) -> None:
        if tta not in TTA:
            raise GenreclfError(f"tta={tta!r}: unknown; known: {', '.join(TTA)}")
        self.bundle, self.tta, self.device = bundle, tta, pick_device(device)
        self.net = bundle.net.to(self.device)
        self.front_end = LogMelSpectrogram().levels
        self.facts = Facts(
            bundle.name,
            bundle.classes,
            bundle.view,
            bundle.picture_seconds,
            bundle.frames_per_column,
            bundle.temperature,
        )

    def answers(self, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Model` says."""
        with torch.inference_mode():
            grey = torch.from_numpy(np.ascontiguousarray(segments))[:, None]  # (N, 1, 128, 256)
            image = grey.expand(-1, 3, -1, -1).to(self.device)  # (N, 3, 128, 256)
            shares, weights = probabilities(self.net, image, self.tta)
        return shares.cpu().numpy(), weights.cpu().numpy()

    def digest(self) -> str:
        """Of weights, settings and TTA."""
        return self.facts.digest(weights_sha256(self.bundle), self.tta)


def torch_predictor(bundle: Bundle, tta: str, device: str) -> Predictor:
    """A predictor of the bundle; raises as `TorchModel` does."""
    return Predictor(TorchModel(bundle, tta, device))

"""Runs a bundle's net in torch as the model of a predictor: for evaluation, also on a GPU."""

import numpy as np
import torch

from genreclf.errors import GenreclfError
from genreclf.exporters.bundle import Bundle, weights_sha256
from genreclf.exporters.bundle_onnx import BundleNet
from genreclf.inference.model_info import ModelOutput
from genreclf.inference.task import MULTILABEL


class TorchModel:
    """The model of a loaded bundle. `device` is auto, cpu, cuda or another torch device.

    Raises GenreclfError for a device that is not available.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self.info, self.weights_sha256 = bundle.info, weights_sha256(bundle)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise GenreclfError(f"device={device}: not available here; use device=cpu") from error
        self.device = torch.device(device)
        self.net = BundleNet(bundle.net, bundle.info.task == MULTILABEL).to(self.device)

    def predict_proba(self, segments: np.ndarray) -> ModelOutput:
        """Runs the net on (N, 128, 256) uint8 segments."""
        with torch.inference_mode():
            output = self.net(torch.from_numpy(np.ascontiguousarray(segments)).to(self.device))
        return ModelOutput(*(tensor.cpu().numpy() for tensor in output))

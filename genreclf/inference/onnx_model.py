"""An exported picture.onnx as the model of a predictor, run by onnxruntime: no torch is imported."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from genreclf.config import build
from genreclf.errors import GenreclfError
from genreclf.frontend.log_mel import log_mel
from genreclf.frontend.segments import SEGMENT_COLUMNS, ViewConfig
from genreclf.inference.predictor import Facts
from genreclf.inference.run_folder import CONFIG, WEIGHTS

PLAIN = "none"  # the TTA of a model that answers as it is
PICTURE_SHAPE = ["batch", 3, 128, SEGMENT_COLUMNS]


class OnnxModel:
    """Answers for a file that `genreclf.export format=onnx input=picture` wrote.

    Raises GenreclfError where onnxruntime is not installed, and for a file that is none of these. (ONNX holds no code.)
    """

    front_end = staticmethod(log_mel)

    def __init__(self, file: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise GenreclfError(f"--onnx {file}: onnxruntime is not installed; pip install onnxruntime") from error
        try:
            content = file.read_bytes()
        except OSError as error:
            raise GenreclfError(f"--onnx {file}: cannot be read ({error.strerror}); give a picture.onnx") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.log_severity_level = 3  # its warnings are about its own graph
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            said = json.loads(self.session.get_modelmeta().custom_metadata_map["genreclf"])
            self.facts, self.weights_sha256, self.form = _facts(said), str(said["weights_sha256"]), str(said["format"])
        except Exception as error:  # onnxruntime has a family of its own for each kind of damage
            raise _not_ours(file, str(error)) from error
        (given,) = self.session.get_inputs()
        if given.shape[1:] != PICTURE_SHAPE[1:]:
            raise _not_ours(file, f"its input is {given.shape}; export it with input=picture")
        self.input = given.name

    def matches_bundle(self, bundle: Path) -> bool:
        """Whether it answers as the bundle in this folder does: not as one that once stood there, nor rounded."""
        try:
            config = json.loads((bundle / CONFIG).read_bytes())
            same = self.form == "onnx" and self.facts == _facts({**config, "model": config["name"]})
            with (bundle / WEIGHTS).open("rb") as file:
                return same and self.weights_sha256 == hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError, KeyError, TypeError, GenreclfError):
            return False  # who loads the bundle is told what is wrong with it

    def answers(self, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Model` says; the file tells no attention."""
        images = np.repeat(segments[:, None], 3, axis=1)  # (N, 3, 128, 256)
        (shares,) = self.session.run(None, {self.input: images})
        # The file's answers are apply_temperature, one by one; a clip's mean is taken before that.
        powers = shares.astype(np.float64) ** self.facts.temperature
        return powers / powers.sum(1, keepdims=True), np.ones((len(segments), 1))

    def digest(self) -> str:
        """Of the weights that were translated and their settings; of rounded weights another."""
        return self.facts.digest(self.weights_sha256, PLAIN if self.form == "onnx" else self.form)


def _facts(said: dict[str, Any]) -> Facts:
    """What the file says of itself. Raises KeyError, TypeError or GenreclfError where that is not whole."""
    return Facts(
        said["model"],
        tuple(said["classes"]),
        build(ViewConfig, said["view"], "view"),
        float(said["picture_seconds"]),
        float(said["frames_per_column"]),
        float(said["temperature"]),
    )


def _not_ours(file: Path, why: str) -> GenreclfError:
    lines = why.strip().splitlines() or ["?"]
    return GenreclfError(
        f"--onnx {file}: is no picture.onnx of python -m genreclf.export ({lines[0]}); give one, or use --run"
    )

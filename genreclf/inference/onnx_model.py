"""Runs a bundle's model.onnx with onnxruntime, as all predictions do."""

from pathlib import Path

import numpy as np
import onnxruntime

from genreclf.config import check_choice
from genreclf.cores import cores
from genreclf.errors import GenreclfError, reason
from genreclf.inference.model_info import ModelOutput, read_bundle_config
from genreclf.inference.run_folder import MODEL_ONNX

DEVICES = ("auto", "cpu", "cuda")
OUTPUTS = ["probabilities", "attention", "embedding"]
INPUT = "segments"
WEIGHTS_PROPERTY = "weights_sha256"  # in the file's metadata


class OnnxModel:
    """The model of a bundle folder.

    `device` is auto (a GPU if this build of onnxruntime supports one), cpu or cuda. `threads` is the number of threads
    that run the net, by default one per core that this process may use. The result does not depend on it.

    Raises GenreclfError if the bundle is incomplete or damaged, or the device is not available.
    """

    def __init__(self, bundle: Path, device: str = "auto", threads: int | None = None) -> None:
        config = read_bundle_config(bundle)
        self.info, self.weights_sha256 = config.info, config.weights_sha256
        self._session = _open(bundle / MODEL_ONNX, _providers(device), threads or cores())
        file, size = bundle / MODEL_ONNX, self._session.get_outputs()[0].shape[-1]
        if self._session.get_modelmeta().custom_metadata_map.get(WEIGHTS_PROPERTY) != self.weights_sha256:
            raise GenreclfError(f"{file}: belongs to other weights than config.json; copy the bundle again")
        if isinstance(size, int) and size != len(self.info.classes):  # not if the file leaves it open
            fault = f"for {size} classes, config.json has {len(self.info.classes)}"
            raise GenreclfError(f"{file}: {fault}; copy both again")

    def predict_proba(self, segments: np.ndarray) -> ModelOutput:
        """Runs the net on (N, 128, 256) uint8 segments."""
        return ModelOutput(*self._session.run(OUTPUTS, {INPUT: np.ascontiguousarray(segments)}))


def _providers(device: str) -> list[str]:
    check_choice("device", device, DEVICES)
    available = () if device == "cpu" else onnxruntime.get_available_providers()
    cuda = [name for name in available if name == "CUDAExecutionProvider"]
    if device == "cuda" and not cuda:
        raise GenreclfError("device=cuda: the installed onnxruntime has no CUDA support; install onnxruntime-gpu")
    return [*cuda, "CPUExecutionProvider"]


def _open(file: Path, providers: list[str], threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait would take CPU time from the threads that decode files.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # With memory patterns, each run allocates its memory from the system and returns it: a quarter of Model B's time.
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors only
    try:
        with file.open("rb") as handle:
            # Not bytes, which onnxruntime would copy once more, and not the name, which it requires to be UTF-8.
            path = f"/proc/self/fd/{handle.fileno()}"
            return onnxruntime.InferenceSession(path, options, providers=providers)
    except OSError as error:
        raise GenreclfError(f"{file}: cannot be read ({error.strerror}); copy the bundle again") from error
    except Exception as error:  # onnxruntime raises a different class for each kind of damage
        message = reason(error).replace(path, file.name)
        raise GenreclfError(f"{file}: damaged ({message}); copy the bundle again") from error

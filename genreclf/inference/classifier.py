"""A trained model as a Python object: `Classifier.from_pretrained("a").classify("song.mp3").genre`."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from genreclf.cores import cores
from genreclf.errors import GenreclfError, explained, file_system_error
from genreclf.files import user_path
from genreclf.frontend.clip import samples_clip
from genreclf.frontend.object_store import Location, location
from genreclf.inference.library import predict_files
from genreclf.inference.predictor import Prediction, Predictor, load_predictor
from genreclf.inference.run_folder import CARD, MODEL_CONFIG, MODEL_ONNX, SCORES_JSON, WEIGHTS, find_bundle
from genreclf.inference.task import MULTILABEL

_REQUIRED, _OPTIONAL = (MODEL_CONFIG, MODEL_ONNX), (WEIGHTS, CARD, SCORES_JSON)
_CARD = """---
license: other
license_name: not-stated
library_name: genreclf
pipeline_tag: audio-classification
tags:
- music
- music-genre-classification
- audio-classification
---

# Music genres

    from genreclf import Classifier
    Classifier.from_pretrained("THIS MODEL").classify("song.mp3").{answer}

Not evaluated yet: `genreclf evaluate` writes the scores here.
"""


class Classifier:
    """Classifies music by genre. Threads may share a classifier."""

    def __init__(self, predictor: Predictor, folder: Path) -> None:
        self.predictor, self.folder = predictor, folder

    @classmethod
    def from_pretrained(cls, model: str | Path, tta: str = "none", device: str = "auto", **hub: Any) -> "Classifier":
        """Loads a pretrained model by its name (a), a run folder, a bundle folder, or a model on the Hugging Face Hub.

        `tta` is none, pitch_shift, flip or six; `device` is auto, cpu or cuda. `hub` are arguments of hf_hub_download
        (revision, cache_dir, local_files_only, token). Nothing is unpickled. Raises GenreclfError if the model is not
        found or damaged.
        """
        try:
            folder = find_bundle(model)
        except GenreclfError:
            if user_path(model).exists() or "/" not in str(model):
                raise
            folder = _download(str(model), hub)
        except OSError as error:  # no permission, or a name that is too long
            raise file_system_error(error) from error
        return cls(load_predictor(folder.absolute(), tta, device), folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """The genres, in the order of `Prediction.probabilities`."""
        return self.predictor.info.classes

    @property
    def card(self) -> str | None:
        """The model card in Markdown; None if there is none."""
        file = self.folder / CARD
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None

    def classify(self, sound: str | os.PathLike[str] | ArrayLike, rate_hz: float | None = None) -> Prediction:
        """Predicts the genre or genres of an audio file, a spectrogram picture, or samples at `rate_hz`.

        A file is given by its path, or by the URL of an object in a store (s3://bucket/song.mp3). Samples are an array,
        a sequence or a torch tensor, integer or float of any scale: (samples,), (samples, channels) or (channels,
        samples). Raises GenreclfError if the file cannot be read, the samples are not audio, or the shape does not show
        which axis is time.
        """
        if isinstance(sound, str | os.PathLike):
            return self.predictor.predict_file(_location(sound))
        samples = _array(sound)
        try:
            rate = float(rate_hz)  # type: ignore[arg-type]  # None is refused below
        except (TypeError, ValueError, OverflowError) as error:
            raise GenreclfError(f"classify: rate_hz={rate_hz!r} is not a number; give samples per second") from error
        return self.predictor.predict(samples_clip(samples, rate))

    def classify_many(
        self, paths: Iterable[str | os.PathLike[str]], workers: int | None = None
    ) -> Iterator[tuple[Location, Prediction | GenreclfError]]:
        """Yields each path or URL, in order, with its prediction or error. `workers`: threads, by default one per core.

        Raises GenreclfError for anything but a list of paths, and for fewer than one thread.
        """
        if isinstance(paths, str | bytes | os.PathLike) or not isinstance(paths, Iterable):
            raise GenreclfError(f"classify_many: {paths!r} is not a list; give a list of paths")
        if workers is not None and workers < 1:
            raise GenreclfError(f"classify_many: workers={workers}; give 1 or more")
        return predict_files(self.predictor, map(_location, paths), workers or cores())

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the bundle to `folder`, with a short model card if it has none. Raises GenreclfError if that fails."""
        target = user_path(folder)
        with explained(f"{folder}: cannot be written", "choose another folder", OSError):
            target.mkdir(parents=True, exist_ok=True)
            for name in (*_REQUIRED, *_OPTIONAL):
                with suppress(shutil.SameFileError, FileNotFoundError):
                    shutil.copyfile(self.folder / name, target / name)
            if not (target / CARD).exists():
                answer = "genres" if self.predictor.info.task == MULTILABEL else "genre"
                (target / CARD).write_text(_CARD.format(answer=answer), encoding="utf-8")

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        revision: str | None = None,
        commit_message: str = "Upload a genreclf model",
        token: str | None = None,
        license: str | None = None,
    ) -> str:
        """Uploads the bundle to `repo_id` on the Hugging Face Hub, which is created if necessary; returns its address.

        `license` is the Hub's name of a licence (cc-by-nc-4.0), which is written into the card. Raises GenreclfError if
        the card cannot be changed, the Hub refuses the bundle, or the Hub cannot be reached.
        """
        hub, failures = _import_hub()
        api = hub.HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            if license is not None:
                _state_license(hub, Path(folder) / CARD, license)
            content = {"folder_path": folder, "revision": revision, "commit_message": commit_message}
            try:
                api.create_repo(repo_id, private=private, exist_ok=True)
                done = api.upload_folder(repo_id=repo_id, **content)
            except failures as error:
                remedy = "check the name, the token, the card and the connection"
                raise GenreclfError(f"{repo_id}: not uploaded ({' '.join(str(error).split())}); {remedy}") from error
        return str(done)


def _state_license(hub: Any, file: Path, license: str) -> None:
    """Writes the licence into the front matter of a card."""
    with explained(f"{CARD}: its front matter cannot be changed", "correct it", ValueError, TypeError, OSError):
        card = hub.ModelCard.load(file)
        card.data.license, card.data.license_name = license, None
        card.save(file)


def _location(path: Any) -> Location:
    """Returns the file or object that a path or URL names."""
    if not isinstance(path, str | os.PathLike):
        raise GenreclfError(f"classify_many: {type(path).__name__} is not a path; give paths, or samples to classify")
    return location(os.fsdecode(path))


def _array(sound: Any) -> np.ndarray:
    """Converts array-like samples, including torch tensors, to a NumPy array."""
    # The content of a file would pass for samples.
    if isinstance(sound, bytes | bytearray | memoryview) or hasattr(sound, "read"):
        raise GenreclfError(f"classify: {type(sound).__name__}; give the path of a file, or samples as an array")
    if np.ma.is_masked(sound):
        raise GenreclfError("classify: some samples are masked; fill them, such as samples.filled(0)")
    refused = f"classify: {type(sound).__name__}"
    with explained(refused, "give a path, or samples as an array", TypeError, ValueError, RuntimeError):
        if hasattr(sound, "detach"):  # NumPy refuses a tensor with a gradient or on a GPU
            sound = sound.detach().cpu()
            sound = sound.float() if str(sound.dtype) == "torch.bfloat16" else sound  # NumPy does not support it
        samples = np.asarray(sound)
        if samples.dtype.hasobject:  # NumPy wraps what it does not know
            raise TypeError("not numbers")
    return samples


def _download(model_id: str, options: dict[str, Any]) -> Path:
    """Downloads a bundle and returns its folder in the Hub's cache."""
    hub, failures = _import_hub()
    found = f"{model_id}: not a folder here, and not a genreclf model on the Hub"
    with explained(found, "check the name and the connection", *failures):
        config, *_ = [hub.hf_hub_download(model_id, name, **options) for name in _REQUIRED]
        for name in _OPTIONAL:
            with suppress(hub.errors.EntryNotFoundError):
                hub.hf_hub_download(model_id, name, **options)
    return Path(config).parent


def _import_hub() -> tuple[Any, tuple[type[Exception], ...]]:
    """Returns the Hub's client and the exceptions of it and its HTTP library; ValueError is for refused names."""
    try:
        import huggingface_hub  # only for models on the Hub
        from huggingface_hub.errors import HTTPError
    except ImportError as error:
        raise GenreclfError("models of the Hub need huggingface_hub; pip install huggingface-hub") from error
    return huggingface_hub, (HTTPError, ValueError, OSError)

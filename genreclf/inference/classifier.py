"""The trained model as a Python object: `Classifier.from_pretrained("a").classify("song.mp3").genre`."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import ModelHubMixin, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

from genreclf.errors import GenreclfError
from genreclf.frontend.audio import mono
from genreclf.frontend.clip import Clip
from genreclf.inference.library import predict_files
from genreclf.inference.prediction import Prediction
from genreclf.inference.predictor import Predictor
from genreclf.inference.run_folder import CARD, CONFIG, WEIGHTS, find_bundle
from genreclf.nets.bundle import load_bundle, save_bundle
from genreclf.nets.torch_model import TorchModel

_CARD = """---
{{ card_data }}
---

# Music genres

    from genreclf import Classifier
    Classifier.from_pretrained("THIS MODEL").classify("song.mp3").genre

How well it does was not measured yet: `python -m genreclf.evaluate` writes that here.
"""
_NO_ANSWER = (HfHubHTTPError, HFValidationError, OSError)  # a missing connection is an OSError, too


class Classifier(
    ModelHubMixin,
    library_name="genreclf",
    pipeline_tag="audio-classification",
    tags=["music", "music-genre-classification", "audio-classification"],
    model_card_template=_CARD,
):
    """Names genres of songs. Threads may share it; it keeps no state between calls and changes no setting of torch.

    `save_pretrained(folder)` writes the bundle, `push_to_hub(id)` uploads it (huggingface_hub's ModelHubMixin).
    """

    def __init__(self, model: TorchModel, card: str | None = None) -> None:
        self.predictor, self.bundle, self.card = Predictor(model), model.bundle, card

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, tta: str = "none", device: str = "auto", **hub: Any
    ) -> "Classifier":
        """A run folder, a bundle folder, a model that comes along by its name (a), or one of the Hub by its id.

        `tta` is none, keys, flip or six; `hub` are hf_hub_download's arguments (revision, cache_dir, local_files_only,
        token). Nothing is unpickled. Raises GenreclfError for what is none of these, or damaged.
        """
        name = pretrained_model_name_or_path
        try:
            folder = find_bundle(Path(name))
        except GenreclfError:
            if Path(name).exists() or "/" not in str(name):
                raise
            folder = _downloaded(str(name), hub)
        card = folder / CARD
        text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else None
        return cls(TorchModel(load_bundle(folder), tta, device), text)

    @property
    def classes(self) -> tuple[str, ...]:
        """The genres, in the order of `Prediction.probabilities`."""
        return self.predictor.facts.classes

    def classify(self, sound: str | os.PathLike | np.ndarray, rate_hz: int | None = None) -> Prediction:
        """The genre of a file, audio or picture; or of samples, (samples,) or (samples, channels), at `rate_hz`.

        Raises GenreclfError for a file that cannot be read, and for samples that are no sound.
        """
        if not isinstance(sound, np.ndarray):
            return self.predictor.predict_file(Path(sound))
        if rate_hz is None:
            raise GenreclfError("classify: samples need their rate_hz")
        levels = self.predictor.model.front_end(mono(sound, rate_hz))
        return self.predictor.predict(Clip(levels, levels.shape[1], rate_hz, len(sound) / rate_hz, ""))

    def classify_many(
        self, paths: Iterable[str | os.PathLike], workers: int | None = None
    ) -> Iterator[tuple[Path, Prediction | GenreclfError]]:
        """Each file with its answer, or with the reason why it has none, in order; `workers` threads read ahead."""
        return predict_files(self.predictor, map(Path, paths), workers or os.cpu_count() or 1)

    def _save_pretrained(self, save_directory: Path) -> None:
        save_bundle(save_directory, self.bundle)
        if self.card is not None:
            (save_directory / CARD).write_text(self.card, encoding="utf-8")


def _downloaded(model_id: str, options: dict[str, Any]) -> Path:
    """The bundle of a model on the Hub, in its cache; a card is taken where there is one."""
    try:
        config, _ = (hf_hub_download(model_id, name, **options) for name in (CONFIG, WEIGHTS))
        with suppress(EntryNotFoundError):
            hf_hub_download(model_id, CARD, **options)
    except _NO_ANSWER as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise GenreclfError(
            f"{model_id}: no folder here, and the Hub gave none ({reason}); check the name and the connection"
        ) from error
    return Path(config).parent

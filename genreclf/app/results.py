"""The chosen models' results for a song, computed once and kept with the visit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genreclf.app.settings import Settings, load
from genreclf.app.state import analyzed
from genreclf.app.visits import Song, Visit
from genreclf.errors import GenreclfError
from genreclf.inference.analysis import Analysis
from genreclf.inference.catalog import ModelEntry
from genreclf.inference.library import Result, one_error
from genreclf.inference.predictor import Predictor
from genreclf.inference.results import Row, file_row

_SYNTHETIC = "synthetic sound, not music"


@dataclass(frozen=True)
class Model:
    """A loaded model that the user chose."""

    entry: ModelEntry
    predictor: Predictor
    averaged: bool  # over three pitches

    @property
    def label(self) -> str:
        """The model's name for people."""
        return self.entry.label

    @property
    def classes(self) -> tuple[str, ...]:
        """The model's genres."""
        return self.predictor.info.classes


@dataclass(frozen=True)
class Classifier:
    """The chosen models and the setting for pictures."""

    models: tuple[Model, ...]
    picture_seconds: float

    @property
    def labels(self) -> list[str]:
        """The models' names."""
        return [model.label for model in self.models]

    @property
    def classes(self) -> list[tuple[str, ...]]:
        """The genres of each model."""
        return [model.classes for model in self.models]

    def analyze(self, visit: Visit, song: Song, label: str) -> list[Analysis]:
        """Returns each model's analysis of a song, and keeps its row. `label` is shown while it takes time.

        Raises GenreclfError, with the song's name, if it cannot be read; it is read only once.
        """
        found, errors = [], []
        for model in self.models:
            try:
                found.append(self._analyze(model, visit, song, label))
            except GenreclfError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return found

    def rows(self, visit: Visit, song: Song) -> list[Row]:
        """Returns each model's row for a song, without segments; empty before `analyze`."""
        kept = [visit.rows.get(self._key(model, song)) for model in self.models]
        return [row for row in kept if row] if all(kept) else []

    def _key(self, model: Model, song: Song) -> tuple[str, ...]:
        return song.id, model.predictor.digest, str(self.picture_seconds)

    def _analyze(self, model: Model, visit: Visit, song: Song, label: str) -> Analysis:
        key, predictor = self._key(model, song), model.predictor
        if problem := visit.rows.get(key, {}).get("problem"):
            raise GenreclfError(problem)
        try:
            with one_error(song.name):
                found = analyzed(predictor.digest, song.digest, self.picture_seconds, predictor, song.content, label)
        except GenreclfError as error:
            named = GenreclfError(str(error).replace("upload", song.name, 1))
            visit.rows[key] = song_row(song, named, model.classes, segments=False)
            raise named from error
        visit.rows[key] = song_row(song, found.prediction, model.classes, segments=False)
        return found


def classifier(settings: Settings) -> Classifier:
    """Loads the models of the settings. Raises GenreclfError if one cannot be loaded."""
    models = [Model(entry, load(entry, settings.averaged), settings.averaged) for entry in settings.entries]
    return Classifier(tuple(models), settings.picture_seconds)


def song_row(song: Song, result: Result, classes: Sequence[str], segments: bool) -> Row:
    """Returns a result as a row. For a demo, it has a note that the sound is synthetic."""
    row = file_row(Path(song.name), result, classes, segments)
    if song.synthetic and not row["problem"]:
        row["note"] = "; ".join(filter(None, (row["note"], _SYNTHETIC)))
    return row

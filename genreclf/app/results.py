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

    def analyze(self, song: Song, label: str) -> list[Analysis]:
        """Returns each model's analysis of a song. Raises GenreclfError, with the song's name, if it cannot be read."""
        return [_analyze(model, song, self.picture_seconds, label) for model in self.models]

    def rows(self, visit: Visit, song: Song, label: str) -> list[Row]:
        """Returns each model's result as a row without segments; for an unreadable song, the row has the reason."""
        return [self._row(model, visit, song, label) for model in self.models]

    def _row(self, model: Model, visit: Visit, song: Song, label: str) -> Row:
        key = (song.id, model.predictor.digest, str(self.picture_seconds))
        if key not in visit.rows:
            result: Result
            try:
                result = _analyze(model, song, self.picture_seconds, label).prediction
            except GenreclfError as error:
                result = error
            visit.rows[key] = song_row(song, result, model.classes, segments=False)
        return visit.rows[key]


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


def _analyze(model: Model, song: Song, picture_seconds: float, label: str) -> Analysis:
    try:
        with one_error(song.name):
            return analyzed(model.predictor.digest, song.digest, picture_seconds, model.predictor, song.content, label)
    except GenreclfError as error:
        raise GenreclfError(str(error).replace("upload", song.name, 1)) from error

"""Turns probabilities into genres by the model's task: one genre, or all that reach their thresholds."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from genreclf.inference.model_info import ModelInfo
from genreclf.inference.prior import with_prior
from genreclf.inference.task import MULTILABEL
from genreclf.inference.temperature import apply_temperature, apply_temperature_to_each, clip_temperature


class Answer(NamedTuple):
    """A model's result for a clip."""

    probabilities: tuple[float, ...]  # calibrated, in the order of the classes
    genres: tuple[str, ...]  # the most probable first
    probability: float  # of the most probable genre, even if `genres` is empty
    no_genre: str = ""  # why `genres` is empty
    known: float | None = None  # probability that the clip is of one of the genres; None if not estimated


@dataclass(frozen=True)
class Answers:
    """The rule that turns a model's probabilities into genres."""

    info: ModelInfo
    factors: np.ndarray | None  # for another mix of genres, see `prior_factors`

    def answer(self, probabilities: np.ndarray, frames: int) -> Answer:
        """Returns the result for (classes,) mean probabilities of a clip with `frames` of music."""
        calibrated = self.calibrated(probabilities, frames)
        genres, nearest = self.genres(calibrated), self.info.classes[int(np.argmax(calibrated))]
        known, no_genre = self._known(probabilities, frames), ""
        if not genres:
            no_genre = f"no genre reaches its threshold; the most probable: {nearest}"
        elif known is not None and self.info.known is not None and known < self.info.known.threshold:
            genres, no_genre = (), f"none of these genres; nearest: {nearest}"
        likeliest = self.info.classes.index(genres[0]) if genres else int(np.argmax(calibrated))
        return Answer(tuple(calibrated.tolist()), genres, float(calibrated[likeliest]), no_genre, known)

    def calibrated(self, probabilities: np.ndarray, frames: int) -> np.ndarray:
        """(classes,) mean probabilities over `frames` of music -> calibrated ones for the requested mix of genres.

        They sum to 1 or, for a multi-label model, are independent of each other.
        """
        return with_prior(self._with_temperature(probabilities, frames), self.factors)

    def genres(self, calibrated: np.ndarray) -> tuple[str, ...]:
        """Returns the most probable genre or, for a multi-label model, those that reach their thresholds, in order."""
        if self.info.thresholds is None:
            return (self.info.classes[int(np.argmax(calibrated))],)
        reached = np.flatnonzero(calibrated >= np.array(self.info.thresholds))
        order = np.argsort(-calibrated[reached], kind="stable")
        return tuple(self.info.classes[number] for number in reached[order])

    def _with_temperature(self, probabilities: np.ndarray, frames: int) -> np.ndarray:
        several = self.info.task == MULTILABEL
        apply = apply_temperature_to_each if several else apply_temperature
        return apply(probabilities, clip_temperature(self.info.temperature, frames, several))

    def _known(self, probabilities: np.ndarray, frames: int) -> float | None:
        """Returns `Answer.known`, which is for the model's own mix of genres."""
        if self.info.known is None:
            return None
        return float(self.info.known.probability(self._with_temperature(probabilities, frames)))

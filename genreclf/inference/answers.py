"""Turns probabilities into genres by the model's task: one genre, or all that reach their thresholds."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from genreclf.inference.model_info import ModelInfo
from genreclf.inference.prior import prior_factors, with_prior
from genreclf.inference.task import MULTILABEL
from genreclf.inference.temperature import apply_temperature, apply_temperature_to_each, clip_temperature


class Answer(NamedTuple):
    """A model's result for a clip."""

    probabilities: np.ndarray  # (classes,), calibrated
    genres: tuple[str, ...]  # the most probable first
    probability: float  # of the most probable genre, even if `genres` is empty
    no_genre: str = ""  # why `genres` is empty
    known: float | None = None  # probability that the clip is of one of the genres; None if not estimated


@dataclass(frozen=True)
class OneGenre:
    """Gives a clip the most probable genre, unless it seems to be out of scope. Probabilities sum to 1."""

    info: ModelInfo
    factors: np.ndarray | None  # see `prior_factors`

    @property
    def settings(self) -> list[Any]:
        """The settings that change the results, besides the model, as JSON-like data."""
        return [] if self.factors is None else [self.factors.tolist()]

    def calibrated(self, probabilities: np.ndarray, frames: int) -> np.ndarray:
        """(classes,) mean probabilities over `frames` of music -> calibrated ones for the requested mix of genres."""
        return with_prior(self._with_temperature(probabilities, frames), self.factors)

    def answer(self, probabilities: np.ndarray, frames: int) -> Answer:
        """Returns the result for (classes,) mean probabilities of a clip with `frames` of music."""
        calibrated = self.calibrated(probabilities, frames)
        (genre,) = self.genres(calibrated)
        known, no_genre = self._is_known(self._with_temperature(probabilities, frames), genre)
        return Answer(calibrated, () if no_genre else (genre,), float(calibrated.max()), no_genre, known)

    def genres(self, calibrated: np.ndarray) -> tuple[str, ...]:
        """Returns the most probable genre."""
        return (self.info.classes[int(np.argmax(calibrated))],)

    def _with_temperature(self, probabilities: np.ndarray, frames: int) -> np.ndarray:
        return apply_temperature(probabilities, clip_temperature(self.info.temperature, frames, multilabel=False))

    def _is_known(self, probabilities: np.ndarray, nearest: str) -> tuple[float | None, str]:
        """Returns `Answer.known`, and `Answer.no_genre` if it is too low.

        `probabilities`, (classes,), are for the model's own mix of genres. `nearest` is the class named in the message.
        """
        if self.info.known is None:
            return None, ""
        known = float(self.info.known.probability(probabilities))
        return known, "" if known >= self.info.known.threshold else f"none of these genres; nearest: {nearest}"


@dataclass(frozen=True)
class SeveralGenres:
    """Gives a clip all genres that reach their thresholds. Probabilities are independent of each other."""

    info: ModelInfo

    @property
    def settings(self) -> list[Any]:
        """The settings that change the results, besides the model: none."""
        return []

    def calibrated(self, probabilities: np.ndarray, frames: int) -> np.ndarray:
        """(classes,) mean probabilities over `frames` of music -> calibrated ones."""
        return apply_temperature_to_each(
            probabilities, clip_temperature(self.info.temperature, frames, multilabel=True)
        )

    def answer(self, probabilities: np.ndarray, frames: int) -> Answer:
        """Returns the result for (classes,) mean probabilities of a clip with `frames` of music."""
        calibrated = self.calibrated(probabilities, frames)
        if genres := self.genres(calibrated):
            return Answer(calibrated, genres, float(calibrated[self.info.classes.index(genres[0])]))
        nearest = self.info.classes[int(np.argmax(calibrated))]
        no_genre = f"no genre reaches its threshold; the most probable: {nearest}"
        return Answer(calibrated, (), float(calibrated.max()), no_genre)

    def genres(self, calibrated: np.ndarray) -> tuple[str, ...]:
        """Returns the genres that reach their thresholds, the most probable first."""
        reached = np.flatnonzero(calibrated >= np.array(self.info.thresholds))
        order = np.argsort(-calibrated[reached], kind="stable")
        return tuple(self.info.classes[number] for number in reached[order])


def answers_of(info: ModelInfo, prior: str | None) -> OneGenre | SeveralGenres:
    """Returns the rule that turns a model's probabilities into genres, for a mix of genres (see `prior_factors`).

    Raises GenreclfError if the model does not support `prior`.
    """
    factors = prior_factors(prior, info)
    return SeveralGenres(info) if info.task == MULTILABEL else OneGenre(info, factors)

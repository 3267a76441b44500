"""Keys of a search and their ranges, in Hydra's sweep syntax."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
from optuna import Trial

from genreclf.errors import GenreclfError, reason
from genreclf.hydra_command import translate
from genreclf.sweeps import parsed
from genreclf.training.trainer import TRAINER_KEYS

_REMEDY = "give interval(LOW, HIGH), range(FROM, UP_TO) or a,b"


@dataclass(frozen=True)
class Dimension:
    """A key and its range."""

    key: str
    sweep: Any  # a Hydra sweep
    choices: tuple[str, ...]  # in Hydra's syntax; empty for numbers

    @property
    def example(self) -> str:
        """The word KEY=VALUE with the first value of the range."""
        return f"{self.key}={self.choices[0] if self.choices else self.sweep.start}"

    def suggest(self, trial: Trial) -> str:
        """Returns the word KEY=VALUE of a trial, for Hydra."""
        return f"{self.key}={self._value(trial)}"

    def _value(self, trial: Trial) -> Any:
        log = "log" in self.sweep.tags
        if self.choices:
            return trial.suggest_categorical(self.key, self.choices)
        if isinstance(self.sweep, RangeSweep):
            values = range(int(self.sweep.start or 0), int(self.sweep.stop or 0), int(self.sweep.step))
            return trial.suggest_int(self.key, values[0], values[-1], step=values.step)
        low, high = self.sweep.start, self.sweep.end
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(self.key, low, high, log=log)
        return trial.suggest_float(self.key, low, high, log=log)


def split_words(words: Sequence[str]) -> tuple[list[Dimension], list[str]]:
    """Splits the words for `genreclf train` into ranges and others."""
    found = {word: _dimension(word) for word in words}
    space = [dimension for dimension in found.values() if dimension]
    keys = [dimension.key for dimension in space]
    for key in keys:
        if keys.count(key) > 1:
            raise GenreclfError(f"{key}: has two ranges; give it once")
    return space, [word for word, dimension in found.items() if not dimension]


def read_space(path: Path) -> list[str]:
    """Reads a YAML file of keys with ranges, and returns words KEY=RANGE. A list is a choice."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise GenreclfError(f"space={path}: cannot be read ({reason(error)}); give a YAML file") from error
    if not isinstance(content, dict) or not content:
        raise GenreclfError(f"space={path}: expected lines KEY: RANGE")
    words = [f"{key}={_text(value)}" for key, value in content.items()]
    for word in words:
        if not _dimension(word):
            raise GenreclfError(f"space={path}: {word}: no range; {_REMEDY}, or a list")
    return words


def _text(value: Any) -> str:
    """Converts a range in a YAML file to Hydra's syntax, which has JSON's lists and quotes."""
    return ",".join(map(json.dumps, value)) if isinstance(value, list) else str(value)


def _dimension(word: str) -> Dimension | None:
    """Returns the range in a word, or None without one. Raises GenreclfError for a range that cannot be searched."""
    (translated,) = translate([word], "train", TRAINER_KEYS)
    override = parsed(translated)
    if override is None or not override.is_sweep_override():  # Hydra reports what it cannot parse, with the other words
        return None
    key, sweep = override.get_key_element().lstrip("+"), override.value()
    if not isinstance(sweep, (IntervalSweep, RangeSweep, ChoiceSweep)):
        raise GenreclfError(f"{word}: cannot be searched; {_REMEDY}")
    if isinstance(sweep, IntervalSweep):
        low, high = sweep.start or 0, sweep.end or 0
        if not low < high or ("log" in sweep.tags and low <= 0):
            raise GenreclfError(f"{word}: an empty range; the first number is the lower one, above 0 with log")
        return Dimension(key, sweep, ())
    choices = tuple(override.sweep_string_iterator())
    if not choices:
        raise GenreclfError(f"{word}: an empty range; {_REMEDY}")
    whole = isinstance(sweep, RangeSweep) and all(
        isinstance(each, int) for each in (sweep.start, sweep.stop, sweep.step)
    )
    return Dimension(key, sweep, () if whole else choices)

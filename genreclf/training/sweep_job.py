"""Finds out what is left to do for a job of a sweep that is started again."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from genreclf.errors import GenreclfError
from genreclf.inference.run_folder import BUNDLE, CONFIG_YAML, MODEL_CONFIG
from genreclf.training.resume import OUTSIDE, read_run


class Before(Enum):
    """How much of a job its folder contains."""

    NOTHING = "nothing"
    PART = "a run that was stopped"
    ALL = "a finished run"


def done_before(folder: Path, overrides: Sequence[str]) -> Before:
    """Returns how much of the run with these overrides the folder contains. A run is finished if it has a bundle.

    Raises GenreclfError if the folder contains a run with other overrides.
    """
    if not (folder / CONFIG_YAML).is_file():
        return Before.NOTHING
    earlier, now = _settings(read_run(folder)[1]["overrides"]), _settings(overrides)
    if earlier != now:
        differing = ", ".join(sorted(earlier ^ now))
        raise GenreclfError(f"{folder}: holds a run with other settings ({differing}); choose another run=FOLDER")
    return Before.ALL if (folder / BUNDLE / MODEL_CONFIG).is_file() else Before.PART


def _settings(overrides: Sequence[str]) -> set[str]:
    words = (word.lstrip("+") for word in overrides)
    return {word for word in words if word.partition("=")[0].partition(".")[0] not in OUTSIDE}

"""Searches for the best settings of a training: genreclf search model=a 'optim.learning_rate=interval(1e-4, 1e-2)'."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from genreclf.config import build, config_folder
from genreclf.errors import GenreclfError, command
from genreclf.hydra_command import run_command
from genreclf.stopping import stoppable


@dataclass(frozen=True)
class SearchConfig:
    """The keys of search.yaml. Raises GenreclfError for values out of range."""

    run: str  # the folder of the search
    trials: int  # in all, with those of earlier calls and of other workers
    objective: str  # of the validation clips: log_loss, accuracy or mean_average_precision
    pruning: bool  # trainings worse than the median of the others are stopped
    space: Path | None  # a YAML file of keys with their ranges
    storage: str | None  # the URL of a database; None: a file in the folder

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise GenreclfError(f"trials={self.trials}: must be at least 1")


@command
@stoppable()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0, or 2 where no training has finished."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    keys = yaml.safe_load((config_folder() / "search.yaml").read_text()).keys()
    own = [word for word in words if word.startswith("-") or word.lstrip("+").partition("=")[0] in keys]
    configs: list[dict[str, Any]] = []
    code = run_command("search", lambda config, _: configs.append(config), own)
    if code or not configs:  # a mistake, or --help
        return code
    from genreclf.search_trials import search  # needs optuna, without which the help works

    return search(build(SearchConfig, configs[0], ""), [word for word in words if word not in own])


if __name__ == "__main__":
    sys.exit(main())

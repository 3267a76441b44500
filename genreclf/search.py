"""Searches for the best training settings: genreclf search model=a 'optim.learning_rate=interval(1e-4, 1e-2)'."""

import sys
from collections.abc import Sequence
from typing import Any

import yaml

from genreclf.config import build, config_folder
from genreclf.errors import command
from genreclf.hydra_command import run_command
from genreclf.stopping import stoppable


@command
@stoppable()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0, or 2 if no trial has finished."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    keys = yaml.safe_load((config_folder() / "search.yaml").read_text()).keys()
    own = [word for word in words if word.startswith("-") or word.lstrip("+").partition("=")[0] in keys]
    configs: list[dict[str, Any]] = []
    code = run_command("search", lambda config, _: configs.append(config), own)
    if code or not configs:  # a mistake, or --help
        return code
    from genreclf.search_trials import SearchConfig, search  # needs optuna; the help works without it

    return search(build(SearchConfig, configs[0], ""), [word for word in words if word not in own])


if __name__ == "__main__":
    sys.exit(main())

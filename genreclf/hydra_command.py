"""What the Hydra commands share: where the YAML lies, how a user's mistake is told, and the exit code."""

import difflib
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genreclf.config import config_folder
from genreclf.errors import USER_ERROR, GenreclfError, escape_unencodable, user_error


def run_command(config_name: str, task: Callable[[dict[str, Any], list[str]], None]) -> None:
    """Composes `config_name` from the command line and calls `task` with it and with the overrides, as plain data.

    In a sweep every job runs; a GenreclfError is one line each, and the exit code in the end is 2.
    """
    escape_unencodable()
    sys.argv[1:] = map(quoted, sys.argv[1:])
    # Hydra then raises instead of printing its own shortened traceback.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    failed: list[Exception] = []
    composed = False

    @hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)
    def job(config: DictConfig) -> None:
        nonlocal composed
        composed = True
        try:
            task(_plain(config), list(hydra.core.hydra_config.HydraConfig.get().overrides.task))
        except GenreclfError as error:
            user_error(error)
            failed.append(error)

    try:
        job()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        # Hydra raises ValueError for a group's name that is a number; one from the task is our defect.
        if composed and not isinstance(error, (HydraException, OmegaConfBaseException)):
            raise
        user_error(_explain(error, config_name))
        failed.append(error)
    if failed:
        sys.exit(USER_ERROR)


def quoted(word: str) -> str:
    """`key=value` with the value in quotes where Hydra would not take it as it stands; other words come back.

    Paths are not written for its grammar: they may hold letters of any script, quotes, brackets and commas.
    """
    key, equals, value = word.partition("=")
    # A comma parts the values of a sweep, and spaces at the ends are dropped.
    misread = ("," in value or value != value.strip()) and os.path.exists(value)  # noqa: PTH110 - of any text
    if not key or not equals or key.startswith("-") or (_parses(word) and not misread):
        return word
    # Backslashes escape only before a quote, and before the one that ends the value.
    escaped = re.sub(r'(\\*)("|\Z)', lambda match: 2 * match[1] + match[2].replace('"', '\\"'), value)
    return f'{key}="{escaped}"'


def _parses(word: str) -> bool:
    try:
        OverridesParser.create().parse_overrides([word])
    except HydraException:
        return False
    return True


def _plain(config: DictConfig) -> dict[str, Any]:
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise GenreclfError(f"{missing[0]}: needs a value; give {missing[0]}=...")
        return OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise GenreclfError(_first_line(error)) from error


def _explain(error: Exception, config_name: str) -> str:
    """One line for what Hydra says in several, with the nearest known key."""
    if isinstance(error, MissingConfigException) and error.options:
        return f"{(error.missing_cfg_file or '').replace('/', '=')}: unknown; known: {', '.join(error.options)}"
    match = re.search(r"Could not override '([^']+)'", str(error))
    if not match:
        return _first_line(error)
    key = match[1]
    close = difflib.get_close_matches(key, _known_keys(config_name), n=1)
    hint = f"did you mean {close[0]!r}?" if close else "see --help for the known keys"
    return f"{key}: unknown key; {hint}"


def _known_keys(config_name: str) -> list[str]:
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = hydra.compose(config_name)
    keys: list[str] = []

    def collect(node: DictConfig, prefix: str) -> None:
        for key in node:
            keys.append(f"{prefix}{key}")
            child = None if OmegaConf.is_missing(node, key) else OmegaConf.to_container(node, resolve=False)[key]
            if isinstance(child, dict):
                collect(node._get_node(key), f"{prefix}{key}.")

    collect(config, "")
    return keys


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[0].split())

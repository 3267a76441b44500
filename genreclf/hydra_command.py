"""What the commands with key=value settings share: composing the configuration, one-line errors, the exit code."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genreclf.config import RENAMED, config_folder, did_you_mean
from genreclf.errors import GenreclfError, escape_unencodable, user_error

Task = Callable[[dict[str, Any], list[str]], int | None]

# Hydra's flags, and its options that take the next word as their value.
_FLAGS = {"-h", "--help", "--hydra-help", "--version", "--resolve", "-m", "--multirun", "-sc", "--shell-completion"}
_OPTIONS = {"-c", "--cfg", "-p", "--package", "-i", "--info", "-cp", "--config-path", "-cn", "--config-name"}
_OPTIONS |= {"-cd", "--config-dir", "--experimental-rerun"}
_OPEN_GROUPS = ("hydra", "logger")  # a user may add keys to these


def run_command(
    config_name: str,
    task: Task,
    arguments: Sequence[str] | None = None,
    positional: Sequence[str] = (),
    flags: Sequence[str] = (),
    extra_keys: Sequence[str] = (),
) -> int:
    """Composes `config_name` from the command line and calls `task` with it and the overrides, as plain data.

    `arguments` are the words of the command line, sys.argv's by default. Words without a key fill the keys
    `positional` in order; for each of `flags`, --FLAG means FLAG=true. `extra_keys` may be set although the YAML files
    do not name them.

    Returns the exit code: what `task` returned (None: 0), or 2 after a GenreclfError, which is printed as one line. In
    a sweep all jobs run, and the highest code is returned.
    """
    escape_unencodable()
    codes = [0]
    composed = False

    @hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)
    def job(config: DictConfig) -> None:
        nonlocal composed
        composed = True
        try:
            plain = _plain(config, config_name, positional)
            # extra_keys were given to Hydra with a "++" that a user need not type.
            overrides = [word.removeprefix("++") for word in HydraConfig.get().overrides.task]
            codes.append(task(plain, overrides) or 0)
        except GenreclfError as error:
            codes.append(user_error(error))

    try:
        given = sys.argv[1:] if arguments is None else arguments
        with _command_line(translate(given, config_name, positional, flags, extra_keys)):
            job()
    except GenreclfError as error:
        codes.append(user_error(error))
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        # Hydra raises ValueError for a number as a group's choice; a ValueError of the task is a bug.
        if composed and not isinstance(error, (HydraException, OmegaConfBaseException)):
            raise
        codes.append(user_error(_explain(error, config_name, extra_keys)))
    except SystemExit as stop:  # after --help
        if not isinstance(stop.code, int):
            raise
        codes.append(stop.code)
    return max(codes)


def translate(
    words: Sequence[str],
    config_name: str,
    positional: Sequence[str] = (),
    flags: Sequence[str] = (),
    extra_keys: Sequence[str] = (),
) -> list[str]:
    """A command line in this package's form -> in Hydra's form; parameters as in `run_command`.

    Raises GenreclfError for unknown options, keys of earlier versions, and words in the wrong place.
    """
    translated = []
    free = list(positional)
    is_value = False  # of the option before
    for word in words:
        if is_value:
            translated.append(word)
        elif word.startswith("-"):
            translated.append(_option(word, config_name, positional, flags))
        elif _is_positional(word, positional):
            if not free:
                raise GenreclfError(f"{word}: unexpected; {_usage(config_name, positional)}")
            translated.append(_quote(free.pop(0), word))
        else:
            translated.append(_override(word, config_name, positional, extra_keys))
        is_value = not is_value and word in _OPTIONS
    return translated


def instantiate(config: dict[str, Any], key: str, **arguments: Any) -> Any:
    """The object that `config["_target_"]` makes. Raises GenreclfError with `key` and the reason where it cannot."""
    try:
        return hydra.utils.instantiate(config, **arguments)
    except InstantiationException as error:
        cause = error.__cause__ or error
        raise GenreclfError(f"{key}: {_first_line(cause) or type(cause).__name__}") from error


def quote_override(word: str) -> str:
    """`key=value` with the value in quotes if Hydra would misread it; other words are returned unchanged.

    Paths do not follow Hydra's grammar: they may contain letters of any script, quotes, brackets and commas.
    """
    key, equals, value = word.partition("=")
    # Hydra reads a comma as a sweep, and drops spaces at the ends.
    misread = ("," in value or value != value.strip()) and os.path.exists(value)  # noqa: PTH110 - of any text
    if not key or not equals or key.startswith("-") or (_parses(word) and not misread):
        return word
    return _quote(key, value)


def _option(word: str, config_name: str, positional: Sequence[str], flags: Sequence[str]) -> str:
    name = word.split("=")[0]
    if word.removeprefix("--") in flags:
        return f"{word[2:]}=true"
    if name in ("--run", "-r", "--onnx"):
        raise GenreclfError(f"{name}: unknown option; {_usage(config_name, positional)}")
    if name not in _FLAGS | _OPTIONS:
        known = [*(f"--{flag}" for flag in flags), *(_FLAGS | _OPTIONS)]
        raise GenreclfError(f"{name}: unknown option; {did_you_mean(name, known, 'see --help')}")
    return word


def _is_positional(word: str, positional: Sequence[str]) -> bool:
    """Whether `word` is no override. Paths may contain "=", as the folders of a sweep do."""
    key, equals, _ = word.partition("=")
    if word.startswith("~") and not word.startswith("~/"):  # Hydra's deletion of a key
        return False
    is_path = "/" in key and not key.lstrip("+").startswith("hydra/")
    return not equals or (bool(positional) and (is_path or os.path.exists(word)))  # noqa: PTH110 - of any text


def _override(word: str, config_name: str, positional: Sequence[str], extra_keys: Sequence[str]) -> str:
    key, equals, value = word.partition("=")
    prefix = key[: len(key) - len(key.lstrip("+"))]
    key = key.lstrip("+")
    _refuse_renamed(key, value)
    if key in positional and equals:
        raise GenreclfError(f"{word}: give it without {key}=: {_usage(config_name, positional)}")
    # A key that is known needs no "+". Without it Hydra refuses an unknown one.
    if key.split(".")[0].split("/")[0] not in _OPEN_GROUPS:
        prefix = "++" if key in extra_keys else ""
    return quote_override(f"{prefix}{key}{equals}{value}")


def _refuse_renamed(key: str, value: str) -> None:
    values = [part.strip(" '\"") for part in value.strip("[]").split(",")]
    for old in (key, *(f"{key}={part}" for part in values)):
        if old in RENAMED:
            raise GenreclfError(f"{old}: {RENAMED[old]}")


def _usage(config_name: str, positional: Sequence[str]) -> str:
    return "usage: " + " ".join(["genreclf", config_name, *(key.upper() for key in positional), "KEY=VALUE..."])


def _quote(key: str, value: str) -> str:
    # Backslashes escape only before a quote, and before the one that ends the value.
    escaped = re.sub(r'(\\*)("|\Z)', lambda match: 2 * match[1] + match[2].replace('"', '\\"'), value)
    return f'{key}="{escaped}"'


def _parses(word: str) -> bool:
    try:
        OverridesParser.create().parse_overrides([word])
    except HydraException:
        return False
    return True


@contextmanager
def _command_line(words: Sequence[str]) -> Iterator[None]:
    """Hydra reads sys.argv."""
    before = sys.argv
    # Hydra then raises its errors instead of printing them.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    sys.argv = [before[0], *words]
    try:
        yield
    finally:
        sys.argv = before


def _plain(config: DictConfig, config_name: str, positional: Sequence[str]) -> dict[str, Any]:
    try:
        for key in sorted(OmegaConf.missing_keys(config)):
            usage = _usage(config_name, positional) if key in positional else f"give {key}=..."
            raise GenreclfError(f"{key}: needs a value; {usage}")
        plain = OmegaConf.to_container(config, resolve=True)
        assert isinstance(plain, dict)
        return {str(key): value for key, value in plain.items()}
    except OmegaConfBaseException as error:
        raise GenreclfError(_first_line(error)) from error


def _explain(error: Exception, config_name: str, extra_keys: Sequence[str]) -> str:
    """Hydra's errors have several lines: one line, with the nearest known key."""
    if isinstance(error, MissingConfigException) and error.options:
        return f"{(error.missing_cfg_file or '').replace('/', '=')}: unknown; known: {', '.join(error.options)}"
    match = re.search(r"Could not override '([^']+)'", str(error))
    if not match:
        return _first_line(error)
    known = [*_known_keys(config_name), *extra_keys]
    if match[1] in known:  # a key of the group's default choice
        return f"{match[1]}: has no effect with the chosen {match[1].partition('.')[0]}; remove it"
    return f"{match[1]}: unknown key; {did_you_mean(match[1], known, 'see --help for the known keys')}"


def _known_keys(config_name: str) -> list[str]:
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = hydra.compose(config_name)
    keys: list[str] = []

    def collect(node: Any, prefix: str) -> None:
        for key, child in node.items() if isinstance(node, dict) else ():
            keys.append(f"{prefix}{key}")
            collect(child, f"{prefix}{key}.")

    collect(OmegaConf.to_container(config, resolve=False), "")
    return keys


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).strip().split("\n")[0].split())

"""Runs commands with key=value settings: composes the configuration, prints one-line errors, returns an exit code."""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Glob, Sweep
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genreclf.config import RENAMED, config_folder, did_you_mean, flatten
from genreclf.errors import GenreclfError, command, file_system_error, reason, user_error
from genreclf.files import user_path
from genreclf.stopping import stoppable
from genreclf.sweeps import collected_exit_codes, folder_name, is_sweep, parsed, sweep_words

Task = Callable[[dict[str, Any], list[str]], int | None]

# Hydra's flags, and its options whose value is the next argument.
_FLAGS = {"-h", "--help", "--hydra-help", "--version", "--resolve", "-m", "--multirun", "-sc", "--shell-completion"}
_OPTIONS = {"-c", "--cfg", "-p", "--package", "-i", "--info", "-cp", "--config-path", "-cn", "--config-name"}
_OPTIONS |= {"-cd", "--config-dir", "--experimental-rerun"}
_OPEN_GROUPS = ("hydra", "logger")  # a user may add keys to these

OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)


@command
@stoppable()
def run_command(
    config_name: str,
    task: Task,
    arguments: Sequence[str] | None = None,
    extra_keys: Sequence[str] = (),
    options: Sequence[str] = (),
) -> int:
    """Composes `config_name` from the command line and calls `task` with it and the overrides, as plain data.

    `arguments` is the command line in the form that `translate` reads, by default that of sys.argv.
    `extra_keys` may be set although they are not in the YAML files; `options` are as in `translate`.

    Returns the exit code: the result of `task` (None: 0), or 2 after a GenreclfError, which is printed as one line. In
    a sweep all jobs run, and the highest code is returned.
    """
    codes: list[int] = []  # empty until a job starts

    @hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)
    def job(config: DictConfig) -> int:
        codes.append(0)
        sys.argv = before  # Hydra has read its arguments; code that starts the command again needs these
        try:
            plain = _plain(config, config_name)
            # extra_keys were given to Hydra with "++", which a user need not type.
            overrides = [word.removeprefix("++") for word in HydraConfig.get().overrides.task]
            codes.append(task(plain, overrides) or 0)
        except GenreclfError as error:
            codes.append(user_error(error))
        except OSError as error:
            codes.append(user_error(file_system_error(error)))
        return codes[-1]  # from another process, only the return value comes back

    before = sys.argv
    words = translate(before[1:] if arguments is None else arguments, config_name, extra_keys, options)
    words = sweep_words(words) if is_sweep(words) else words
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises errors instead of printing them
    try:
        sys.argv = [before[0], *words]  # Hydra reads them there
        with collected_exit_codes(words, codes):
            job()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        # Hydra raises ValueError for a number as a group's choice; a ValueError of the task is a bug.
        if codes and not isinstance(error, (HydraException, OmegaConfBaseException)):
            raise
        codes.append(user_error(_explain(error, config_name, extra_keys)))
    finally:
        sys.argv = before
    return max(codes, default=0)


def translate(
    words: Sequence[str], config_name: str, extra_keys: Sequence[str] = (), options: Sequence[str] = ()
) -> list[str]:
    """Translates a command line from this package's form to Hydra's form.

    An argument without a key is the value of the key that the YAML file leaves open (run: ???); run=RUN is the same.
    --KEY means KEY=true for a key that is false there. `options` are keys of the file that are given as --KEY VALUE, or
    --KEY VALUE... for a list. For commands with `options`, an argument without a key is the folder of data=folder.
    Raises GenreclfError for unknown options, keys of earlier versions, and arguments in the wrong place.
    """
    defaults = yaml.safe_load((config_folder() / f"{config_name}.yaml").read_text())
    flags = [_option(key) for key, value in defaults.items() if value is False]
    free = [key for key, value in defaults.items() if value == "???"] or ["data.path"] * bool(options)
    words = [_without_key(_in_home(word), defaults) for word in words]
    usage = _usage(config_name, *("DIR" if key == "data.path" else key for key in free))
    takes_path = bool(free)
    words, settings = _take_options(words, {key: isinstance(defaults[key], list) for key in options}, usage)
    of_hydra: list[str] = []  # first, because its parser accepts settings only on one side of options
    is_value = False  # of the option before
    for word in words:
        if is_value:
            of_hydra.append(word)
        elif word in flags:
            settings.append(f"{word[2:].replace('-', '_')}=true")
        elif word.startswith("-"):
            _check_option(word, [*flags, *map(_option, options)], usage)
            of_hydra.append(word)
        elif _is_override(word, takes_path):
            settings.append(_override(word, extra_keys))
        elif free:
            key = free.pop()
            if key == "data.path" and not any(one.startswith("data=") for one in words):
                settings.append("data=folder")
            settings.append(_quote(key, _literal(word)))
        else:
            raise GenreclfError(f"{word}: unexpected; {usage}")
        is_value = not is_value and word in _OPTIONS
    return [*of_hydra, *settings]


def _take_options(words: Sequence[str], options: Mapping[str, bool], usage: str) -> tuple[list[str], list[str]]:
    """Splits off the options --KEY VALUE..., as KEY=VALUE. `options`: by key, whether it takes several values."""
    key_of = {_option(key): key for key in options}
    values: dict[str, list[str]] = {}
    others: list[str] = []
    key, has_value = "", False  # of the option before
    for word in words:
        name, _, value = word.partition("=")
        if name in key_of:
            key, has_value = key_of[name], bool(value)
            values.setdefault(key, []).extend([value] if value else [])
        elif key and not word.startswith("-") and (not has_value or (options[key] and not _is_override(word, True))):
            values[key].append(word)
            has_value = True
        else:
            key = ""
            others.append(word)
    for name, key in key_of.items():
        given = len(values.get(key, [0]))
        if given != 1 and not (options[key] and given):
            raise GenreclfError(f"{name}: {'give it once' if given else 'needs a value'}; {usage}")
    quoted = {key: [_quote("", one)[1:] for one in given] for key, given in values.items()}
    return others, [f"{key}=" + (f"[{','.join(q)}]" if options[key] else q[0]) for key, q in quoted.items()]


def compose(config_name: str, overrides: Sequence[str], extra_keys: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the configuration for other overrides, as plain data. Call it within a task."""
    return _plain(hydra.compose(config_name, translate(overrides, config_name, extra_keys)), config_name)


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _usage(config_name: str, *keys: str) -> str:
    return "usage: " + " ".join(["genreclf", config_name, *(key.upper() for key in keys), "KEY=VALUE..."])


def _check_option(word: str, flags: Sequence[str], usage: str) -> None:
    name, known = word.partition("=")[0], [*flags, *_FLAGS, *_OPTIONS]
    if name not in known:
        remedy = usage if name in ("--run", "-r", "--onnx") else did_you_mean(name, known, "see --help")
        raise GenreclfError(f"{name}: unknown option; {remedy}")


def _is_override(word: str, takes_path: bool) -> bool:
    """Returns whether `word` is KEY=VALUE. A path may also contain "=", like the folders of a sweep."""
    key, equals, _ = word.partition("=")
    if word.startswith("~") and not word.startswith("~/"):  # Hydra's deletion of a key, which `_override` refuses
        return True
    is_path = ("/" in key and not key.lstrip("+").startswith("hydra/")) or os.path.exists(word)  # noqa: PTH110 - any text
    return bool(equals) and not (takes_path and is_path)


def _in_home(word: str) -> str:
    """Replaces ~ by the home folder in KEY=~/x and ~/x."""
    key, equals, value = ("", "", word) if word.startswith("~/") else word.partition("=")
    return f"{key}{equals}{user_path(value)}" if value == "~" or value.startswith("~/") else word


def _without_key(word: str, defaults: Mapping[str, Any]) -> str:
    """Returns RUN for run=RUN if the YAML file leaves the key open."""
    key, _, value = word.partition("=")
    return value if value and defaults.get(key) == "???" else word


def _override(word: str, extra_keys: Sequence[str]) -> str:
    """Returns the override for Hydra, with the value in quotes if Hydra would misread it.

    Paths need not follow Hydra's grammar: they may contain letters of any script, quotes, brackets and commas.
    """
    key, equals, value = word.partition("=")
    name = key.lstrip("+")
    if not name or name.startswith("~"):
        raise GenreclfError(f"{word}: no key to set; give KEY=VALUE, as in logger=none or data.table=null")
    values = [part.strip(" '\"") for part in value.strip("[]").split(",")]
    for old in (name, *(f"{name}={part}" for part in values)):
        if old in RENAMED:
            raise GenreclfError(f"{old}: {RENAMED[old]}")
    if (config_folder() / name).is_dir() and not _may_be_choice(name, word):
        raise GenreclfError(_unknown_choice(f"{name}/{value}", None))  # Hydra names neither the group nor a choice
    if equals and name == "run" and value in ("", "null"):
        raise GenreclfError(f"{word}: no folder; give one, or leave it out")
    # A known key needs no "+". Without it, Hydra refuses an unknown key.
    if re.split("[./]", name)[0] not in _OPEN_GROUPS:
        key = f"++{name}" if name in extra_keys else name
    # Hydra reads a comma as a sweep and ${} as another key, and drops spaces at the ends.
    misread = ("," in value or "${" in value or value != value.strip()) and os.path.exists(value)  # noqa: PTH110
    if misread:
        return _quote(key, _literal(value))
    override = parsed(word)
    is_name = name == "run" and override and not isinstance(override.value(), (str, Sweep))  # such as true, or [1]
    if equals and (is_name or override is None):
        return _quote(key, value)
    return f"{key}{equals}{value}"


def _may_be_choice(group: str, word: str) -> bool:
    """Returns whether GROUP=VALUE gives a name, names for a sweep, or a list for the group that accepts several."""
    override, kinds = parsed(word), (str, Sweep, Glob, *([list] if group == "logger" else []))
    return override is None or (isinstance(override.value(), kinds) and override.value() != "")


def _literal(value: str) -> str:
    """Escapes a path for OmegaConf, which reads ${KEY} as the value of a key unless a backslash precedes it."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value)


def _quote(key: str, value: str) -> str:
    # Backslashes escape only before a quote, including the one that ends the value.
    escaped = re.sub(r'(\\*)("|\Z)', lambda match: 2 * match[1] + match[2].replace('"', '\\"'), value)
    return f'{key}="{escaped}"'


def _plain(config: DictConfig, config_name: str) -> dict[str, Any]:
    try:
        for key in sorted(OmegaConf.missing_keys(config)):
            remedy = f"give {key}=..." if "." in key else _usage(config_name, key)
            raise GenreclfError(f"{key}: needs a value; {remedy}")
        plain: Any = OmegaConf.to_container(config, resolve=True)
        return plain
    except OmegaConfBaseException as error:
        raise GenreclfError(reason(error)) from error


def _unknown_choice(file: str, known: Sequence[str] | None) -> str:
    """Returns the message for GROUP/NAME. If a group accepts several choices, Hydra does not list the `known` ones."""
    group, _, name = file.rpartition("/")
    if name.startswith("submitit_"):
        return f"{group}={name}: not installed; run pip install 'genreclf[slurm]'"
    known = known or sorted(path.stem for path in (config_folder() / group).glob("*.yaml"))
    setting = f"{group}={name}" if group else f"--config-name {name}"
    return f"{setting}: unknown; known: {', '.join(known)}"


def _explain(error: Exception, config_name: str, extra_keys: Sequence[str]) -> str:
    """Summarizes an error of Hydra in one line, with the nearest known key."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_choice(error.missing_cfg_file, error.options)
    if ambiguous := re.match(r"Ambiguous value for argument '(.*)'", str(error)):
        return f"{ambiguous[1]}: several values; add -m for a sweep over them, or give a list in brackets"
    match = re.search(r"Could not override '([^']+)'", str(error))
    if not match:
        return reason(error) + (f" ({reason(error.__cause__)})" if error.__cause__ else "")
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        config: Any = OmegaConf.to_container(hydra.compose(config_name), resolve=False)
    known = [*config, *flatten(config), *extra_keys]
    if match[1] in known:  # a key of the group's default choice
        return f"{match[1]}: has no effect with the chosen {match[1].partition('.')[0]}; remove it"
    return f"{match[1]}: unknown key; {did_you_mean(match[1], known, 'see --help for the known keys')}"

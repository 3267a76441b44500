"""Makes the configuration of a resumed run from its folder and the command line."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

import yaml

from genreclf.config import flatten
from genreclf.data.genre_map import absolute_genre_map
from genreclf.errors import GenreclfError, reason
from genreclf.frontend.object_store import absolute
from genreclf.inference.run_folder import CONFIG_YAML, LAST_CHECKPOINT, RECORD, absolute_model
from genreclf.text import NAMES_SHOWN

# Keys whose values are paths, and how these are made valid in any working folder. For MOVABLE, the digests in the
# record show whether the content is the same.
MOVABLE: dict[str, Callable[[str], str | None]] = {
    **dict.fromkeys(("data.path", "data.table", "data.drop"), absolute),
    "data.genre_map": absolute_genre_map,
}
_PATHS = {**MOVABLE, "teacher": absolute, "init": absolute_model}
OUTSIDE = ("run", "ckpt", "logger", "cache")  # groups and keys that do not affect the trained model
# Groups and keys that do not affect the training steps; the last two affect the bundle of a finished run.
_FREE = (*OUTSIDE, "device_store_mib", "cuda_graph", "temperature", "fp16_weights")
STEPS = ("augment", "batch_size", "trainer", "view")  # groups and keys that a checkpoint records besides the net's
EPOCHS = "trainer.max_epochs"
DIGESTS = "data.store_digest", "data.split_digest"  # in record.json, of what `check_data` compares
_ABSENT = object()
# The types of keys in config.yaml and record.json that are read without other checks
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("augment", "data", "logger", "loggers", "model", "optim", "split", "trainer", "view"), dict),
    **{"model.name": str, "overrides": list[str], "seed": int, "split.fold": int | None},
    **{"git_commit": str | None, "weights": dict, "weights.pretrained": bool},
    **dict.fromkeys(DIGESTS, str),
    "data.seen_files": list[str],
}


@dataclass(frozen=True)
class Resumed:
    """The settings and the record with which a run is resumed."""

    config: dict[str, Any]
    overrides: list[str]  # of the run, and new ones
    data: dict[str, Any]  # the record's description of the data
    weights: dict[str, Any] | None  # the record's description of the initial weights; None in a damaged record
    loggers: dict[str, Any]  # ids with which its loggers find it


def resumed(folder: Path, typed: Sequence[str], compose: Callable[[list[str]], dict[str, Any]]) -> Resumed:
    """Returns the run in `folder` with the overrides `typed`; `compose` makes a configuration from overrides.

    An override may repeat the run's value, name data that has moved (MOVABLE), ask for more epochs, or change a key
    that does not affect the training steps. Raises GenreclfError for other overrides, and if the folder has no run.
    """
    if not any(os.path.lexists(folder / name) for name in (CONFIG_YAML, LAST_CHECKPOINT)):
        raise GenreclfError(f"ckpt=last: {folder} holds no run; name one with run=FOLDER, or leave out ckpt=last")
    config, record = read_run(folder, record_keys=DIGESTS)
    make_absolute(config)  # earlier versions did so with some paths only
    before, given = _by_key(record["overrides"]), _by_key(typed)
    merged = {**before, **given}
    was, now = compose(list(before.values())), compose(list(merged.values()))
    stored, flat_was, flat_now = flatten(config), flatten(was), flatten(now)
    config = {**config, **{key: now[key] for key in _FREE}}
    config["data"]["cache"] = now["cache"]
    # Other groups are checked when they are read. Runs of earlier versions have no task.
    read = [key for key in flat_was if key.partition(".")[0] in ("model", "optim", "trainer")]
    missing = [key for key in (*now, *read) if key not in {*config, *stored, "task"} and "model.net." not in key]
    if missing:
        remedy = "copy the run again, or start a new one"
        raise GenreclfError(f"{folder / CONFIG_YAML}: lacks {', '.join(missing[:NAMES_SHOWN])}; {remedy}")
    config["trainer"].pop("_target_", None)  # in runs of earlier versions
    for key in sorted({*flat_was, *flat_now, *given}):
        changed = flat_was.get(key) != flat_now.get(key) or key in given
        if not changed or key.partition(".")[0] in _FREE or key == "data.cache":
            continue
        value = _found(key, flat_now.get(key), stored.get(key), repeated=before.get(key) == given.get(key))
        if key not in MOVABLE and value != stored.get(key) and not (key == EPOCHS and _more(value, stored[key])):
            only = f"; only a higher {EPOCHS} can be given" if key == EPOCHS else ""
            about = _words_about(key, value, before, given)
            raise GenreclfError(f"{about}: the run in {folder} has {stored.get(key)}{only}; leave it out")
        if key in (*MOVABLE, EPOCHS):
            group, name = key.split(".")
            config[group][name] = value
    overrides = [word for key, word in merged.items() if key != "ckpt"]
    return Resumed(config, overrides, record["data"], record.get("weights"), record.get("loggers", {}))


def read_run(
    folder: Path, config_keys: Sequence[str] = (), record_keys: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads the configuration and the record of a run.

    Raises GenreclfError if a file is missing or damaged, or lacks one of the keys that the caller reads (dotted).
    """
    config = _read(folder / CONFIG_YAML, yaml.safe_load, ("data", "model.name", *config_keys))
    return config, _read(folder / RECORD, json.loads, ("overrides", *record_keys))


def _read(file: Path, parse: Callable[[str], Any], keys: Sequence[str]) -> dict[str, Any]:
    try:
        values = parse(file.read_text())
        if not isinstance(values, dict):
            raise ValueError("no keys with values")
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise GenreclfError(f"{file}: cannot be read ({reason(error)}); copy the run again") from error
    for key in dict.fromkeys((*keys, *_TYPES)):
        value = _value(values, key)
        if value is _ABSENT and key in keys:
            raise GenreclfError(f"{file}: lacks {key}; copy the run again")
        if value is not _ABSENT and not _fits(value, _TYPES.get(key, object)):
            raise GenreclfError(f"{file}: damaged ({key}); copy the run again")
    return values


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is list:
        return isinstance(value, list) and all(isinstance(word, str) for word in value)
    return isinstance(value, kind)


def _value(values: Any, key: str) -> Any:
    """Returns the value of a dotted key, or _ABSENT."""
    for name in key.split("."):
        if not isinstance(values, dict) or name not in values:
            return _ABSENT
        values = values[name]
    return values


def check_data(
    folder: Path, config: dict[str, Any], now: dict[str, Any], trained: dict[str, Any], otherwise: str
) -> None:
    """Raises GenreclfError if the summaries of the data differ; `otherwise` describes the consequence."""
    data = config["data"]
    files = [f"data.{key}={data[key]}" for key in ("genre_map", "table") if data.get(key)]
    labels = f" with the genres of {' and '.join(files)}" if files else ""
    moved = "restore them, or give data.path=FOLDER if they have moved"
    content = f"the content of {data['path']}{labels} differs", moved
    split = "the split differs", f"restore {' and '.join(files) or 'the settings of the split'}"
    for digest, (what, remedy) in (("store_digest", content), ("split_digest", split)):
        if now[digest] != trained[digest]:
            raise GenreclfError(f"{folder}: {what} from what it was in the training; {remedy}: {otherwise}")


def _more(value: Any, stored: Any) -> bool:
    return type(value) is int and type(stored) is int and value > stored


def _by_key(words: Sequence[str]) -> dict[str, str]:
    return {word.lstrip("+").partition("=")[0]: word for word in words}


def _words_about(key: str, value: Any, before: dict[str, str], given: dict[str, str]) -> str:
    """Returns the typed words that change a key: the key itself, its group, or else all new words."""
    group = key.partition(".")[0]
    new = [word for name, word in given.items() if before.get(name) != word and name.partition(".")[0] not in _FREE]
    typed = [given[group]] if group in given else new
    return f"{key}={value}" if key in given or not typed else f"{', '.join(typed)} gives {key}={value}"


def make_absolute(config: dict[str, Any]) -> None:
    """Makes the paths in a composed configuration valid in any working folder."""
    for key, place in _PATHS.items():
        group, _, name = key.rpartition(".")
        values = config[group] if group else config
        if isinstance(values.get(name), str):
            values[name] = place(values[name])


def settings_of(overrides: Sequence[str], config: dict[str, Any]) -> set[str]:
    """Returns the overrides that affect the trained model, with paths as in the composed `config`, made absolute."""
    found = {}
    for key, word in _by_key(overrides).items():
        if key.partition(".")[0] not in OUTSIDE:
            found[key] = f"{key}={_value(config, key)}" if key in _PATHS else word.lstrip("+")
    return set(found.values())


def _found(key: str, given: Any, stored: Any, repeated: bool) -> Any:
    """Returns the present place if the value of a key is a path, or else the value.

    Repeated words mean the same place, also in another working folder.
    """
    if given is None or key not in _PATHS:
        return given
    place = str(_PATHS[key](given))
    return stored if repeated and "://" not in place and not Path(place).exists() else place

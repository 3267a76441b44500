"""Converts plain mappings to the frozen dataclasses that the code uses. Default values are only in the YAML files."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from genreclf.errors import GenreclfError
from genreclf.files import user_path

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)

# Keys, or key=value, of earlier versions, on the command line and in files, with the change and the remedy.
RENAMED = {
    "half": "renamed: use fp16_weights",
    "view=excerpt": "renamed: use view=downsampled",
    "tta=keys": "renamed: use tta=pitch_shift",
    "optim.keep": "renamed: use optim.checkpoint",
    "optim.name": "removed: choose a recipe with optim=NAME",
    "optim.consistency": "moved: use augment.consistency",
    "augment.name": "removed: choose an augmentation with augment=NAME",
    "augment.pairs": "removed: augment.consistency above 0 shows each segment in two views, 0 in one",
    "model.net.own_scale": "renamed: use model.net.standardize",
    "model=committee": "removed: compare runs with genreclf compare RUN RUN, or average their predictions",
    "model.members": "removed: compare runs with genreclf compare RUN RUN, or average their predictions",
}


# Names of types in messages
TYPE_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    type(None): "null",
    list: "a list",
}


def config_folder() -> Path:
    """Returns the folder of the YAML files: inside an installed package, or beside it in a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "conf"
    return installed if installed.is_dir() else here.parent / "conf"


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Makes an instance of the dataclass `cls` from `values`. Messages begin with the key `where`. Lists become tuples.

    Raises GenreclfError for an unknown key, a missing key, or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise GenreclfError(f"{where}={values!r}: expected keys with values")
    hints = typing.get_type_hints(cls)
    for name in sorted(str(key) for key in values if key not in hints):
        key, hint = _join(where, name), did_you_mean(name, hints, f"known keys: {', '.join(hints)}")
        raise GenreclfError(f"{key}: {RENAMED.get(key) or f'unknown key; {hint}'}")
    for field in dataclasses.fields(cls):
        if field.name not in values and field.default is dataclasses.MISSING:
            raise GenreclfError(f"{_join(where, field.name)}: missing key; add it")
    return cls(**{name: _checked(values[name], hints[name], _join(where, name)) for name in values})


_BOUNDS = {"at_least": "{:,} or more", "above": "more than {:,}", "at_most": "at most {:,}", "below": "less than {:,}"}


@dataclasses.dataclass(frozen=True)
class Limits:
    """The range of a number, or of each number in a tuple; an annotation for `check_fields`."""

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    below: float = math.inf

    def check(self, key: str, value: Any, optional: bool = False) -> None:
        """Raises GenreclfError for a number out of range, infinity or NaN. None is allowed, and named if `optional`."""
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        within = (self.at_least <= x <= self.at_most and self.above < x < self.below for x in numbers)
        if not all(within) or not all(map(math.isfinite, numbers)):
            shown = list(value) if isinstance(value, tuple) else value
            raise GenreclfError(f"{key}={shown}: give {self}{', or null' * optional}")

    def __str__(self) -> str:
        ends = ((text, getattr(self, name)) for name, text in _BOUNDS.items())
        return ", ".join(text.format(end) for text, end in ends if math.isfinite(end))


ABOVE_0, FROM_0, FROM_1 = Limits(above=0), Limits(at_least=0), Limits(at_least=1)
SHARE, BELOW_1 = Limits(at_least=0, at_most=1), Limits(at_least=0, below=1)


def check_fields(config: DataclassInstance, where: str) -> None:
    """Checks the fields that are Annotated with `Limits` or a tuple of the known words.

    Raises GenreclfError, whose message begins with the key `where`.
    """
    for name, hint in typing.get_type_hints(type(config), include_extras=True).items():
        for known in getattr(hint, "__metadata__", ()):
            key, value = _join(where, name), getattr(config, name)
            if isinstance(known, Limits):
                known.check(key, value, optional=type(None) in typing.get_args(hint.__origin__))
            else:
                check_choice(key, value, known)


def check_choice(key: str, value: Any, known: Iterable[str | None]) -> None:
    """Raises GenreclfError, which lists the known words, for a value that is not among them."""
    if value not in (words := list(known)):
        names = list(map(yaml_word, words))
        nearest = did_you_mean(str(value), names, "")
        raise GenreclfError(f"{key}={yaml_word(value)}: unknown; {nearest and nearest + ' '}known: {', '.join(names)}")


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """Returns a hint with the known word nearest to `word`, or `otherwise` if none is near."""
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else otherwise


def yaml_word(value: Any) -> str:
    """Formats a value as it is typed on the command line."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Flattens nested dicts to one dict with dotted keys: {"a": {"b": 1}} -> {"a.b": 1}."""
    if not isinstance(config, dict):
        return {prefix: config}
    nested = (flatten(value, _join(prefix, str(key))) for key, value in config.items())
    return {path: leaf for leaves in nested for path, leaf in leaves.items()}


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _shown(value: Any) -> str:
    """Formats a value of a wrong type, with text in quotes, because 3 may be text."""
    return repr(value) if isinstance(value, str) else yaml_word(value)


def _path(value: str, where: str) -> Path:
    try:
        return user_path(value)
    except GenreclfError as error:
        raise GenreclfError(f"{where}={value}: {error}") from error


def _checked(value: Any, hint: Any, where: str) -> Any:
    if isinstance(hint, types.UnionType):  # a type or None, or a path or a URL
        other = typing.get_args(hint)[1]
        if dataclasses.is_dataclass(other) and isinstance(value, str) and "://" in value:
            return other(value.rstrip("/"))  # type: ignore[call-arg, operator]  # the class of URLs
        may_be_null = value is None and types.NoneType in typing.get_args(hint)
        return None if may_be_null else _checked(value, typing.get_args(hint)[0], where)
    origin = typing.get_origin(hint) or hint
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise GenreclfError(f"{where}={_shown(value)}: expected a list")
        return tuple(_checked(item, typing.get_args(hint)[0], where) for item in value)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return build(hint, value, where)  # type: ignore[arg-type]  # mypy: is_dataclass may narrow to an instance
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return _path(value, where)
    if not isinstance(value, origin) or (hint is int and isinstance(value, bool)):
        expected = TYPE_NAMES.get(origin, origin.__name__)
        if origin in (str, Path) and isinstance(value, (int, float)):
            # The example does not have the value itself, because 1e3 was read as 1000.0.
            expected += f"; put a name like this in two pairs of quotes, as in {where}=\"'1980'\""
        raise GenreclfError(f"{where}={_shown(value)}: expected {expected}")
    return value

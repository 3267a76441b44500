"""Plain mappings -> the frozen dataclasses that the code runs on. Defaults stand in the YAML files only."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from genreclf.errors import GenreclfError

T = TypeVar("T")


def config_folder() -> Path:
    """The folder of the YAML files: inside an installed package, beside it in a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "conf"
    return installed if installed.is_dir() else here.parent / "conf"


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """`values` as an instance of the dataclass `cls`; `where` is the key that messages begin with.

    Raises GenreclfError for an unknown key, a missing key, or a value of the wrong type. Lists become tuples.
    """
    if not isinstance(values, Mapping):
        raise GenreclfError(f"{where}={values!r}: expected keys with values")
    hints = typing.get_type_hints(cls)
    unknown = sorted(str(key) for key in values if key not in hints)
    if unknown:
        close = difflib.get_close_matches(unknown[0], hints, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(hints)}"
        raise GenreclfError(f"{_join(where, unknown[0])}: unknown key; {hint}")
    required = [field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING]
    missing = [name for name in required if name not in values]
    if missing:
        raise GenreclfError(f"{_join(where, missing[0])}: missing key; add it")
    return cls(**{name: _checked(values[name], hints[name], _join(where, name)) for name in values})


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _checked(value: Any, hint: Any, where: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in inner:
            return None
        hint = next(option for option in inner if option is not type(None))
        return _checked(value, hint, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise GenreclfError(f"{where}={value!r}: expected a list")
        return tuple(_checked(item, inner[0], where) for item in value)
    if origin is dict:
        hint = dict
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return build(hint, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value).expanduser()
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise GenreclfError(f"{where}={value!r}: expected {hint.__name__}, got {type(value).__name__}")
    return value

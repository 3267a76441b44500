"""The configuration of a data set in tests: the YAML's values, with some replaced."""

from typing import Any

import yaml

from genreclf.config import build, config_folder
from genreclf.data.data_config import DataConfig
from genreclf.inference.task import MULTICLASS


def data_config(name: str = "folder", /, **values: Any) -> DataConfig:
    """`data=NAME` with these values; paths may be given as paths."""
    known: dict[str, Any] = {}
    for file in dict.fromkeys(("folder", name)):  # the others have what differs from `folder`
        known |= yaml.safe_load((config_folder() / "data" / f"{file}.yaml").read_text())
    known.pop("defaults", None)
    return build(DataConfig, {**known, "task": MULTICLASS, **values}, "data")

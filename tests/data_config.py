"""The configuration of a data set in tests: the YAML's values, with some replaced."""

from typing import Any

import yaml

from genreclf.config import build, config_folder
from genreclf.data.sources import DataConfig
from genreclf.inference.task import MULTICLASS


def data_config(name: str = "folder", /, **values: Any) -> DataConfig:
    """Returns `data=NAME` with these values. Paths may be `Path` objects."""
    known = yaml.safe_load((config_folder() / "data" / f"{name}.yaml").read_text())
    return build(DataConfig, {**known, "task": MULTICLASS, **values}, "data")

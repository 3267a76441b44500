"""Settings, rows and files of data sets for tests."""

from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf

from genreclf.config import build, config_folder
from genreclf.data.data_config import DataConfig
from genreclf.data.split import SplitConfig
from genreclf.data.store import Row
from genreclf.inference.task import MULTICLASS

T = TypeVar("T")


def of_yaml(group: str, name: str) -> dict[str, Any]:
    """The values of a file and of those that it extends. Composing the whole configuration takes longer."""
    values = OmegaConf.load(config_folder() / group / f"{name}.yaml")
    extended = [base for base in values.pop("defaults", []) if isinstance(base, str) and base != "_self_"]
    return OmegaConf.to_container(OmegaConf.merge(*(of_yaml(group, base) for base in extended), values))


def data_config(name: str = "folder", /, **values: Any) -> DataConfig:
    """`data=NAME` with these values; paths may be given as paths."""
    return build(DataConfig, {**of_yaml("data", name), "task": MULTICLASS, **values}, "data")


def settings_of(kind: type[T], group: str, name: str) -> T:
    """The settings of GROUP=NAME."""
    return build(kind, of_yaml(group, name), group)


def split_config(name: str) -> SplitConfig:
    """`split=NAME`."""
    return settings_of(SplitConfig, "split", name)


def made_row(path: str = "a/x.wav", **values: object) -> Row:
    """A clip of 30 s without a fault, with these values."""
    known = {"label": path.split("/")[0], "columns": 1_292, "frames": 1_292, "offset": 0, "steps": 200, "tokens": 900}
    known |= {"first_sound": 0, "sound_columns": 1_292, "sound_frames": 1_292}
    known |= {"source_rate_hz": 22_050, "source_seconds": 30.0, "digest": path, "group": path, "problem": ""}
    return Row(path=path, **{**known, **values})


def fill(folder: Path, *names: str) -> Path:
    """Makes empty files, and returns the folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder

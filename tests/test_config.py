"""YAML files and their dataclasses: each default is in one place, and each key is read."""

import dataclasses
import inspect
import re
from pathlib import Path

import hydra
import pytest
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf

from genreclf.config import RENAMED, build, config_folder, flatten
from genreclf.data.augment import AugmentConfig
from genreclf.data.data_config import DataConfig
from genreclf.data.split import SplitConfig
from genreclf.errors import GenreclfError
from genreclf.frontend.object_store import StorePath
from genreclf.frontend.segments import ViewConfig
from genreclf.nets.baselines import MajorityConfig, SvmConfig
from genreclf.nets.config import ModelConfig
from genreclf.nets.kinds import kind_of, new_net
from genreclf.training.optim_config import OptimConfig

DATACLASSES = {
    "augment": AugmentConfig,
    "data": DataConfig,
    "optim": OptimConfig,
    "split": SplitConfig,
    "view": ViewConfig,
}
GROUP_FILES = sorted(path.relative_to(config_folder()) for path in config_folder().glob("*/*.yaml"))
COMMANDS = sorted(path.stem for path in config_folder().glob("*.yaml"))


def compose(name: str, *overrides: str) -> DictConfig:
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        return hydra.compose(name, list(overrides))


def composed_group(path: Path) -> DictConfig:
    group, name = path.parent.name, path.stem
    needed = {"data/folder.yaml": ["data.path=/music"], "data/hub.yaml": ["data.name=hub"]}.get(path.as_posix(), [])
    return compose("train", f"{group}={name}", *needed)[group]


def of(*groups: str) -> list[Path]:
    return [path for path in GROUP_FILES if path.parent.name in groups]


def test_each_group_of_yaml_files_is_tested_here():
    assert {path.parent.name for path in GROUP_FILES} == {*DATACLASSES, "model", "trainer", "logger"}
    assert "train" in COMMANDS


@pytest.mark.parametrize("path", of(*DATACLASSES), ids=str)
def test_groups_compose_with_train_and_fill_their_dataclass(path):
    cls = DATACLASSES[path.parent.name]
    config = build(cls, OmegaConf.to_container(composed_group(path), resolve=True), path.parent.name)
    assert isinstance(config, cls)
    if path.parent.name in ("data", "split", "view"):
        assert config.name == path.stem


@pytest.mark.parametrize("path", of("model"), ids=str)
def test_models_compose_with_train_and_fill_their_dataclass(path):
    values = OmegaConf.to_container(composed_group(path), resolve=True)
    classifier = {"weights", "optimizer", "learning_rate", "backbone_rate", "epochs"}
    keys = {"classifier": classifier, "svm": {"c"}, "majority": set()}[values["kind"]]
    fitted = {"support_vectors": 3} if values["kind"] == "svm" else {}  # known only after fitting
    assert set(values) == {"name", "kind", "net", *keys}
    assert values["name"] == path.stem
    net = new_net(values["kind"], {**values["net"], **fitted, "num_classes": 10}, "model.net")
    assert net.config.num_classes == 10 and kind_of(net) == values["kind"]


def named_class(path: Path, values: dict) -> type:
    """Returns the class that takes these arguments: Lightning's Trainer, or the logger that the file names."""
    return Trainer if path.parent.name == "trainer" else hydra.utils.get_class(values["_target_"])


@pytest.mark.parametrize("path", of("trainer", "logger"), ids=str)
def test_trainers_and_loggers_have_arguments_that_their_class_takes(path):
    values = OmegaConf.to_container(composed_group(path), resolve=False)
    for target in [values] if path.parent.name == "trainer" else values.values():
        arguments = {key: value for key, value in target.items() if key != "_target_"}
        signature = inspect.signature(named_class(path, target))
        signature.bind(**arguments)
        assert set(arguments) <= set(signature.parameters)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_compose_and_their_help_names_their_keys(name):
    config = compose(name)
    known = OmegaConf.to_container(config, resolve=False)
    template = OmegaConf.load(config_folder() / f"{name}.yaml").hydra.help.template
    assert f"genreclf {name}" in template
    groups = {path.parent.name for path in GROUP_FILES}
    assert not [key for key in known if key not in groups and not re.search(rf"\b{key}\b", template, re.I)]


OPTIONAL = ["last_time_stride", "task"]  # older bundles and runs do not contain them


@pytest.mark.parametrize("cls", [*DATACLASSES.values(), ModelConfig, SvmConfig, MajorityConfig])
def test_defaults_are_in_yaml_only(cls):
    assert dataclasses.is_dataclass(cls)
    for field in (field for field in dataclasses.fields(cls) if field.name not in OPTIONAL):
        assert field.default in (dataclasses.MISSING, None)  # None: a key that only some choices of its group have
        assert field.default_factory is dataclasses.MISSING


# --- build ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Sample:
    name: str
    count: int
    share: float
    on: bool
    sizes: tuple[int, ...]
    folder: Path
    limit: int | None


GOOD = {"name": "x", "count": 3, "share": 0.5, "on": True, "sizes": [1, 2], "folder": "~/a", "limit": None}


def test_build_fills_all_fields():
    expected = Sample("x", 3, 0.5, True, (1, 2), Path("~/a").expanduser(), None)
    assert build(Sample, GOOD, "sample") == expected


@dataclasses.dataclass(frozen=True)
class Place:
    folder: Path | StorePath


def test_a_required_path_or_url_cannot_be_null():
    with pytest.raises(GenreclfError, match=r"sample\.folder"):
        build(Place, {"folder": None}, "sample")


def test_build_converts_equivalent_values():
    config = build(Sample, {**GOOD, "share": 1, "sizes": (), "folder": Path("b"), "limit": 4}, "sample")
    assert (config.share, config.sizes, config.folder, config.limit) == (1.0, (), Path("b"), 4)
    assert isinstance(config.share, float)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({**GOOD, "coutn": 3}, ("sample.coutn:", "'count'")),
        ({**GOOD, "qqqqqq": 3}, ("sample.qqqqqq:", "name, count, share, on, sizes, folder, limit")),
        ({**GOOD, 7: 3}, ("sample.7:", "name, count, share, on, sizes, folder, limit")),
        ({key: value for key, value in GOOD.items() if key != "on"}, ("sample.on:", "add it")),
        (None, ("sample=None:", "keys")),
        ("whole", ("sample='whole':", "keys")),
    ],
)
def test_build_names_a_wrong_key(values, parts):
    with pytest.raises(GenreclfError) as caught:
        build(Sample, values, "sample")
    assert all(part in str(caught.value) for part in parts)


def test_keys_at_the_top_are_named_without_a_dot():
    with pytest.raises(GenreclfError, match=r"^count='x': .*whole number"):
        build(Sample, {**GOOD, "count": "x"}, "")
    with pytest.raises(GenreclfError, match=r"^cuont: .*'count'"):
        build(Sample, {**GOOD, "cuont": 1}, "")


def test_a_key_of_an_earlier_version_is_refused_with_its_remedy(monkeypatch):
    monkeypatch.setitem(RENAMED, "sample.cuont", "renamed: use count")
    with pytest.raises(GenreclfError, match=r"^sample.cuont: renamed: use count$"):
        build(Sample, {**GOOD, "cuont": 1}, "sample")


@pytest.mark.parametrize(
    ("key", "value", "typed", "expected"),
    [
        ("name", 5, "5", "text.*quotes.*sample.name=\"'1980'\""),
        ("name", 1e3, "1000.0", "text.*quotes"),
        ("name", True, "true", "text.*quotes"),
        ("name", None, "null", "text"),
        ("count", "3", "'3'", "a whole number"),
        ("count", 3.0, "3.0", "a whole number"),
        ("count", True, "true", "a whole number"),
        ("share", "0.5", "'0.5'", "a number"),
        ("share", True, "true", "a number"),
        ("on", 1, "1", "true or false"),
        ("sizes", 4, "4", "a list"),
        ("sizes", [1, "2"], "'2'", "a whole number"),
        ("folder", 7, "7", "a path.*quotes"),
        ("limit", "none", "'none'", "a whole number"),
    ],
)
def test_build_names_a_value_of_the_wrong_type(key, value, typed, expected):
    with pytest.raises(GenreclfError, match=f"^sample.{key}={typed}: .*{expected}"):
        build(Sample, {**GOOD, key: value}, "sample")


def test_flatten_joins_keys_with_dots():
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}

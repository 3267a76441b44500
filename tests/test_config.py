"""The YAML files and the dataclasses that they fill: no default in two places, no key that nobody reads."""

import dataclasses
import inspect
from pathlib import Path

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf

from genreclf.config import build, config_folder
from genreclf.data.augment import AugmentConfig
from genreclf.data.sources import DataConfig
from genreclf.data.split import SplitConfig
from genreclf.errors import GenreclfError
from genreclf.frontend.segments import ViewConfig
from genreclf.nets.baselines import MajorityConfig, SvmConfig
from genreclf.nets.config import ModelConfig
from genreclf.nets.kinds import kind_of, new_net
from genreclf.training.module import OptimConfig

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
    path_of_data = ["data.path=/music"] if path == Path("data/folder.yaml") else []
    return compose("train", f"{group}={name}", *path_of_data)[group]


def of(*groups: str) -> list[Path]:
    return [path for path in GROUP_FILES if path.parent.name in groups]


def test_there_are_yaml_files_and_each_group_has_its_contract_here():
    assert {path.parent.name for path in GROUP_FILES} == {*DATACLASSES, "model", "trainer", "logger"}
    assert "train" in COMMANDS


@pytest.mark.parametrize("path", of(*DATACLASSES), ids=str)
def test_groups_compose_with_train_and_fill_their_dataclass(path):
    cls = DATACLASSES[path.parent.name]
    config = build(cls, OmegaConf.to_container(composed_group(path), resolve=True), path.parent.name)
    assert isinstance(config, cls)
    assert config.name == path.stem


def test_a_committee_composes_once_its_members_are_named():
    config = compose("train", "model=committee", "model.members=[x,y]").model
    assert OmegaConf.to_container(config) == {
        "name": "committee",
        "kind": "committee",
        "members": ["x", "y"],
        "net": {},
    }


MODELS = [path for path in of("model") if path.stem != "committee"]


@pytest.mark.parametrize("path", MODELS, ids=str)
def test_models_compose_with_train_and_fill_their_dataclass(path):
    values = OmegaConf.to_container(composed_group(path), resolve=True)
    nets = {"weights", "optimizer", "learning_rate", "backbone_rate", "epochs"}
    own = {"classifier": nets, "svm": {"c"}, "majority": set()}[values["kind"]]
    fitted = {"support_vectors": 3} if values["kind"] == "svm" else {}  # known once it is fitted
    assert set(values) == {"name", "kind", "net", *own}
    assert values["name"] == path.stem
    net = new_net(values["kind"], {**values["net"], **fitted, "num_classes": 10}, "model.net")
    assert net.config.num_classes == 10 and kind_of(net) == values["kind"]


@pytest.mark.parametrize("path", of("trainer", "logger"), ids=str)
def test_trainers_and_loggers_name_a_class_and_arguments_that_it_takes(path):
    values = OmegaConf.to_container(composed_group(path), resolve=False)
    for target in [values] if path.parent.name == "trainer" else values.values():
        arguments = {key: value for key, value in target.items() if key != "_target_"}
        signature = inspect.signature(hydra.utils.get_class(target["_target_"]))
        signature.bind(**arguments)
        assert set(arguments) <= set(signature.parameters)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_compose_and_their_help_names_their_keys(name):
    config = compose(name)
    known = OmegaConf.to_container(config, resolve=False)
    template = OmegaConf.load(config_folder() / f"{name}.yaml").hydra.help.template
    assert f"python -m genreclf.{name}" in template
    groups = {path.parent.name for path in GROUP_FILES}
    assert not [key for key in known if key not in groups and key not in template and key != "ckpt"]


ADDED_SINCE = ["last_time_stride"]  # bundles of before do not name it, and are read as ever


@pytest.mark.parametrize("cls", [*DATACLASSES.values(), ModelConfig, SvmConfig, MajorityConfig])
def test_defaults_stand_in_yaml_only(cls):
    assert dataclasses.is_dataclass(cls)
    for field in (field for field in dataclasses.fields(cls) if field.name not in ADDED_SINCE):
        assert field.default is dataclasses.MISSING
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


def test_build_takes_what_means_the_same():
    config = build(Sample, {**GOOD, "share": 1, "sizes": (), "folder": Path("b"), "limit": 4}, "sample")
    assert (config.share, config.sizes, config.folder, config.limit) == (1.0, (), Path("b"), 4)
    assert isinstance(config.share, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**GOOD, "coutn": 3}, "sample.coutn: unknown key; did you mean 'count'?"),
        (
            {**GOOD, "qqqqqq": 3},
            "sample.qqqqqq: unknown key; known keys: name, count, share, on, sizes, folder, limit",
        ),
        ({**GOOD, 7: 3}, "sample.7: unknown key; known keys: name, count, share, on, sizes, folder, limit"),
        ({key: value for key, value in GOOD.items() if key != "on"}, "sample.on: missing key; add it"),
        ({}, "sample.name: missing key; add it"),
        (None, "sample=None: expected keys with values"),
        ([1], "sample=[1]: expected keys with values"),
        ("whole", "sample='whole': expected keys with values"),
    ],
)
def test_build_names_a_wrong_key(values, message):
    with pytest.raises(GenreclfError) as caught:
        build(Sample, values, "sample")
    assert str(caught.value) == message


def test_keys_at_the_top_are_named_without_a_dot():
    with pytest.raises(GenreclfError, match=r"^count='x': expected int, got str$"):
        build(Sample, {**GOOD, "count": "x"}, "")
    with pytest.raises(GenreclfError, match=r"^cuont: unknown key; did you mean 'count'\?$"):
        build(Sample, {**GOOD, "cuont": 1}, "")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", 5, "sample.name=5: expected str, got int"),
        ("name", None, "sample.name=None: expected str, got NoneType"),
        ("count", "3", "sample.count='3': expected int, got str"),
        ("count", 3.0, "sample.count=3.0: expected int, got float"),
        ("count", True, "sample.count=True: expected int, got bool"),
        ("share", "0.5", "sample.share='0.5': expected float, got str"),
        ("share", True, "sample.share=True: expected float, got bool"),
        ("on", 1, "sample.on=1: expected bool, got int"),
        ("sizes", 4, "sample.sizes=4: expected a list"),
        ("sizes", "12", "sample.sizes='12': expected a list"),
        ("sizes", [1, "2"], "sample.sizes='2': expected int, got str"),
        ("folder", 7, "sample.folder=7: expected Path, got int"),
        ("limit", "none", "sample.limit='none': expected int, got str"),
        ("limit", False, "sample.limit=False: expected int, got bool"),
    ],
)
def test_build_names_a_value_of_the_wrong_type(key, value, message):
    with pytest.raises(GenreclfError) as caught:
        build(Sample, {**GOOD, key: value}, "sample")
    assert str(caught.value) == message

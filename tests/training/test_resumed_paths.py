"""Resuming a run in another working folder, or with its paths written in another way."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from genreclf.errors import GenreclfError
from genreclf.training.resume import make_absolute, resumed

WORDS = ["data.path=music", "data.genre_map=map.csv", "init=other", "teacher=vectors.npz"]


def composed(words: list[str]) -> dict[str, Any]:
    """A configuration with the keys that resuming reads."""
    free = ("run", "ckpt", "logger", "cache", "device_store_mib", "cuda_graph", "temperature", "fp16_weights")
    data = dict.fromkeys(("path", "table", "drop", "genre_map", "cache"))
    found: dict[str, Any] = {**dict.fromkeys(free), "init": None, "teacher": None, "data": data, "model": {"name": "a"}}
    found |= {"trainer": {"max_epochs": 3}, "optim": {"ema_decay": None}, "logger": {}}
    for word in words:
        key, _, value = word.partition("=")
        group, _, name = key.rpartition(".")
        (found[group] if group else found)[name] = value
    return found


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A run that was started in the folder `first`; the working folder is another one."""
    for name in ("first/other", "first/music", "second", "run"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("map.csv", "vectors.npz"):
        (tmp_path / "first" / name).touch()
    monkeypatch.chdir(tmp_path / "first")
    config = composed(WORDS)
    make_absolute(config)
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    record = {"overrides": WORDS, "data": {"store_digest": "1", "split_digest": "2"}}
    (tmp_path / "run" / "record.json").write_text(json.dumps(record))
    monkeypatch.chdir(tmp_path / "second")
    return tmp_path / "run"


@pytest.mark.parametrize("typed", [[], WORDS, ["init=../first/other/", "teacher=../first/vectors.npz"]])
def test_paths_mean_the_same_in_another_working_folder(run, typed):
    config, first = resumed(run, typed, composed).config, run.parent / "first"
    assert (config["init"], config["teacher"]) == (str(first / "other"), str(first / "vectors.npz"))
    assert (config["data"]["path"], config["data"]["genre_map"]) == (str(first / "music"), str(first / "map.csv"))


def test_a_link_to_the_initial_model_is_the_same_model(run, tmp_path):
    (tmp_path / "second" / "link").symlink_to(tmp_path / "first" / "other")
    assert resumed(run, ["init=link"], composed).config["init"] == str(tmp_path / "first" / "other")


@pytest.mark.parametrize("word", ["init=a", "init=elsewhere", "teacher=elsewhere.npz"])
def test_another_model_or_file_is_refused(run, word):
    with pytest.raises(GenreclfError, match=word.partition("=")[0]):
        resumed(run, [word], composed)


@pytest.mark.parametrize("key", ["data.path", "data.table", "data.drop", "data.genre_map"])
def test_data_may_be_elsewhere(run, key):
    """Their content is compared later."""
    group, _, name = key.partition(".")
    assert resumed(run, [f"{key}=elsewhere"], composed).config[group][name] == str(run.parent / "second" / "elsewhere")


def test_a_pretrained_model_keeps_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = composed(["init=a", "data.path=music"])
    make_absolute(config)
    assert config["init"] == "a" and config["data"]["path"] == str(tmp_path / "music")

"""The script that makes a pretrained model, from a folder of music to a bundle with scores, and its stages."""

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from command_line import NO_EXTRAS, command
from tiny_pictures import tiny_picture

from genreclf.exporters.bundle import load_bundle
from genreclf.frontend.picture import write_picture

SCRIPT = Path(__file__).parents[1] / "scripts" / "make_pretrained.py"
TINY = ["model.net.channels=[8,8,16,16]", "model.net.lstm_units=[8]", "model.net.statistics_units=0", "view=crop"]
TINY += ["data.picture_seconds=6", "batch_size=4", "augment=none"]


@pytest.fixture
def script(monkeypatch) -> ModuleType:
    """The script, with a recipe of one short stage."""
    spec = importlib.util.spec_from_file_location("make_pretrained", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "make_pretrained", module)  # dataclasses look there
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RECIPES", {"a": (module.Stage("all", "trainer.max_epochs=1"),)})
    return module


@pytest.fixture
def music(tmp_path) -> Path:
    """Two genres from GTZAN and other sources, in three folds, and songs of neither genre."""
    folder, rng = tmp_path / "music", np.random.default_rng(0)
    (folder / "teachers").mkdir(parents=True)
    rows = [
        {"clip": f"{source}{number}", "genre": genre, "fold": 1 + number // len(genres) % 3, "source": source}
        for source, genres in (("gtzan", ("jazz", "rock")), ("panda", ("jazz", "rock", "")))
        for number, genre in enumerate(6 * genres)
    ]
    for row in rows:
        place = "gtzan" if row["source"] == "gtzan" else "foreign"
        row |= {"path": f"{place}/pictures/{row['clip']}.png", "group": row["clip"]}
        (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        write_picture(folder / row["path"], tiny_picture(260, rng))
    labelled = [row for row in rows if row["genre"]]
    foreign = [row for row in rows if row["source"] == "panda"]
    for name, table in (("folds", labelled), ("clips", foreign)):
        with (folder / "foreign" / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    names = [row["clip"] for row in labelled]
    vectors = {name: rng.normal(size=(len(names), 3)) for name in ("musicnn_mean", "musicnn_penultimate")}
    np.savez(folder / "teachers" / "teachers.npz", clip=names, **vectors, yamnet_embedding=vectors["musicnn_mean"])
    return folder


@pytest.mark.slow
def test_one_command_trains_scores_and_writes_a_bundle(script, music, cache, tmp_path, monkeypatch):
    trained = []

    def run(words, check):
        trained.append(words[3:])
        done = command("train", *words[3:], cache=cache, before=NO_EXTRAS)
        assert check and done.returncode == 0, done.stderr

    monkeypatch.setattr(subprocess, "run", run)
    for _ in range(2):  # the second time nothing is trained
        script.main("a", music, tmp_path / "work", [0, 1], tmp_path / "bundle", TINY)
    assert len(trained) == 3  # without each of two folds, and with all music
    info = load_bundle(tmp_path / "bundle").info
    assert info.classes == ("jazz", "rock") and info.temperature != 1
    scores = json.loads((tmp_path / "bundle" / "scores.json").read_text())
    assert scores["clips"] == 16 and sum(one["clips"] for one in scores["reliability"]) == 16
    card = (tmp_path / "bundle" / "README.md").read_text()
    assert all(word in card for word in ("other sources", "panda", "musicnn")) and str(tmp_path) not in card


def test_each_stage_starts_from_the_one_before_and_a_stopped_one_resumes(script, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(subprocess, "run", lambda words, check: trained.append(words[3:]))
    (tmp_path / "stage-2").mkdir()
    (tmp_path / "stage-2" / "last.ckpt").touch()
    stages = script.Stage("gtzan", "trainer.max_epochs=3"), script.Stage("all", "trainer.max_epochs=1")
    tables = {"gtzan": ["data.table=gtzan.csv"], "all": ["data.table=all.csv"]}
    runs = script.train(stages, tmp_path, tables, ["seed=1"])
    assert runs == [tmp_path / "stage-1", tmp_path / "stage-2"]
    first, second = trained
    assert first == ["data.table=gtzan.csv", "trainer.max_epochs=3", "seed=1", f"run={runs[0]}"]
    assert {f"init={runs[0]}", "data.table=all.csv", "ckpt=last", f"run={runs[1]}"} < set(second)

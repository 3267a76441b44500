"""Training with a teacher and with out-of-scope music, on the command line."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import NO_EXTRAS, Finished, command
from tiny_pictures import tiny_picture

from genreclf.exporters.bundle import load_bundle
from genreclf.frontend.picture import write_picture
from genreclf.train import main

QUICK = ["model=a", "model.net.channels=[8,8,16,16]", "model.net.lstm_units=[8]", "model.net.statistics_units=0"]
QUICK += ["view=crop", "batch_size=4", "logger=none", "data=folder", "data.picture_seconds=6", "trainer.max_epochs=2"]
COUNTS = {"high": 8, "low": 6, "speech": 6}


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    folder, rng = tmp_path_factory.mktemp("music"), np.random.default_rng(0)
    for genre, count in COUNTS.items():
        (folder / genre).mkdir()
        for number in range(count):
            write_picture(folder / genre / f"{genre}{number}.png", tiny_picture(260, rng))
    names = [f"{genre}{number}" for genre in ("low", "speech") for number in range(6)]
    np.savez(folder / "teacher.npz", clip=names, one=rng.normal(size=(12, 5)), two=rng.normal(size=(12, 3)))
    return folder


def train(music: Path, cache: Path, run: Path, *arguments: str) -> Finished:
    return command("train", *QUICK, f"data.path={music}", f"run={run}", *arguments, cache=cache, before=NO_EXTRAS)


def test_a_teacher_and_out_of_scope_clips_train_a_model_of_only_the_genres(music, cache, tmp_path):
    run, teacher = tmp_path / "run", music / "teacher.npz"
    result = train(music, cache, run, "data.none=speech", f"teacher={teacher}", "optim.prior_power=0")
    assert result.returncode == 0, result.stderr
    assert "2 classes" in result.stdout and "has no vector for 8 of 20 clips" in result.stderr
    info = load_bundle(run / "bundle").info
    assert (info.classes, info.prior_power, info.known) == (("high", "low"), 0.0, None)
    assert sum(info.shares) == pytest.approx(1) and info.shares[0] >= info.shares[1]
    assert "none of the genres" in result.stdout  # too few clips to fit `known`
    saved = torch.load(run / "last.ckpt", weights_only=True)["state_dict"]
    assert any(name.startswith("teacher.head") for name in saved)

    longer = command("train", f"run={run}", "ckpt=last", "trainer.max_epochs=3", cache=cache, before=NO_EXTRAS)
    assert longer.returncode == 0, longer.stderr
    with (run / "metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    assert info.shares == load_bundle(run / "bundle").info.shares


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["teacher=missing.npz"], ["teacher=", "missing.npz", "cannot be read"]),
        (["data.none=silence"], ["data.none=silence", "high, low, speech"]),
    ],
)
def test_an_unusable_teacher_or_none_is_one_line(music, tmp_path, arguments, parts, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*QUICK, f"data.path={music}", "run=run", "hydra/hydra_logging=disabled", *arguments]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("genreclf: ")]
    assert all(part in line for part in parts), line


@pytest.mark.parametrize("argument", ["teacher=t.npz", "init=a"])
def test_a_model_without_epochs_has_no_teacher_or_init(argument, music, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["model=majority", "data=folder", f"data.path={music}", "run=run", "hydra/hydra_logging=disabled"]
    assert main([*words, argument]) == 2
    assert f"{argument}: model=majority is not trained in epochs; leave it out" in capsys.readouterr().err

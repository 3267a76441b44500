"""Training on corrections: its inputs, the limit of one run at a time, its progress, and stopping it."""

import csv
import sys
import time
from pathlib import Path

import hydra
import pytest

from genreclf.app.trainings import Trainings, missing, new_folder, obstacle, train_arguments
from genreclf.app.visits import Song
from genreclf.config import config_folder
from genreclf.errors import GenreclfError
from genreclf.hydra_command import compose

SONGS = [
    (Song("../../escape\n.wav", b"RIFF one"), "jazz"),
    (Song("same.MP3", b"two"), 'own, "genre"'),
    (Song("same.MP3", b"three"), "jazz"),
    (Song("\udce9 no suffix", b"\x89PNG four"), "jazz"),
]
# In place of an interpreter that trains: it prints the output of a training run, and its arguments.
TRAINS = """#!/bin/sh
echo "epoch 2/3  train/loss 1.0"
echo "$@" > "$WORDS"
sleep "$SECONDS_LONG"
for word; do case "$word" in run=*) run=${word#run=};; esac; done
mkdir -p "$run/bundle"
echo '{}' > "$run/bundle/config.json"
"""


@pytest.fixture
def interpreter(tmp_path, monkeypatch):
    path = tmp_path / "interpreter"
    path.write_text(TRAINS)
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setenv("WORDS", str(tmp_path / "words"))
    monkeypatch.setenv("SECONDS_LONG", "0.2")
    return monkeypatch


def until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_songs_and_their_table_are_written_under_names_of_our_own(tmp_path, interpreter):
    trainings, folder = Trainings(), tmp_path / "runs" / "corrections"
    training = trainings.start("a", "a", folder, SONGS)
    until(lambda: not training.runs)
    names = ["0001.wav", "0002.mp3", "0003.mp3", "0004.png"]
    assert [(folder / "songs" / name).read_bytes() for name in names] == [song.content for song, _ in SONGS]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["interpreter", "runs", "words"]
    rows = list(csv.DictReader((folder / "corrections.csv").open(encoding="utf-8", newline="")))
    assert [(row["path"], row["genre"]) for row in rows] == list(zip(names, [genre for _, genre in SONGS], strict=True))
    given = (tmp_path / "words").read_text()
    assert "-m genreclf.train" in given and "init=a" in given and f"run={folder}" in given
    assert "trainer.max_epochs=0" in given
    assert training.songs == 4 and 0 < training.seconds < 20
    assert training.succeeded and training.progress() == (2, 3)


def test_there_is_one_training_at_a_time_and_it_can_be_stopped(tmp_path, interpreter):
    interpreter.setenv("SECONDS_LONG", "60")
    trainings = Trainings()
    training = trainings.start("a", "a", tmp_path / "first", SONGS)
    until(lambda: training.progress() == (2, 3))
    with pytest.raises(GenreclfError, match="already in progress"):
        trainings.start("a", "a", tmp_path / "second", SONGS)
    assert not (tmp_path / "second").exists() and trainings.last is training
    trainings.stop()
    assert not training.runs and not training.succeeded and training.stopped
    assert "epoch 2/3" in training.last_line()
    interpreter.setenv("SECONDS_LONG", "0")
    assert trainings.start("a", "a", tmp_path / "second", SONGS) is trainings.last


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, interpreter):
    (tmp_path / "file").write_text("")
    with pytest.raises(GenreclfError, match="file"):
        Trainings().start("a", "a", tmp_path / "file" / "run", SONGS)


def test_the_words_mean_the_folders_whatever_their_names(tmp_path):
    for name in ("usual", "a b", "it's {x}, [y]=$z", 'q"uote', "back\\slash", "ünïcode"):
        songs, table = tmp_path / name / "songs", tmp_path / name / "corrections.csv"
        with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
            overrides = train_arguments("b", str(tmp_path / name), str(songs), str(table), ["jazz", "dub"])
            config = compose("train", [*overrides, "logger=none", "run=run"])
        assert config["data"]["path"] == str(songs) and config["data"]["table"] == str(table)
        assert config["init"] == str(tmp_path / name) and config["model"]["name"] == "b"
        assert config["split"]["name"] == "all"


@pytest.mark.parametrize(("jazz", "dub", "epochs"), [(1, 1, 0), (19, 400, 0), (20, 20, 30)])
def test_a_few_songs_train_only_the_last_layer(jazz, dub, epochs):
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        overrides = train_arguments("a", "a", "songs", "table.csv", ["jazz"] * jazz + ["dub"] * dub)
        config = compose("train", [*overrides, "logger=none"])
        whole = compose("train", ["split=all", "logger=none"])
    assert config["trainer"]["max_epochs"] == epochs
    assert (config["optim"]["learning_rate"] < whole["optim"]["learning_rate"]) == bool(epochs)


@pytest.mark.parametrize(
    ("genres", "message"), [([], "Correct some"), (["jazz", "jazz"], "two genres"), (["jazz", "dub"], "")]
)
def test_missing_corrections_are_reported(genres, message):
    assert message in missing(genres) and bool(missing(genres)) == bool(message)


def test_obstacles_are_reported(tmp_path, monkeypatch):
    assert obstacle(tmp_path / "not" / "there") == ""
    assert new_folder(tmp_path).parent == tmp_path and new_folder(Path("runs")).is_absolute()
    (tmp_path / "file").write_text("")
    assert "read-only" in obstacle(tmp_path / "file")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "torch" in obstacle(tmp_path)

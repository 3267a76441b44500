"""data=hub: local data sets in the Hub's format, read with the real `datasets`."""

import dataclasses
import sys
from pathlib import Path

import pytest

pytest.importorskip("datasets")

from command_line import command
from data_config import data_config
from hub_trees import TEXT, TEXTS, class_label, flac, write_split
from test_public_sets import assigned, published

from genreclf.data.build_store import prepared_store
from genreclf.data.data_config import DataConfig
from genreclf.data.data_folder import data_folder
from genreclf.data.hub_set import NO_GENRE, SEVERAL
from genreclf.data.sources import rows_of_public, sources_of
from genreclf.errors import GenreclfError

JAZZ = class_label("jazz", "rock")


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def hub(name: Path, cache: Path, **values: object) -> DataConfig:
    return data_config("hub", name=str(name), path=cache / "hub", cache=cache, **values)


@pytest.fixture
def music(tmp_path) -> Path:
    """Four training and two test clips with class labels and artists. Two clips are by the same artist."""
    folder = tmp_path / "my music"
    columns = {"label": (JAZZ, [0, 1, 0, 1]), "Artist Name": (TEXT, ["A", "B", "A", None])}
    write_split(folder, "train", [flac(n) for n in range(4)], ["a.flac", None, "x/c.FLAC", "no ending"], columns)
    columns = {"label": (JAZZ, [0, 1]), "Artist Name": (TEXT, ["C", "D"])}
    write_split(folder, "test", [flac(9), flac(8)], ["a.flac", "b.flac"], columns)
    return folder


def test_its_files_are_unpacked_undecoded_with_labels_artists_and_splits(music, tmp_path):
    data = hub(music, tmp_path)
    folder = data_folder(data)
    found = {source.path: source.label for source in sources_of(data, folder)}
    names = [f"train/000000{n}.flac" for n in range(4)] + [f"test/000000{n}.flac" for n in range(2)]
    assert found == dict(zip(names, ["jazz", "rock"] * 3, strict=True))
    assert (folder / "train/0000001.flac").read_bytes() == flac(1)
    paths, member = assigned(data, published())
    assert [path.split("/")[0] for path in paths] == list(member.splits)
    groups = dict(zip(paths, member.groups, strict=True))
    assert groups["train/0000000.flac"] == groups["train/0000002.flac"] and len(set(groups.values())) == 5
    assert [row.columns > 0 for row in prepared_store(data).rows] == [True] * 6


def test_what_is_unpacked_is_used_again_and_another_subset_is_another_folder(music, tmp_path, monkeypatch):
    data = hub(music, tmp_path)
    folder = data_folder(data)
    monkeypatch.setitem(sys.modules, "datasets", None)  # not asked again
    assert data_folder(data) == folder
    with pytest.raises(GenreclfError, match=r"data=hub: datasets is not installed; .*pip install 'datasets>="):
        data_folder(hub(music, tmp_path, subset="other"))
    assert [path.name for path in (tmp_path / "hub").iterdir()] == [folder.parent.name]


def test_a_folder_of_audio_files_is_read_without_a_decoder(tmp_path):
    for genre in ("rock", "jazz"):
        (tmp_path / "files" / "train" / genre).mkdir(parents=True)
        (tmp_path / "files" / "train" / genre / "one.flac").write_bytes(flac(len(genre)))
    data = hub(tmp_path / "files", tmp_path)
    assert sorted(source.label for source in sources_of(data, data_folder(data))) == ["jazz", "rock"]


def test_only_the_data_sets_own_files_are_read(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    for path in (str(tmp_path / "secret"), "../secret", "https://example.org/x.wav", None):
        write_split(tmp_path / "set", "train", [None], [path], {"genre": (TEXT, ["x"])})
        with pytest.raises(GenreclfError, match="names no file of the data set"):
            data_folder(hub(tmp_path / "set", tmp_path))
    assert not list((tmp_path / "hub").rglob("*"))


def test_texts_and_lists_of_genres(tmp_path):
    genres = {"genre": (TEXTS, [["rock"], ["rock", "jazz"], []])}
    write_split(tmp_path / "lists", "train", [flac(n) for n in range(3)], [None] * 3, genres)
    write_split(tmp_path / "lists", "validation", [flac(7)], [None], {"genre": (TEXTS, [["jazz"]])})
    data = hub(tmp_path / "lists", tmp_path)
    assert [source.label for source in sources_of(data, data_folder(data))] == ["rock", "jazz"]
    reasons = rows_of_public(data, [f"train/000000{n}.flac" for n in range(3)]).reasons
    assert reasons == ["", SEVERAL, NO_GENRE]
    several = dataclasses.replace(data, task="multilabel")
    assert [source.label for source in sources_of(several, data_folder(data))] == ["rock", "jazz; rock", "jazz"]


def test_of_two_columns_of_genres_the_class_label_is_taken(tmp_path):
    columns = {"genre": (TEXT, ["x", "y"]), "style": (class_label("s", "t"), [1, 0])}
    write_split(tmp_path / "two", "train", [flac(0), flac(1)], [None] * 2, columns)
    data = hub(tmp_path / "two", tmp_path)
    assert [source.label for source in sources_of(data, data_folder(data))] == ["t", "s"]


@pytest.mark.parametrize(
    ("columns", "sounds", "message"),
    [
        (
            {"genre": (TEXT, ["x"]), "style": (TEXT, ["y"])},
            [b"x"],
            r"one column of genres .*audio, genre, style; rename",
        ),
        ({"mood": (TEXT, ["x"])}, [b"x"], r"one column of genres .*audio, mood"),
        ({"genre": (TEXT, ["x"])}, [None], r"row 0 of train: contains no audio"),
    ],
)
def test_an_unusable_data_set_is_one_line_and_leaves_nothing(tmp_path, columns, sounds, message):
    write_split(tmp_path / "set", "train", sounds, [None] * len(sounds), columns)
    with pytest.raises(GenreclfError, match=rf"^data\.name={tmp_path}/set: .*{message}"):
        data_folder(hub(tmp_path / "set", tmp_path))
    assert not list((tmp_path / "hub").rglob("*"))


def test_an_unknown_name_is_one_line(tmp_path, offline):
    with pytest.raises(GenreclfError, match=r"data\.name=nobody/nothing: .*check the name"):
        data_folder(data_config("hub", name="nobody/nothing", path=tmp_path, cache=tmp_path))


def test_the_command_line_prepares_it(music, tmp_path):
    done = command("prepare", "data=hub", f"data.name={music}", cache=tmp_path)
    assert done.returncode == 0 and "6 clips" in done.stdout

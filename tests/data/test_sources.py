import dataclasses
import os
from pathlib import Path

import pytest

from genreclf.data import sources
from genreclf.data.audio import AUDIO_SUFFIXES
from genreclf.data.picture import PICTURE_SUFFIXES
from genreclf.data.sources import DataConfig, Source, data_folder, is_clip, list_sources
from genreclf.errors import GenreclfError


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def paths(folder: Path) -> list[str]:
    return [source.path for source in list_sources(folder)]


def test_clips_are_labelled_with_their_top_folder_in_order_of_path(tmp_path):
    fill(tmp_path, "rock/b.wav", "rock/a.flac", "blues/10.png", "blues/9.jpg", "blues/live/x.mp3", "blues.au/y.ogg")
    assert list_sources(tmp_path) == [
        Source("blues.au/y.ogg", "blues.au"),
        Source("blues/10.png", "blues"),
        Source("blues/9.jpg", "blues"),
        Source("blues/live/x.mp3", "blues"),
        Source("rock/a.flac", "rock"),
        Source("rock/b.wav", "rock"),
    ]


def test_names_may_hold_spaces_any_script_and_bytes_that_are_not_utf8(tmp_path):
    names = ["Drum & Bass/my song, part 2.wav", "музыка/歌.mp3", "música/ñandú.flac", "a/'\"\n.wav", "a/\udcff.wav"]
    fill(tmp_path, *names)
    assert paths(tmp_path) == sorted(names)
    assert {source.label for source in list_sources(tmp_path)} == {"Drum & Bass", "музыка", "música", "a"}


def test_hidden_files_and_folders_other_files_and_files_beside_the_classes_are_no_clips(tmp_path):
    fill(tmp_path, "a/x.wav", "b/y.wav", "a/.x.wav", "a/.cache/z.wav", ".git/w.wav", "top.wav", "a/readme.txt", "b/wav")
    (tmp_path / "a" / "folder.wav").mkdir()
    assert paths(tmp_path) == ["a/x.wav", "b/y.wav"]


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES + PICTURE_SUFFIXES)
def test_endings_may_be_in_either_case(suffix):
    assert is_clip(f"x{suffix}")
    assert is_clip(f"x{suffix.upper()}")
    assert not is_clip(f".x{suffix}")
    assert not is_clip(f"x{suffix}.txt")


def test_linked_folders_are_followed_but_not_round_in_circles(tmp_path):
    elsewhere = fill(tmp_path / "disk", "x.wav", "live/y.wav")
    data = fill(tmp_path / "data", "rock/z.wav")
    (data / "blues").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "again").symlink_to(elsewhere, target_is_directory=True)
    (data / "rock" / "all").symlink_to(data, target_is_directory=True)
    assert paths(data) == ["blues/live/y.wav", "blues/x.wav", "rock/z.wav"]


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(GenreclfError, match=r"^data\.path=.*/none: no such folder; give one that holds a folder for"):
        list_sources(tmp_path / "none")
    fill(tmp_path, "file.wav")
    with pytest.raises(GenreclfError, match="no such folder"):
        list_sources(tmp_path / "file.wav")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], "0 clips in 0 classes"),
        (["x.wav", "y.wav"], "0 clips in 0 classes"),
        (["rock/x.wav", "rock/y.wav", "blues/notes.txt"], "2 clips in 1 classes"),
    ],
)
def test_fewer_than_two_classes_are_refused(tmp_path, names, found):
    fill(tmp_path, *names)
    with pytest.raises(GenreclfError, match=rf"^data\.path=.*: {found}; it must hold at least two folders"):
        list_sources(tmp_path)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    """Never skipped in silence. Made up, as the user who runs the tests may read everything."""
    fill(tmp_path, "a/x.wav", "b/y.wav", "c/z.wav")
    scan = os.scandir

    def refusing(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(GenreclfError, match=r"/b: cannot be read \(Permission denied\); give the right to read it$"):
        list_sources(tmp_path)


# --- The demo music ---------------------------------------------------------------------------------------------------


def demo_config(tmp_path: Path, clips: int) -> DataConfig:
    return DataConfig("demo", tmp_path / "demo", tmp_path, 30.0, None, None, "single", "keep", clips, 0.5, 7)


def test_the_users_own_folder_is_taken_as_it_is(tmp_path):
    assert data_folder(demo_config(tmp_path, 0)) == tmp_path / "demo"
    assert not (tmp_path / "demo").exists()


def test_demo_music_is_rendered_once_into_a_folder_of_its_settings(tmp_path, monkeypatch):
    calls = []

    def write(folder, clips, seconds, seed, progress):
        calls.append((folder, clips, seconds, seed))
        progress(1, 1)

    monkeypatch.setattr(sources, "write_demo", write)
    folder = data_folder(demo_config(tmp_path, 3))
    assert calls == [(folder, 3, 0.5, 7)]
    assert folder.parent == tmp_path / "demo"
    others = [
        data_folder(dataclasses.replace(demo_config(tmp_path, 3), **change))
        for change in ({"demo_seed": 8}, {"demo_seconds": 0.25}, {"demo_clips_per_style": 2})
    ]
    assert len({folder, *others}) == 4


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_pictures_of_no_time_are_refused(tmp_path, seconds):
    with pytest.raises(GenreclfError, match=r"^data\.picture_seconds=.*: give seconds, more than 0$"):
        dataclasses.replace(demo_config(tmp_path, 0), picture_seconds=seconds)

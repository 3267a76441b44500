import dataclasses
import os
import time
import unicodedata
from pathlib import Path

import pytest
from data_config import data_config, fill
from hypothesis import given
from hypothesis import strategies as st
from unreadable import make_unreadable

from genreclf.data.data_config import DataConfig
from genreclf.data.data_folder import check_in_place, data_folder
from genreclf.data.gtzan import GENRES
from genreclf.data.sources import Source, list_sources, sources_of
from genreclf.errors import GenreclfError
from genreclf.frontend.audio import AUDIO_SUFFIXES
from genreclf.frontend.clip import PICTURE_SUFFIXES, is_clip


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


def test_links_between_classes_are_followed_once(tmp_path):
    """Neither link leads to an enclosing folder, but together they form a cycle."""
    fill(tmp_path, "rock/x.wav", "blues/y.wav")
    (tmp_path / "rock" / "too").symlink_to("../blues")
    (tmp_path / "blues" / "too").symlink_to("../rock")
    assert paths(tmp_path) == ["blues/too/x.wav", "blues/y.wav", "rock/too/y.wav", "rock/x.wav"]


def test_links_to_files_are_clips_wherever_they_lead(tmp_path):
    """A broken link becomes a row with a reason."""
    elsewhere = fill(tmp_path / "disk", "x.wav")
    data = fill(tmp_path / "data", "rock/z.wav", "blues/readme.txt")
    (data / "blues" / "linked.wav").symlink_to(elsewhere / "x.wav")
    (data / "blues" / "gone.wav").symlink_to("nowhere")
    (data / "blues" / "around.wav").symlink_to("around.wav")
    (data / "blues" / "note.wav.txt").symlink_to(elsewhere / "x.wav")
    assert paths(data) == ["blues/around.wav", "blues/gone.wav", "blues/linked.wav", "rock/z.wav"]


def test_an_empty_class_is_none(tmp_path):
    fill(tmp_path, "rock/x.wav", "blues/y.wav", "notes/z.txt")
    (tmp_path / "pop").mkdir()
    assert {source.label for source in list_sources(tmp_path)} == {"rock", "blues"}


def test_thousands_of_clips_in_one_folder_are_listed_quickly(tmp_path):
    fill(tmp_path, *(f"rock/{number}.wav" for number in range(5_000)), "blues/x.wav")
    table = genres(tmp_path / "genres.csv", *((f"rock/{number}.wav", "ab"[number % 2]) for number in range(5_000)))
    start = time.process_time()
    assert len(list_sources(tmp_path)) == 5_001
    assert len(list_sources(tmp_path, table)) == 5_000
    assert time.process_time() - start < 2


# Names that a file system accepts: bytes that are not UTF-8 become surrogates.
NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
    min_size=1,
    max_size=20,
)


@given(st.lists(st.tuples(NAMES, st.sampled_from([".wav", ".PNG", ".txt"])), min_size=1))
def test_any_name_that_a_file_system_takes_is_listed_unchanged(tmp_path_factory, names):
    folder = fill(tmp_path_factory.mktemp("names"), "b/x.wav")
    fill(folder / "a", ".hidden.wav", "x.wav", *("".join(name) for name in names))
    present = sorted(name for name in os.listdir(folder / "a") if is_clip(name))  # noqa: PTH208
    assert paths(folder) == sorted([*(f"a/{name}" for name in present), "b/x.wav"])


@pytest.mark.parametrize(
    "other", ["rock", "ROCK", "Rock ", "\uff32ock", "música", unicodedata.normalize("NFD", "MÚSICA")]
)
def test_two_classes_that_look_alike_are_refused(tmp_path, other):
    first = "Rock" if "ock" in other.lower() else "Música"
    fill(tmp_path, f"{first}/x.wav", f"{other}/y.wav", "blues/z.wav")
    with pytest.raises(GenreclfError) as error:
        list_sources(tmp_path)
    one, two = sorted((first, other))
    assert str(error.value).startswith(f"data.path={tmp_path}: classes {one!r} and {two!r} ")
    assert "; move the files" in str(error.value)


def test_classes_that_are_probably_none_or_one_are_told(tmp_path, capsys):
    fill(tmp_path, "hip hop/x.wav", "Hip-Hop/y.wav", "unknown/z.wav", "rock/z.wav")
    sources_of(data_config(path=tmp_path, cache=tmp_path), tmp_path)
    told = capsys.readouterr().err
    assert "'Hip-Hop' and 'hip hop' are two classes" in told and "data.none=unknown" in told and told.count("\n") == 2
    (tmp_path / "hip hop" / "x.wav").rename(tmp_path / "Hip-Hop" / "x.wav")
    sources_of(data_config(path=tmp_path, cache=tmp_path, none="unknown"), tmp_path)
    assert capsys.readouterr().err == ""


def test_genres_joined_in_one_cell_are_told_unless_a_clip_may_have_several(tmp_path, capsys):
    fill(tmp_path, "x.wav", "y.wav", "z.wav")
    for cell, task, lines in (
        ("rock;pop", "multiclass", 1),
        ("rock;pop", "multilabel", 0),
        ("jazz, pop", "multilabel", 1),
    ):
        (tmp_path / "genres.csv").write_text(f'path,genre\nx.wav,"{cell}"\ny.wav,jazz\nz.wav,R/B\n')
        sources_of(data_config(path=tmp_path, cache=tmp_path, table=tmp_path / "genres.csv", task=task), tmp_path)
        told = [line for line in capsys.readouterr().err.splitlines() if "ignored" not in line]
        assert len(told) == lines and all(f"named '{cell}'" in line and "multilabel" in line for line in told)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(GenreclfError, match=r"^data\.path=.*/none: no such folder; give the folder"):
        list_sources(tmp_path / "none")
    fill(tmp_path, "file.wav")
    with pytest.raises(GenreclfError, match="is not a folder"):
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
    with pytest.raises(GenreclfError, match=rf"^data\.path=.*: {found}; .*at least two folders.*data\.table"):
        list_sources(tmp_path)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    fill(tmp_path, "a/x.wav", "b/y.wav", "c/z.wav")
    make_unreadable(monkeypatch, "/b")
    with pytest.raises(GenreclfError, match=r"/b: .*Permission denied.*; change its permissions$"):
        list_sources(tmp_path)


# --- Genres from a table ----------------------------------------------------------------------------------------------


def genres(table: Path, *rows: tuple[str, str]) -> Path:
    table.write_text("path,genre\n" + "".join(f'"{path}","{genre}"\n' for path, genre in rows))
    return table


def test_a_table_of_genres_takes_the_place_of_folders(tmp_path):
    """Clips may be at any depth, in the data folder itself, and in folders that are not genres."""
    fill(tmp_path, "x.wav", "album/y.mp3", "album/disc 2/z.PNG", "rock/w.wav", "other.wav", ".hidden.wav", "notes.txt")
    table = genres(
        tmp_path / "genres.csv",
        ("x.wav", "rock"),
        ("album/y.mp3", "rock"),
        ("album/disc 2/z.PNG", "jazz"),
        ("rock/w.wav", "jazz"),
        (".hidden.wav", "rock"),
        ("notes.txt", "rock"),
        ("../x.wav", "rock"),
    )
    assert list_sources(tmp_path, table) == [
        Source("album/disc 2/z.PNG", "jazz"),
        Source("album/y.mp3", "rock"),
        Source("rock/w.wav", "jazz"),
        Source("x.wav", "rock"),
    ]


def test_without_genres_in_the_table_folders_are_the_classes(tmp_path):
    fill(tmp_path, "rock/x.wav", "blues/y.wav", "z.wav")
    (tmp_path / "artists.csv").write_text("path,artist\nrock/x.wav,one\n")
    assert list_sources(tmp_path, tmp_path / "artists.csv") == list_sources(tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("x.wav", "rock"), ("y.wav", "rock")], "2 clips in 1 classes; it must name clips of at least two genres"),
        ([("x.wav", "rock"), ("y.wav", "")], "1 clips in 1 classes; it must name clips of at least two genres"),
        (
            [("x.wav", "Hip Hop"), ("y.wav", "hip hop")],
            "classes 'Hip Hop' and 'hip hop' ",
        ),
        ([("x.wav", "Hip Hop"), ("y.wav", "hip hop")], "; use one spelling"),
        (
            [("gone.wav", "rock")],
            "(first row: 'gone.wav', first clip: 'x.wav')",
        ),
    ],
)
def test_unusable_genres_are_refused_with_a_reason(tmp_path, rows, message):
    fill(tmp_path, "x.wav", "y.wav")
    with pytest.raises(GenreclfError) as error:
        list_sources(tmp_path, genres(tmp_path / "genres.csv", *rows))
    assert str(error.value).startswith(f"data.table={tmp_path}/genres.csv: ") and message in str(error.value)


# --- The demo music ---------------------------------------------------------------------------------------------------


def demo_config(tmp_path: Path, clips: int) -> DataConfig:
    values = {"demo_clips_per_style": clips, "demo_seconds": 0.5, "demo_seed": 7}
    return data_config("demo", path=tmp_path / "demo", cache=tmp_path, **values)


def test_a_users_folder_is_taken_unchanged(tmp_path):
    assert data_folder(demo_config(tmp_path, 0)) == tmp_path / "demo"
    assert not (tmp_path / "demo").exists()


def test_demo_music_is_rendered_once_into_a_folder_of_its_settings(tmp_path, monkeypatch):
    calls = []

    def write(folder, clips, seconds, seed, progress):
        calls.append((folder, clips, seconds, seed))
        progress(1, 1)

    monkeypatch.setattr("genreclf.data.data_folder.write_demo", write)
    folder = data_folder(demo_config(tmp_path, 3))
    assert calls == [(folder, 3, 0.5, 7)]
    assert folder.parent == tmp_path / "demo"
    others = [
        data_folder(dataclasses.replace(demo_config(tmp_path, 3), **change))
        for change in ({"demo_seed": 8}, {"demo_seconds": 0.25}, {"demo_clips_per_style": 2})
    ]
    assert len({folder, *others}) == 4


def test_demo_music_is_not_rendered_into_a_users_folder(tmp_path):
    with pytest.raises(GenreclfError, match=r"^data\.demo_clips_per_style=5: .*data=folder.*leave it out.*data=demo"):
        data_config("folder", path=tmp_path, cache=tmp_path, demo_clips_per_style=5, demo_seconds=2.0)


@pytest.mark.parametrize("name", ["demo", "gtzan", "fma", "ballroom", "ismir04", "jamendo"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_place_without_the_data_set_is_refused_and_left_alone(tmp_path, name, exists):
    place = tmp_path / "music"
    if exists:
        place.mkdir()
    with pytest.raises(GenreclfError, match=rf"^data\.path={place}: .*data={name}; give the folder"):
        check_in_place(data_config(name, path=place, cache=tmp_path))
    assert list(tmp_path.rglob("*")) == [place] * exists


def test_a_place_with_the_data_set_is_accepted(tmp_path):
    demo = demo_config(tmp_path, 1)
    (demo.path / "1x0.5s-seed7").mkdir(parents=True)
    check_in_place(demo)
    check_in_place(demo_config(tmp_path, 0))  # a user's folder; the listing tells whether it is missing
    for genre in GENRES:
        (tmp_path / "gtzan" / "genres" / genre).mkdir(parents=True)
    check_in_place(data_config("gtzan", path=tmp_path / "gtzan", cache=tmp_path))


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_picture_seconds_have_to_be_above_zero(tmp_path, seconds):
    with pytest.raises(GenreclfError, match=r"^data\.picture_seconds=.*: give more than 0, at most 100,000$"):
        dataclasses.replace(demo_config(tmp_path, 0), picture_seconds=seconds)


@pytest.mark.parametrize(
    ("key", "value", "known"),
    [("figure", "mels", "mel"), ("figure_hz", -1.0, ""), ("group", "x", "null"), ("name", "", "")],
)
def test_a_value_that_is_none_of_the_known_ones_is_refused_with_its_key(tmp_path, key, value, known):
    with pytest.raises(GenreclfError, match=rf"^data\.{key}.*: .*{known}"):
        data_config(path=tmp_path, cache=tmp_path, **{key: value})


def test_what_is_ignored_is_told_on_standard_error(tmp_path, capsys):
    fill(tmp_path, "a/x.wav", "b/y.m4a", "b/z.opus", "a/cover.jpg", "b/list.m3u", "loose.wav")
    assert paths(tmp_path) == ["a/x.wav", "b/y.m4a", "b/z.opus"]
    said = capsys.readouterr().err
    assert f"data.path={tmp_path}: 2 files ignored: 1 .m3u ('b/list.m3u'), 1 cover art ('a/cover.jpg')\n" in said
    assert "1 clips outside the folders have no class ('loose.wav')" in said

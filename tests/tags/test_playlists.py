"""Playlists: one per genre, with names that are safe anywhere."""

import os
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("mutagen")
from tag_files import song

from genreclf.tags.playlists import file_names, write_playlists
from genreclf.text import one_line

GENRES = st.lists(
    st.one_of(
        st.text(min_size=1), st.sampled_from(["..", "a/b", "con", "NUL.x", "é" * 200, ".x", "a\n", "x ", "\ud800"])
    ),
    unique=True,
)


def entries(playlist: Path) -> list[str]:
    """Returns the songs of a playlist, as a player finds them."""
    lines = playlist.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#EXTM3U"
    return [line for line in lines if line and not line.startswith("#")]


def test_each_genre_has_its_songs_relative_to_the_folder(tmp_path):
    (tmp_path / "music").mkdir()
    names = ("a é.mp3", "#b.mp3", "c d.flac")
    songs = [song(tmp_path / "music" / name, "Rock") for name in names]
    written, problems = write_playlists({"AC/DC": songs[:2], "jazz": songs[2:]}, tmp_path / "lists")
    assert not problems and {path.name for path in written} == {"AC_DC.m3u8", "jazz.m3u8"}
    for playlist, expected in zip(sorted(written), (songs[:2], songs[2:]), strict=True):
        found = [(playlist.parent / entry).resolve() for entry in entries(playlist)]
        assert found == expected
        assert playlist.read_text().count("#EXTINF:-1,Ann; Bo - Lied é\n") == len(expected)
    inside, _ = write_playlists({"jazz": songs[:2]}, tmp_path / "music")
    assert entries(inside[0]) == ["a é.mp3", "./#b.mp3"]


def test_through_a_linked_folder_the_songs_are_found(tmp_path):
    (tmp_path / "far" / "lists").mkdir(parents=True)
    (tmp_path / "lists").symlink_to(tmp_path / "far" / "lists")
    one = song(tmp_path / "a.mp3")
    (playlist,), _ = write_playlists({"jazz": [one]}, tmp_path / "lists")
    assert Path(os.path.realpath(playlist.parent.resolve() / entries(playlist)[0])) == one


def test_only_its_own_files_are_replaced(tmp_path):
    one, other = song(tmp_path / "a.mp3"), song(tmp_path / "b.mp3")
    (tmp_path / "jazz.m3u8").write_text("#EXTM3U\nmine.mp3\n")
    (tmp_path / "pop.m3u8").mkdir()
    (tmp_path / "ska.m3u8").symlink_to("nowhere")
    genres = ("jazz", "pop", "ska", "dub")
    for songs in ([one], [other]):
        written, problems = write_playlists(dict.fromkeys(genres, songs), tmp_path)
        assert [path.name for path in written] == ["dub.m3u8"] and len(problems) == 3
        assert entries(written[0]) == [songs[0].name]
    assert (tmp_path / "jazz.m3u8").read_text() == "#EXTM3U\nmine.mp3\n"
    assert (tmp_path / "ska.m3u8").is_symlink()


@pytest.mark.parametrize("name", ["a\nb.mp3", "a\udce9.mp3"])
def test_a_song_that_a_playlist_cannot_contain_is_reported(name, tmp_path):
    songs = [song(tmp_path / name), song(tmp_path / "plain.mp3")]
    (playlist,), (problem,) = write_playlists({"jazz": songs}, tmp_path)
    assert entries(playlist) == ["plain.mp3"] and "rename" in str(problem) and "\n" not in str(problem)


@given(genres=GENRES)
def test_any_genre_gives_a_file_name_of_its_own(genres):
    names = file_names(genres)
    assert len({name.casefold() for name in names}) == len(genres)
    for name in names:
        assert len(name.encode()) <= 255 and Path(name).name == name == PureWindowsPath(name).name
        assert name.endswith(".m3u8") and not name.startswith(".") and one_line(name) == name
        assert not set(name) & set('<>:"/\\|?*') and not PureWindowsPath(name).is_reserved()

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unreadable import make_unreadable

from genreclf.frontend.clip import is_clip
from genreclf.frontend.folder import COVER_ART, contents_of, folder_contents, ignored_note


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def covers(folder: Path, *names: str) -> list[str]:
    return folder_contents(fill(folder, *names)).ignored.get(COVER_ART, [])


def test_what_is_ignored_is_counted_by_ending_and_named(tmp_path):
    names = ["a/1.mp3", "a/2.M4A", "a/notes.txt", "b/c/3.opus", "b/LIST.TXT", "b/readme", "x.cue", "a/.DS_Store"]
    contents = folder_contents(fill(tmp_path, *names))
    assert contents.clips == ["a/1.mp3", "a/2.M4A", "b/c/3.opus"]
    assert contents.ignored == {".txt": ["a/notes.txt", "b/LIST.TXT"], "": ["b/readme"], ".cue": ["x.cue"]}
    told = ignored_note(contents.ignored)
    assert told.startswith("4 files ignored: 2 .txt ('a/notes.txt', 'b/LIST.TXT'), ")
    assert "1 without an extension ('b/readme')" in told and "1 .cue ('x.cue')" in told


def test_what_systems_leave_in_folders_is_passed_over(tmp_path):
    names = ["__MACOSX/a/1.mp3", "a/@eaDir/1.mp3", "$RECYCLE.BIN/2.mp3", "a/._1.mp3", "a/1.mp3", "a/desktop.ini"]
    contents = folder_contents(fill(tmp_path, *names))
    assert (contents.clips, contents.ignored) == (["a/1.mp3"], {".ini": ["a/desktop.ini"]})


def test_plots_of_runs_and_evaluations_are_no_clips(tmp_path):
    plots = ["runs/1/curves.png", "runs/1/evaluation/test/confusion-none.png"]
    results = ["runs/1/record.json", "runs/1/evaluation/test/metrics.json", *plots]
    contents = folder_contents(fill(tmp_path, "a/curves.png", "a/1.png", *results))
    assert (contents.clips, contents.ignored["plots of genreclf"]) == (["a/1.png", "a/curves.png"], plots)
    assert contents == contents_of(["a/curves.png", "a/1.png", *results])  # as objects in a store


def test_many_names_are_counted_and_the_first_shown(tmp_path):
    contents = folder_contents(fill(tmp_path, *(f"{number:03}.pdf" for number in range(500))))
    told = ignored_note(contents.ignored)
    assert "500 .pdf" in told and "'000.pdf'" in told and "'499.pdf'" not in told and len(told) < 100


def test_nothing_is_told_of_a_folder_of_clips(tmp_path):
    assert folder_contents(fill(tmp_path, "a.mp3", ".hidden", ".git/config")).ignored == {}


@pytest.mark.parametrize(
    "name",
    [
        *("cover.jpg", "Cover.JPG", "folder.png", "front.jpeg", "back.png", "Front Cover.jpg", "cd1.jpg", "CD 02.png"),
        *("AlbumArtSmall.jpg", "AlbumArt_{A1B2C3D4-0F}_Large.jpg", "album-art.png", "booklet_03.jpg", "Scan 7.png"),
        *("coverart.png", "AlbumCover.jpg", "front_300dpi.jpg", "BackCover.jpeg", "cover-hires.png", "Vinyl 2.jpg"),
    ],
)
def test_cover_art_beside_songs_is_ignored(tmp_path, name):
    assert covers(tmp_path / "beside", "rock/1.mp3", f"rock/{name}") == [f"rock/{name}"]
    assert covers(tmp_path / "above", "rock/cd 1/1.mp3", f"rock/{name}") == [f"rock/{name}"]
    assert covers(tmp_path / "below", "rock/1.mp3", f"rock/scans/{name}") == [f"rock/scans/{name}"]


@pytest.mark.parametrize(
    "name", ["blues.00001.png", "Back in Black.png", "cover me.jpg", "7.png", "Frontline.jpg", "cover.mp3", "歌.png"]
)
def test_other_names_are_clips_beside_songs_too(tmp_path, name):
    assert covers(tmp_path, "rock/1.mp3", f"rock/{name}") == []
    assert f"rock/{name}" in folder_contents(tmp_path).clips


def test_pictures_without_songs_around_are_clips_whatever_their_names(tmp_path):
    assert covers(tmp_path, "rock/cover.png", "rock/front.png", "jazz/1.mp3") == []


def test_a_folder_that_cannot_be_read_is_told_and_the_others_are_searched(tmp_path, monkeypatch):
    fill(tmp_path, "a/x.wav", "b/y.wav", "c/z.wav")
    make_unreadable(monkeypatch, "/b")
    contents = folder_contents(tmp_path)
    assert contents.clips == ["a/x.wav", "c/z.wav"]
    assert [str(error) for error in contents.unreadable] == [
        f"{tmp_path}/b: cannot be read (Permission denied); change its permissions"
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "a/b", "c"]),
            st.text("abcover. é\n", min_size=1, max_size=6).filter(lambda name: name not in (".", "..")),
            st.sampled_from(["", ".wav", ".PNG", ".txt", ".m4a"]),
        )
    )
)
def test_each_file_that_is_not_hidden_is_a_clip_or_told(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("any")
    for parent, stem, suffix in names:
        fill(folder, f"{parent}/{stem}{suffix}")
    contents = folder_contents(folder)
    ignored = [path for paths in contents.ignored.values() for path in paths]
    shown = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert sorted([*contents.clips, *ignored]) == sorted(path for path in shown if "/." not in path)
    assert all(is_clip(path.split("/")[-1]) for path in contents.clips)

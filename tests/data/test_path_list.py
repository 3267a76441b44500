import csv
import io
from pathlib import Path

import pytest
from data_config import data_config, fill
from hypothesis import given
from hypothesis import strategies as st

from genreclf.data.build_store import prepared_store
from genreclf.data.path_list import read_paths, without, write_paths
from genreclf.data.sources import Source
from genreclf.errors import GenreclfError

FILE_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


def written(folder: Path, content: bytes) -> Path:
    (folder / "list").write_bytes(content)
    return folder / "list"


@given(st.lists(FILE_NAMES.filter(str.strip), unique=True, max_size=8))
def test_a_written_list_holds_the_same_paths(tmp_path_factory, paths):
    file = tmp_path_factory.mktemp("list") / "drop.csv"
    write_paths(file, paths)
    assert read_paths(file, "x") == paths
    assert [row["path"] for row in csv.DictReader(io.StringIO(file.read_bytes().decode(), newline=""))] == paths


def test_file_names_that_are_not_utf8_are_kept(tmp_path):
    write_paths(tmp_path / "list", ["a/\udcff.wav"])
    assert b"a/\xff.wav" in (tmp_path / "list").read_bytes()
    assert read_paths(tmp_path / "list", "x") == ["a/\udcff.wav"]


@pytest.mark.parametrize(
    "content",
    [
        b"rock/a, 1.wav\njazz/b.wav\n",
        b"rock/a, 1.wav\r\n\r\njazz/b.wav\r\nrock/a, 1.wav",
        b"\xef\xbb\xbfrock/a, 1.wav\njazz/b.wav",
        b'path,genre\n"rock/a, 1.wav",x\njazz/b.wav,y\n',
        b"genre;File Name\nx;rock/a, 1.wav\ny;jazz/b.wav\n",
        b"Paths\t\nrock/a, 1.wav\t\njazz/b.wav\t\n",
        "rock/a, 1.wav\r\njazz/b.wav\r\n".encode("utf-16"),  # as Windows' PowerShell writes it
    ],
)
def test_a_list_is_a_path_on_each_line_or_a_table_with_a_column_of_paths(tmp_path, content):
    assert read_paths(written(tmp_path, content), "x") == ["rock/a, 1.wav", "jazz/b.wav"]


def test_a_quote_in_a_table_that_is_not_closed_is_refused(tmp_path):
    with pytest.raises(GenreclfError, match=r"^x: line 2 has a quote that is not closed"):
        read_paths(written(tmp_path, b'path\n"rock/a.wav\njazz/b.wav\n'), "x")


@pytest.mark.parametrize("name", ["none", "folder", "binary"])
def test_a_file_that_is_no_list_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"RIFF\0\0")
    with pytest.raises(GenreclfError, match=r"^data.drop=.*; give a file with a path on each line$"):
        read_paths(tmp_path / name, f"data.drop={tmp_path / name}")


SOURCES = [Source(path, path[0]) for path in ("a/1.wav", "a/2.wav", "b/é.wav")]


def test_listed_clips_are_left_out_however_their_paths_are_written(tmp_path, capsys):
    assert without(SOURCES, None, tmp_path) == SOURCES
    content = f".\\A\\1.wav \n{tmp_path}/a/2.wav\nb/e\u0301.wav\nb/gone.wav\n"
    assert without(SOURCES, written(tmp_path, content.encode()), tmp_path) == []
    told = capsys.readouterr().err
    assert "3 clips are left out" in told and "'b/gone.wav'" in told
    assert without(SOURCES, written(tmp_path, b"a/1.wav"), tmp_path) == SOURCES[1:]


def test_a_list_of_other_clips_is_refused_but_an_empty_one_is_not(tmp_path):
    with pytest.raises(GenreclfError, match=r"^data.drop=.*'1.wav'.*'a/1.wav'"):
        without(SOURCES, written(tmp_path, b"1.wav\n"), tmp_path)
    write_paths(tmp_path / "empty", [])
    assert without(SOURCES, tmp_path / "empty", tmp_path) == SOURCES


def test_the_key_data_drop_takes_a_list(tmp_path):
    assert data_config(path=tmp_path, cache=tmp_path).drop is None
    assert data_config(path=tmp_path, cache=tmp_path, drop=str(tmp_path / "list")).drop == tmp_path / "list"


def test_a_list_of_all_clips_is_refused(tmp_path):
    fill(tmp_path / "music", "a/x.wav", "b/y.wav")
    (tmp_path / "drop.csv").write_text("path\na/x.wav\nb/y.wav\n")
    data = data_config(path=tmp_path / "music", cache=tmp_path, drop=tmp_path / "drop.csv")
    with pytest.raises(GenreclfError, match=r"^data\.drop=.*drop\.csv: leaves out all clips; shorten"):
        prepared_store(data)

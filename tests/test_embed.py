"""Embeddings from the command line."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pyarrow import parquet
from tiny_pictures import tiny_picture

from genreclf.embed import main
from genreclf.frontend.picture import write_picture
from genreclf.inference.predictor import load_predictor
from genreclf.text import one_line


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(3)]
    for path in paths:
        write_picture(path, tiny_picture(500, rng))
    return paths


@pytest.fixture(scope="module")
def expected(pictures) -> np.ndarray:
    predictor = load_predictor("a")
    return np.stack([predictor.predict_file(path).embedding for path in pictures])


def test_all_formats_contain_the_nets_context_vectors(pictures, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, names = [str(path) for path in pictures], [str(path) for path in pictures]
    for out in ([], ["--out", "x.parquet"], ["--out", "x.csv"]):
        assert main([*words, *out]) == 0
    with np.load("embeddings.npz") as file:  # refuses pickles
        assert file["path"].tolist() == names and file["embedding"].dtype == np.float32
        assert np.array_equal(file["embedding"], expected)
    table = parquet.read_table("x.parquet").to_pydict()
    assert table["path"] == names and np.array_equal(np.array(table["embedding"], np.float32), expected)
    header, *lines = csv.reader((tmp_path / "x.csv").open())
    assert header == ["path", *(f"embedding_{number}" for number in range(expected.shape[1]))]
    assert [line[0] for line in lines] == names
    assert np.array_equal(np.array([line[1:] for line in lines], np.float32), expected)


def test_unreadable_files_are_named_and_the_others_written(pictures, expected, tmp_path, capsys):
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    out = tmp_path / "x.npz"
    assert main([str(bad), str(pictures[0].parent), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(bad) in error
    with np.load(out) as file:
        assert np.array_equal(file["embedding"], expected)
    assert main([str(bad), "--out", str(tmp_path / "none.npz")]) == 1
    assert not (tmp_path / "none.npz").exists()


def test_a_silent_file_is_named_on_one_line_whatever_its_name(tmp_path, capsys):
    song = tmp_path / "a\n\x1b[31mred\u202e.wav"
    soundfile.write(song, np.zeros(22_050 * 5), 22_050)
    assert main([str(song), "--out", str(tmp_path / "x.npz")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and one_line(str(song)) in error and "\x1b" not in error and "\u202e" not in error


@pytest.mark.parametrize(
    ("words", "key", "remedy"),
    [
        (["--out", "x.txt"], "x.txt", ".npz"),
        (["--out", "no/x.npz"], "no/x.npz", "another file"),
    ],
)
def test_wrong_calls_are_one_line(words, key, remedy, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([str(pictures[0]), *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and key in error and remedy in error

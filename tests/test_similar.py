"""genreclf similar: the nearest songs, from the files that embed and tag write."""

import csv
import io
import json
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyarrow import parquet
from tiny_model import TinyModel, tiny_predictor, tone

from genreclf import command_options, embed, similar
from genreclf.inference.embeddings import Embeddings, read_embeddings, write_embeddings

Run = Callable[..., tuple[int, str, str]]
SONGS = {"caf\udce9.wav": "low", "=b().wav": "middle", "c.wav": "high", "a\rd.wav": "low"}


@pytest.fixture
def music(tmp_path, monkeypatch) -> Path:
    """Songs with three pitches, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_options, "load_predictor", tiny_predictor)
    for name, pitch in SONGS.items():
        with (tmp_path / name).open("wb") as file:
            soundfile.write(file, tone(pitch), 44_100, format="WAV")
    return tmp_path


@pytest.fixture
def run(run_main) -> Run:
    return partial(run_main, similar.main)


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv"])
def test_the_nearest_songs_come_first_without_the_song_itself(suffix, music, run):
    library = f"library{suffix}"
    assert embed.main([*SONGS, "--out", library]) == 0
    code, out, error = run("c.wav", "--in", library, "--json")
    assert code == 0 and ("does not name" in error) == (suffix == ".csv")
    found = json.loads(out)
    assert found[0]["path"] == "=b().wav"
    assert {row["path"] for row in found} == SONGS.keys() - {"c.wav"}
    values = {name: tiny_predictor().predict_file(Path(name)).embedding for name in SONGS}
    for row in found:  # recomputed
        a, b = values["c.wav"], values[row["path"]]
        assert row["similarity"] == pytest.approx(float(a @ b / np.sqrt((a @ a) * (b @ b))), abs=1e-6)
    assert [row["similarity"] for row in found] == sorted((row["similarity"] for row in found), reverse=True)


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv"])
def test_a_library_that_has_moved_does_not_list_the_song_itself(suffix, music, run, monkeypatch):
    library = f"library{suffix}"
    embed.main([*SONGS, "--out", library])
    (music / "moved").mkdir()
    (music / "c.wav").rename(music / "moved" / "renamed.wav")
    (music / "moved" / "copy.wav").write_bytes((music / "moved" / "renamed.wav").read_bytes())
    embed.main([*(SONGS.keys() - {"c.wav"}), "moved/renamed.wav", "moved/copy.wav", "--out", f"new{suffix}"])

    def found(folder: Path, library: str) -> set[str]:
        monkeypatch.chdir(folder)
        out = run(music / "moved" / "renamed.wav", "--in", music / library, "--json")[1]
        return {row["path"] for row in json.loads(out)}

    assert found(music, library) == found(music / "moved", library) == SONGS.keys() - {"c.wav"}
    assert found(music, f"new{suffix}") == {*SONGS, "moved/copy.wav"} - {"c.wav"}  # a copy is another file


def test_the_table_and_the_csv_agree(music, run):
    embed.main([*SONGS, "--out", "library.parquet"])
    expected = json.loads(run("c.wav", "--in", "library.parquet", "--json", "--top", 2)[1])
    out = run("c.wav", "--in", "library.parquet", "--csv", "--top", 2)[1]
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert [float(row["similarity"]) for row in rows] == [row["similarity"] for row in expected]
    table = run("./c.wav", "--in", "library.parquet", "--top", 1)[1]
    assert "=b().wav" in table and f"{expected[0]['similarity']:.3f}" in table and "caf" not in table


def test_embeddings_of_another_model_are_refused(music, run, monkeypatch):
    embed.main([*SONGS, "--out", "library.npz"])
    embed.main([*SONGS, "--out", "library.csv"])
    monkeypatch.setattr(TinyModel, "weights_sha256", "1" * 64)
    code, out, error = run("c.wav", "--in", "library.npz")
    assert (code, out) == (2, "") and "library.npz" in error and "--model" in error
    write_embeddings(Embeddings(("x",), np.ones((1, 3), np.float32), ""), Path("wide.npz"))
    code, out, error = run("c.wav", "--in", "wide.npz")
    assert code == 2 and "--model" in error.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "key", "remedy"),
    [
        (["c.wav"], "--in", "--help"),
        (["c.wav", "--in", "x.txt"], "x.txt", ".parquet"),
        (["c.wav", "--in", "gone.npz"], "gone.npz", "embed"),
        (["c.wav", "--in", "bad.npz"], "bad.npz", "embed"),
        (["c.wav", "--in", "bad.parquet"], "bad.parquet", "embed"),
        (["c.wav", "--in", "bad.csv"], "bad.csv", "embed"),
        (["c.wav", "--in", "empty.csv"], "empty.csv", "columns"),
        (["c.wav", "--in", "pickle.npz"], "pickle.npz", "not in NumPy's format"),
        (["c.wav", "--in", "nan.npz"], "nan.npz", "embed"),
        (["c.wav", "--in", "large.csv"], "large.csv", "finite"),
        (["c.wav", "--in", "numbers.npz"], "numbers.npz", "embed"),
        (["gone.wav", "--in", "good.npz"], "gone.wav", ""),
        (["still.wav", "--in", "good.npz"], "silence", "music"),
    ],
)
def test_wrong_calls_are_one_line(words, key, remedy, music, run):
    for suffix in (".npz", ".parquet", ".csv"):
        (music / f"bad{suffix}").write_text("genre,path\nx,y\n")
    (music / "empty.csv").write_text("")
    (music / "large.csv").write_text("path,embedding_0\n\nx,1e99\n")
    np.savez(music / "numbers.npz", path=[1, 2], embedding=np.ones((2, 2)))
    (music / "pickle.npz").write_bytes(pickle.dumps(["x"]))
    model = TinyModel.weights_sha256
    write_embeddings(Embeddings(("x",), np.full((1, 2), np.nan, np.float32), model), music / "nan.npz")
    write_embeddings(Embeddings(("x",), np.ones((1, 2), np.float32), model), music / "good.npz")
    soundfile.write(music / "still.wav", np.zeros(90_000), 44_100)
    code, _, error = run(*words)
    lines = [line for line in error.splitlines() if "using the pretrained model" not in line]
    assert code == 2 and len(lines) == 1 and key in lines[0] and remedy in lines[0]


@settings(max_examples=20)
@given(
    values=arrays(np.float32, (3, 4), elements=st.floats(-10, 10, width=32)),
    names=st.lists(st.text(min_size=1).map(lambda name: name.replace("\0", "x")), min_size=3, max_size=3),
)
def test_embeddings_are_read_back_as_written(values, names, tmp_path_factory):
    folder = tmp_path_factory.mktemp("e")
    expected = Embeddings(tuple(name.encode(errors="replace").decode() for name in names), values, "abc")
    for suffix in (".npz", ".parquet", ".csv"):
        write_embeddings(expected, folder / f"e{suffix}")
        found = read_embeddings(folder / f"e{suffix}")
        assert np.array_equal(found.values, values) and found.paths == expected.paths
        assert found.model == ("" if suffix == ".csv" else "abc")
    assert parquet.read_schema(folder / "e.parquet").names == ["path", "embedding"]


@given(values=arrays(np.float32, (5, 3), elements=st.integers(-1_000, 1_000)))
def test_similarity_does_not_depend_on_length(values):
    library = Embeddings(tuple("abcde"), values, "")
    query = np.array([1, 2, -3], np.float32)
    found = dict(library.nearest(query))
    assert Embeddings(("a\0", "b", "a\0"), values[:3], "").nearest(query)[0][1] == pytest.approx(
        max(found[n] for n in "abc")
    )
    longer = dict(Embeddings(library.paths, 4 * values, "").nearest(2 * query))
    assert all(-1 - 1e-9 <= similarity <= 1 + 1e-9 for similarity in found.values())
    assert found == pytest.approx(longer, abs=1e-5)

"""Prediction from the command line, with a pretrained model."""

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pyarrow import parquet
from tiny_pictures import tiny_picture
from tiny_sounds import music_like
from unreadable import make_unreadable

from genreclf.__main__ import main as genreclf_command
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.picture import write_picture
from genreclf.inference.predictor import Prediction, Predictor, load_predictor
from genreclf.inference.results import show_table
from genreclf.inference.run_folder import MODEL_CONFIG, PRETRAINED
from genreclf.predict import main

Run = Callable[..., tuple[int, str, str]]
CLASSES = load_predictor("a").info.classes


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """Seven sounds of 1 to 19 s, two pictures, and two files that are neither, in folders."""
    folder, rng = tmp_path_factory.mktemp("library"), np.random.default_rng(0)
    for number in range(7):
        (folder / f"{number % 2}").mkdir(exist_ok=True)
        noise = music_like(1 + 3 * number, rng)
        soundfile.write(folder / f"{number % 2}" / f"{number}.wav", noise, SAMPLE_RATE_HZ)
    for number in range(2):
        write_picture(folder / f"p{number}.png", tiny_picture(300, rng))
    (folder / "0" / "bad.wav").write_bytes(b"RIFF no sound")
    (folder / "zero.mp3").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def sure(tmp_path_factory) -> Path:
    """Model A without `known`, which gives a genre to any sound."""
    folder = tmp_path_factory.mktemp("models") / "a"
    shutil.copytree(PRETRAINED / "a", folder)
    config = json.loads((folder / MODEL_CONFIG).read_text())
    (folder / MODEL_CONFIG).write_text(json.dumps({**config, "known": None}))
    return folder


@pytest.fixture
def predict(run_main) -> Run:
    """Runs the command; returns exit code, standard output, standard error."""
    return partial(run_main, main)


def rows_of(result: tuple[int, str, str]) -> list[dict]:
    code, out, error = result
    rows = json.loads(out)
    assert code == int(any(row["problem"] for row in rows)), error
    return rows


def test_a_library_is_predicted_in_order_as_file_by_file(library, predict):
    rows = rows_of(predict(library, "--json", "--segments", "--workers", 3))
    paths = [Path(row["path"]) for row in rows]
    assert paths == sorted(library.rglob("*.*")) and len(rows) == 11
    predictor = load_predictor("a")
    for path, row in zip(paths, rows, strict=True):
        if path.name in ("bad.wav", "zero.mp3"):
            assert str(path) in row["problem"] and "genre" not in row
            continue
        alone = predictor.predict_file(path)
        assert (row["genre"] or "", row["seconds"], row["problem"]) == (alone.genre, alone.seconds, "")
        assert row["known"] == alone.known and alone.no_genre in row["note"]
        assert row["probabilities"] == dict(zip(CLASSES, alone.probabilities, strict=True))
        for piece, segment in zip(row["segments"], alone.segments, strict=True):
            assert (piece["start_seconds"], piece["end_seconds"]) == (segment.start_seconds, segment.end_seconds)
            assert list(piece["probabilities"].values()) == list(segment.probabilities)


@pytest.mark.parametrize("form", ["--csv", "--json"])
def test_rows_are_printed_as_they_come(form, library, predict, monkeypatch):
    """With one thread, a file is begun when the fourth one before it has been printed."""
    paths, printed, whole = sorted(library.rglob("*.*")), [], Predictor.predict_file

    def watched(predictor: Predictor, path: Path) -> Prediction:
        printed.append(sum(str(path) in sys.stdout.getvalue() for path in paths))
        return whole(predictor, path)

    monkeypatch.setattr(Predictor, "predict_file", watched)
    predict(library, form, "--workers", 1)
    assert len(printed) == 11 and all(count >= number - 3 for number, count in enumerate(printed))


def test_it_ends_early_only_if_nothing_keeps_the_rows(library, predict, monkeypatch, tmp_path):
    for words, expected in (([], range(1, 11)), (["--parquet", tmp_path / "x.parquet"], [11])):
        begun, whole = [], Predictor.predict_file
        reader, writer = os.pipe()
        os.close(reader)
        with monkeypatch.context() as patch, open(writer, "w") as nobody:  # noqa: PTH123
            patch.setattr(Predictor, "predict_file", lambda self, path: begun.append(path) or whole(self, path))  # noqa: B023
            patch.setattr(sys, "stdout", nobody)
            code, _, error = predict(library, "--csv", "--workers", 1, "--model", "a", *words)
        assert len(begun) in expected and code in (1, 141) and "Broken pipe" not in error


def test_all_formats_contain_the_same(library, predict, sure, tmp_path):
    rows = rows_of(predict(library, "--json", "--model", sure))
    assert not any("segments" in row for row in rows)
    code, out, error = predict(library, "--csv", "--parquet", tmp_path / "x.parquet", "--model", sure)
    assert code == 1
    listing, table = list(csv.DictReader(io.StringIO(out))), parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == list(listing[0])
    for row, line, record in zip(rows, listing, table.to_pylist(), strict=True):
        assert line["path"] == record["path"] == row["path"] and line["problem"] == record["problem"] == row["problem"]
        if row["problem"]:
            assert line["genre"] == "" and record["genre"] is None and record["p_disco"] is None
            assert f"genreclf: {row['problem']}" in error
            continue
        assert line["genre"] == record["genre"] == row["genre"]
        assert float(line["p_disco"]) == record["p_disco"] == row["probabilities"]["disco"]


def test_each_segment_has_a_line(library, predict, sure):
    longest = library / "0" / "6.wav"  # 19 s
    (row,) = rows_of(predict(longest, "--json", "--segments"))
    lines = list(csv.DictReader(io.StringIO(predict(longest, "--csv", "--segments")[1])))
    assert len(lines) == len(row["segments"]) > 2
    assert [float(line["start_seconds"]) for line in lines] == [piece["start_seconds"] for piece in row["segments"]]
    table = predict(longest, "--segments", "--top", 1, "--model", sure)[1]
    assert table.count("6.wav") == table.count("%") == len(lines)


def test_a_song_whose_genre_is_withheld_has_its_parts_without_genres(library, predict, capsys):
    (row,) = rows_of(predict(library / "0" / "6.wav", "--json", "--segments"))
    show_table([{**row, "genre": None, "probability": None}], 2, segments=True)
    out = capsys.readouterr().out
    assert out.count("6.wav") == out.count("no genre") == len(row["segments"]) > 2


def test_the_table_shows_the_requested_number_of_genres(library, predict, sure):
    for top in (1, 2, 4):
        table = predict(library / "p0.png", "--top", top, "--model", sure)[1]
        (line,) = [line for line in table.splitlines() if "p0.png" in line]
        assert line.count("%") == top


def test_the_default_model_is_named_with_its_card(library, predict):
    error = predict(library / "p0.png")[2]
    assert error.count("\n") == 1 and " a" in error and "pretrained/a/README.md" in error
    assert predict(library / "p0.png", "--model", "b")[2] == ""


def test_test_time_augmentation_changes_probabilities(library, predict):
    plain, augmented = (
        rows_of(predict(library / "p0.png", "--json", "--tta", tta))[0] for tta in ("none", "pitch_shift")
    )
    assert plain["probabilities"] != augmented["probabilities"]


@pytest.fixture
def no_net(monkeypatch) -> Callable[[], None]:
    """Makes every prediction fail."""

    def fail(*_: object) -> None:
        raise RuntimeError("the net ran")

    return lambda: monkeypatch.setattr(Predictor, "predict", fail)


def test_a_journal_keeps_exactly_the_finished_results(library, predict, no_net, monkeypatch, tmp_path):
    journal = tmp_path / "journal"
    first = rows_of(predict(library, "--json", "--journal", journal))
    other = rows_of(predict(library, "--json", "--tta", "flip", "--journal", journal))
    assert other != first
    no_net()
    assert rows_of(predict(library, "--json", "--journal", journal)) == first
    changed = library / "1" / "1.wav"
    os.utime(changed, ns=(1, 1))
    for words in (["--segments"], ["--model", "b"], []):
        code, _, error = predict(library, "--json", "--journal", shutil.copy(journal, tmp_path / "copy"), *words)
        assert code == 1 and "the net ran" in error
    monkeypatch.undo()
    assert rows_of(predict(library, "--json", "--journal", tmp_path / "copy")) == first  # what failed is tried again
    assert rows_of(predict(library, "--json", "--journal", journal)) == first
    assert len([line for line in journal.read_text().splitlines() if changed.name in line]) == 3


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_journal_truncated_anywhere_can_be_resumed(kept, library, predict, no_net, tmp_path):
    journal = tmp_path / "journal"
    first = rows_of(predict(library, "--json", "--journal", journal))
    content = journal.read_bytes()
    journal.write_bytes(content[: int(kept * len(content))])
    assert rows_of(predict(library, "--json", "--journal", journal)) == first
    no_net()
    assert rows_of(predict(library, "--json", "--journal", journal)) == first


@pytest.mark.parametrize(
    ("words", "key", "remedy"),
    [
        (["--run", "a"], "--run", "--model"),
        (["--tta", "keys"], "keys", "pitch_shift"),
        (["--tta", "mirror"], "mirror", "flip"),
        (["--device", "gpu"], "gpu", "cuda"),
        (["--model", "nowhere"], "nowhere", "pretrained"),
        (["--workers", "0"], "--workers", "1 or more"),
        (["--top", "many"], "many", "1 or more"),
        (["--json", "--csv"], "--csv", "--json"),
        (["--segment"], "--segment", "--help"),
        (["--journal", "notes.txt"], "notes.txt", "another file"),
        (["--journal", "no/x"], "no/x", "another path"),
        (["--parquet", "no/x"], "no/x", "another file"),
        (["--parquet", "."], ".", "a folder"),
        (["--parquet", "x" * 256], "x" * 256, "shorter name"),
        (["empty"], "empty", "another"),
    ],
)
def test_wrong_calls_are_one_line(words, key, remedy, library, predict, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("my notes\n")
    (tmp_path / "empty").mkdir()
    code, _, error = predict(library / "p0.png", *words)
    lines = [line for line in error.splitlines() if "using the pretrained model" not in line]
    assert code == 2 and len(lines) == 1 and lines[0].startswith("genreclf: ")
    assert key in lines[0] and remedy in lines[0]
    assert (tmp_path / "notes.txt").read_text() == "my notes\n"


def test_cuda_without_support_for_it_is_one_line(library, predict):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime supports CUDA")
    code, _, error = predict(library / "p0.png", "--device", "cuda")
    assert code == 2 and error.count("\n") == 1 and "cuda" in error and "onnxruntime-gpu" in error


def test_parquet_without_pyarrow_is_one_line_before_the_work(library, predict, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("genreclf.predict.load", None)  # using it would be a TypeError
    code, _, error = predict(library / "p0.png", "--model", "a", "--parquet", tmp_path / "x")
    assert code == 2 and error.count("\n") == 1 and "pip install pyarrow" in error


def test_a_cluster_without_ray_is_one_line(library, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("ray_engine", "ray_pool"):
        monkeypatch.delitem(sys.modules, f"genreclf.inference.{name}", raising=False)
    assert genreclf_command(["predict", str(library / "p0.png"), "--model", "a", "--ray", "local"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "ray is not installed" in error and "pip install 'ray>=" in error


def test_an_inaccessible_path_fails_only_its_own_row(library, predict):
    """The system refuses a name of 300 bytes without looking for the file."""
    code, out, _ = predict("x" * 296 + ".wav", library / "p0.png", "--csv")
    failed, predicted = csv.DictReader(io.StringIO(out))
    assert code == 1 and failed["problem"] and not predicted["problem"]


def test_a_folder_loses_no_file_silently(library, predict, monkeypatch, tmp_path):
    """Linked folders are searched, ignored files are reported, and an unreadable folder changes the exit code."""
    music = tmp_path / "music"
    (music / "secret").mkdir(parents=True)
    (music / "linked").symlink_to(shutil.copytree(library / "1", tmp_path / "elsewhere"))
    (music / "linked" / "again").symlink_to(music)
    (music / "notes.txt").touch()
    write_picture(music / "linked" / "cover.png", np.zeros((128, 200), np.uint8))
    code, out, error = predict(music, "--csv")
    assert code == 0
    assert [row["path"] for row in csv.DictReader(io.StringIO(out))] == [
        str(music / "linked" / f"{number}.wav") for number in (1, 3, 5)
    ]
    assert "2 files ignored: 1 .txt ('notes.txt'), 1 cover art ('linked/cover.png')" in error

    make_unreadable(monkeypatch, "/secret")
    code, partly, error = predict(music, "--csv")
    assert (code, partly) == (1, out)
    assert "secret: cannot be read (Permission denied); change its permissions" in error

"""Prediction from the command line, with a net of random weights and with the model that comes along."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bundles import random_bundle
from command_line import command
from pyarrow import parquet

from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.picture import write_picture
from genreclf.nets.bundle import load_bundle, save_bundle
from genreclf.nets.torch_model import torch_predictor


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_bundle(folder, random_bundle("a"))
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """Seven sounds of 1 to 19 s, two pictures, and two files that are neither, in folders."""
    folder, rng = tmp_path_factory.mktemp("library"), np.random.default_rng(0)
    for number in range(7):
        (folder / f"{number % 2}").mkdir(exist_ok=True)
        noise = rng.normal(0, 0.1, SAMPLE_RATE_HZ * (1 + 3 * number))
        soundfile.write(folder / f"{number % 2}" / f"{number}.wav", noise, SAMPLE_RATE_HZ)
    for number in range(2):
        write_picture(folder / f"p{number}.png", rng.integers(0, 256, (128, 300), np.uint8))
    (folder / "0" / "bad.wav").write_bytes(b"RIFF no sound")
    (folder / "zero.mp3").write_bytes(b"")
    return folder


def one_line(result) -> str:
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("genreclf: ")]
    assert len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
    return lines[0]


def alike(rows: list[dict], others: list[dict]) -> bool:
    """The same but for the last digits, which depend on the segments that shared a batch."""
    return len(rows) == len(others) and all(
        own["path"] == other["path"]
        and own["problem"] == other["problem"]
        and own.get("probabilities", {}) == pytest.approx(other.get("probabilities", {}), abs=1e-5)
        for own, other in zip(rows, others, strict=True)
    )


def predicted(model: Path, *words: object, cache: Path) -> list[dict]:
    result = command("predict", *words, "--run", model, "--json", cache=cache)
    assert result.returncode in (0, 1), result.stderr
    return json.loads(result.stdout)


def test_a_library_is_answered_in_order_as_file_by_file(model, library, cache):
    rows = predicted(model, library, "--segments", "--workers", "3", cache=cache)
    paths = [Path(row["path"]) for row in rows]
    assert paths == sorted(library.rglob("*.*")) and len(rows) == 11
    predictor = torch_predictor(load_bundle(model), "none", "cpu")
    for path, row in zip(paths, rows, strict=True):
        if path.name in ("bad.wav", "zero.mp3"):
            assert str(path) in row["problem"] and "genre" not in row
            continue
        alone = predictor.predict_file(path)
        assert (row["genre"], row["seconds"], row["problem"]) == (alone.genre, alone.seconds, "")
        assert list(row["probabilities"].values()) == pytest.approx(alone.probabilities, abs=1e-5)
        for piece, own in zip(row["segments"], alone.segments, strict=True):
            assert (piece["start_seconds"], piece["end_seconds"]) == (own.start_seconds, own.end_seconds)
            assert list(piece["probabilities"].values()) == pytest.approx(own.probabilities, abs=1e-5)


def test_every_form_says_the_same(model, library, cache, tmp_path):
    rows = predicted(model, library, cache=cache)
    assert not any("segments" in row for row in rows)
    result = command("predict", library, "--run", model, "--csv", "--parquet", tmp_path / "x.parquet", cache=cache)
    assert result.returncode == 1
    listing, table = list(csv.DictReader(result.stdout.splitlines())), parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == list(listing[0])
    for row, line, record in zip(rows, listing, table.to_pylist(), strict=True):
        assert line["path"] == record["path"] == row["path"] and line["problem"] == record["problem"] == row["problem"]
        if row["problem"]:
            assert line["genre"] == "" and record["genre"] is None and record["p_dub"] is None
            assert f"genreclf: {row['problem']}" in result.stderr
            continue
        assert line["genre"] == record["genre"] == row["genre"]
        assert float(line["p_dub"]) == record["p_dub"] == row["probabilities"]["dub"]


def test_segments_have_a_line_each(model, library, cache):
    longest = library / "0" / "6.wav"  # 19 s
    ((row),) = predicted(model, longest, "--segments", cache=cache)
    result = command("predict", longest, "--run", model, "--csv", "--segments", cache=cache)
    lines = list(csv.DictReader(result.stdout.splitlines()))
    assert len(lines) == len(row["segments"]) > 3
    assert [float(line["start_seconds"]) for line in lines] == [piece["start_seconds"] for piece in row["segments"]]
    table = command("predict", longest, "--run", model, "--segments", "--top", "1", cache=cache).stdout
    assert table.count("6.wav") == len(lines) and "then" not in table


def test_the_table_shows_as_many_genres_as_asked_for(model, library, cache):
    for top, commas in ((1, 0), (2, 0), (3, 1)):
        table = command("predict", library / "p0.png", "--run", model, "--top", top, cache=cache).stdout
        (line,) = [line for line in table.splitlines() if "p0.png" in line]
        assert line.count(",") == commas and ("%" in line)


NO_NET = "import genreclf.inference.predictor as p; p.Predictor._answers = None"


def test_a_journal_spares_what_is_known_and_only_that(model, library, cache, tmp_path):
    journal = tmp_path / "journal"
    first = predicted(model, library, "--journal", journal, cache=cache)
    # A second run would fail if it asked the net anything.
    again = command("predict", library, "--run", model, "--json", "--journal", journal, cache=cache, before=NO_NET)
    assert again.returncode == 1 and json.loads(again.stdout) == first
    changed = library / "1" / "1.wav"
    os.utime(changed, ns=(1, 1))
    asked = command("predict", library, "--run", model, "--json", "--journal", journal, cache=cache, before=NO_NET)
    assert "NoneType" in asked.stderr
    assert alike(predicted(model, library, "--journal", journal, cache=cache), first)
    other = command("predict", library, "--run", model, "--tta", "flip", "--journal", journal, cache=cache)
    assert other.returncode == 1
    assert alike(predicted(model, library, "--journal", journal, cache=cache), first)
    assert len([line for line in journal.read_text().splitlines() if line]) == 11 + 1 + 11


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_journal_that_was_cut_off_anywhere_goes_on(kept, model, library, cache, tmp_path):
    journal = tmp_path / "journal"
    first = predicted(model, library, "--journal", journal, cache=cache)
    content = journal.read_bytes()
    journal.write_bytes(content[: int(kept * len(content))])
    second = predicted(model, library, "--journal", journal, cache=cache)
    assert alike(second, first)
    again = command("predict", library, "--run", model, "--json", "--journal", journal, cache=cache, before=NO_NET)
    assert json.loads(again.stdout) == second


def test_wrong_calls_are_one_line(model, library, cache, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("my notes\n")
    file = library / "p0.png"
    assert "is no journal of this command" in one_line(
        command("predict", file, "--run", model, "--journal", text, cache=cache)
    )
    assert text.read_text() == "my notes\n"
    nowhere = tmp_path / "no" / "x"
    assert "choose another file" in one_line(
        command("predict", file, "--run", model, "--journal", nowhere, cache=cache)
    )
    assert "choose another file" in one_line(
        command("predict", file, "--run", model, "--parquet", nowhere, cache=cache)
    )
    assert command("predict", file, "--run", model, "--workers", "0", cache=cache).returncode == 2
    assert "is no run folder" in one_line(command("predict", file, "--run", tmp_path, cache=cache))
    (tmp_path / "empty").mkdir()
    assert "holds no audio file or picture" in one_line(
        command("predict", tmp_path / "empty", "--run", model, cache=cache)
    )

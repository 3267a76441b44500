"""A model that gives a clip several genres, in all interfaces; exports are in test_exporting.py."""

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.special import expit, logit
from tiny_model import tone

from genreclf import Classifier, predict
from genreclf.errors import GenreclfError
from genreclf.frontend.clip import read_clip
from genreclf.frontend.segments import segment_clip
from genreclf.inference.answers import Answers
from genreclf.inference.known import Known
from genreclf.inference.model_info import ModelInfo, read_bundle_config
from genreclf.inference.onnx_model import OnnxModel
from genreclf.inference.run_folder import PRETRAINED

RATE_HZ = 22_050
TEMPERATURE = 0.8
PITCHES = ("low", "middle", "high")
CLASSES = tuple(json.loads((PRETRAINED / "a" / "config.json").read_text())["classes"])
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """A tone of each pitch, silence, and an unreadable file."""
    folder = tmp_path_factory.mktemp("music")
    for pitch in PITCHES:
        soundfile.write(folder / f"{pitch}.wav", tone(pitch, 15.0, RATE_HZ), RATE_HZ)
    soundfile.write(folder / "still.wav", np.zeros(5 * RATE_HZ), RATE_HZ)
    (folder / "bad.wav").write_bytes(b"RIFF no sound")
    return folder


def expected(path: Path) -> np.ndarray:
    """Returns the expected probabilities of the clip and its segments, by Model A's net: (1 + segments, classes)."""
    net = OnnxModel(PRETRAINED / "a", "cpu")
    cut = segment_clip(read_clip(path, 30.0), net.info.view, net.info.frames_per_column)
    plain = np.concatenate([net.predict_proba(batch).probabilities for batch in cut.segments(8)]).astype(np.float64)
    return expit(logit(np.vstack([plain.mean(0), plain])) / TEMPERATURE)


@pytest.fixture(scope="module")
def songs(music) -> dict[str, np.ndarray]:
    """The `expected` probabilities of each tone."""
    return {pitch: expected(music / f"{pitch}.wav") for pitch in PITCHES}


@pytest.fixture(scope="module")
def thresholds(songs) -> tuple[float, ...]:
    """Thresholds below the low tone's and the middle tone's probability, by turns; the high tone reaches none."""
    low, middle, high = (songs[pitch][0] for pitch in PITCHES)
    least = 0.97 * np.where(np.arange(len(CLASSES)) % 2, middle, low)
    return tuple(np.where(high < least, least, 1.0).tolist())


@pytest.fixture(scope="module")
def model(thresholds, tmp_path_factory) -> Path:
    """A run's bundle with Model A as if it had been trained for several labels."""
    folder = tmp_path_factory.mktemp("runs") / "several" / "bundle"
    shutil.copytree(PRETRAINED / "a", folder, ignore=shutil.ignore_patterns("README.md", "scores.json"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"format": 8, "task": "multilabel", "thresholds": thresholds, "temperature": TEMPERATURE}
    config |= {"known": None, "shares": None, "prior_power": 1.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def info(model) -> ModelInfo:
    return read_bundle_config(model).info


@pytest.fixture(scope="module")
def genres(songs, thresholds) -> dict[str, list[str]]:
    """The genres of each tone."""
    found = {pitch: reached(probabilities[0], thresholds) for pitch, probabilities in songs.items()}
    assert len(found["low"]) > 1 and len(found["middle"]) > 1 and not found["high"]
    return found


def reached(probabilities: np.ndarray, thresholds: tuple[float, ...]) -> list[str]:
    """Returns the genres that reach their thresholds, the most probable first."""
    order = np.argsort(-probabilities)
    return [CLASSES[number] for number in order if probabilities[number] >= thresholds[number]]


@pytest.fixture
def run(model, run_main) -> Run:
    """Runs `genreclf predict` with the model; returns exit code, standard output, standard error."""
    return lambda *words, main=predict.main: run_main(main, *words, "--model", model)


@pytest.mark.parametrize("pitch", PITCHES)
def test_a_song_has_all_genres_that_reach_their_thresholds(model, thresholds, music, songs, genres, pitch):
    prediction = Classifier.from_pretrained(model, device="cpu").classify(music / f"{pitch}.wav")
    clip, *segments = songs[pitch]
    np.testing.assert_allclose(prediction.probabilities, clip, rtol=1e-5)
    np.testing.assert_allclose([one.probabilities for one in prediction.segments], segments, rtol=1e-5)
    assert prediction.genres == tuple(genres[pitch])
    assert [one.genres for one in prediction.segments] == [tuple(reached(one, thresholds)) for one in segments]
    assert prediction.genre == "; ".join(prediction.genres) and prediction.known is None
    most = CLASSES.index(genres[pitch][0]) if genres[pitch] else clip.argmax()
    assert prediction.probability == pytest.approx(clip[most])
    assert (CLASSES[clip.argmax()] in prediction.no_genre) == (not prediction.genres)


def test_a_probable_genre_below_its_threshold_is_not_named(info):
    three = replace(info, classes=("ska", "dub", "raï"), thresholds=(0.6, 0.3, 0.05), temperature=1.0)
    answer = Answers(three, None).answer(np.array([0.5, 0.1, 0.4]), 1_000)
    assert answer.genres == ("raï",) and answer.probability == pytest.approx(0.4)


def test_silence_has_no_genres_and_no_probabilities(model, music):
    prediction = Classifier.from_pretrained(model, device="cpu").classify(music / "still.wav")
    assert prediction.genres == prediction.probabilities == () and prediction.no_genre.startswith("silence")


def test_all_formats_contain_the_same(run, music, songs, genres, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    code, out, error = run(music, "--json")
    rows = json.loads(out)
    assert code == 1 and "bad.wav" in error
    listing = list(csv.DictReader(io.StringIO(run(music, "--csv", "--parquet", tmp_path / "x.parquet")[1])))
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == list(listing[0])
    for row, line, record in zip(rows, listing, table.to_pylist(), strict=True):
        pitch = Path(row["path"]).stem
        assert line["genre"] == (record["genre"] or "") == "; ".join(genres.get(pitch, ()))
        if pitch not in genres:
            assert "genres" not in row if row["problem"] else row["genres"] == []
            continue
        assert row["genres"] == genres[pitch] and row["genre"] == ("; ".join(genres[pitch]) or None)
        np.testing.assert_allclose(list(row["probabilities"].values()), songs[pitch][0], rtol=1e-5)
        assert [float(line[f"p_{name}"]) for name in CLASSES] == list(row["probabilities"].values())
        assert row["probability"] == record["probability"] and row["known"] is None
        assert row["probability"] == (row["probabilities"][row["genres"][0]] if row["genres"] else None)


def test_the_table_has_each_genre_with_its_probability(run, music, genres):
    table = run(music, "--top", 10)[1]
    for pitch in PITCHES:
        (line,) = [line for line in table.splitlines() if f"{pitch}.wav" in line]
        assert "; ".join(genres[pitch]) in line and line.count("%") == (10 if genres[pitch] else 0)
        assert genres[pitch] or ("no genre" in line and "threshold" in line)


def test_segments_have_their_own_genres(run, thresholds, music, songs):
    (row,) = json.loads(run(music / "low.wav", "--json", "--segments")[1])
    lines = list(csv.DictReader(io.StringIO(run(music / "low.wav", "--csv", "--segments")[1])))
    segments = songs["low"][1:]
    assert len(row["segments"]) == len(lines) == len(segments) > 2
    for piece, line, probabilities in zip(row["segments"], lines, segments, strict=True):
        assert piece["genres"] == reached(probabilities, thresholds) and line["genre"] == "; ".join(piece["genres"])


def test_a_journal_and_shards_give_the_same_rows(run, music, tmp_path):
    files = [music / f"{pitch}.wav" for pitch in PITCHES]
    _, whole, _ = run(*files, "--csv")
    for _ in range(2):  # the second time from the journal
        assert run(*files, "--csv", "--journal", tmp_path / "log")[1] == whole
    for number in (1, 2):
        run(*files, "--shards", tmp_path / "parts", "--shard", f"{number}/2")
    assert run("--shards", tmp_path / "parts", "--merge", "--csv")[1] == whole


def test_a_mix_of_genres_is_refused(run, music):
    code, _, error = run(music, "--prior", "uniform")
    assert code == 2 and error.count("\n") == 1 and "prior=uniform" in error and "leave it out" in error


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"thresholds": None}, "thresholds"),
        ({"thresholds": (0.5,)}, "thresholds"),
        ({"thresholds": (0.5,) * 9 + (1.5,)}, "thresholds"),
        ({"shares": (0.1,) * 10}, "shares"),
        ({"known": Known(0.0, (1.0,) * 10, 0.5)}, "known"),
        ({"task": "multiclass"}, "thresholds"),
        ({"task": "ranking"}, "task=ranking"),
    ],
)
def test_settings_that_a_multilabel_model_cannot_have_are_refused(info, changes, key):
    with pytest.raises(GenreclfError, match=key):
        replace(info, **changes)


def test_a_saved_model_stays_multilabel_and_its_card_shows_genres(model, info, tmp_path):
    Classifier.from_pretrained(model, device="cpu").save_pretrained(tmp_path / "copy")
    assert '.classify("song.mp3").genres' in (tmp_path / "copy" / "README.md").read_text()
    assert Classifier.from_pretrained(tmp_path / "copy", device="cpu").predictor.info == info


def test_the_service_lists_genres_and_thresholds(model, thresholds, music, genres):
    pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient

    from genreclf.http.service import Limits, create_app

    predictor = Classifier.from_pretrained(model, device="cpu").predictor
    limits = Limits(requests=2, max_bytes=2**22, total_bytes=2**22, max_seconds=60, stall_seconds=20)
    with TestClient(create_app(predictor, limits)) as client:
        for pitch in PITCHES:
            response = client.post("/classify?segments=true", content=(music / f"{pitch}.wav").read_bytes()).json()
            assert response["genres"] == genres[pitch] and all("genres" in piece for piece in response["segments"])
        assert client.get("/health").json()["thresholds"] == dict(zip(CLASSES, thresholds, strict=True))


def planned(run: Run, music: Path, plan: Path, *words: object) -> dict[str, dict[str, str]]:
    """Returns the rows of a tag plan, by the name of the file."""
    from genreclf import tag

    assert run(music, "--plan", plan, *words, main=tag.main)[0] == 1  # one file cannot be read
    with plan.open(encoding="utf-8") as lines:
        return {Path(row["path"]).stem: row for row in csv.DictReader(lines)}


def test_tags_get_all_genres_of_a_song(run, music, songs, genres, tmp_path):
    pytest.importorskip("mutagen")
    from genreclf import tag
    from genreclf.tags.file_tags import read_tags

    shutil.copytree(music, tmp_path / "music")
    rows = planned(run, tmp_path / "music", tmp_path / "plan.csv")
    assert rows["low"]["action"] == "write" and rows["low"]["genre"] == "; ".join(genres["low"])
    least = songs["low"][0][CLASSES.index(genres["low"][-1])]
    assert float(rows["low"]["probability"]) == pytest.approx(least, abs=1e-4)
    assert rows["high"]["action"] == "skip" and "threshold" in rows["high"]["note"]
    assert tag.main(["--apply", str(tmp_path / "plan.csv")]) == 0
    written = {pitch: list(read_tags(tmp_path / "music" / f"{pitch}.wav").genres) for pitch in PITCHES}
    assert written == genres


def test_fewer_tags_can_be_requested(run, music, songs, genres, tmp_path):
    pytest.importorskip("mutagen")
    first, second = (songs["low"][0][CLASSES.index(name)] for name in genres["low"][:2])
    for words in (("--genres", 1), ("--min", (first + second) / 2)):
        assert planned(run, music, tmp_path / "plan.csv", *words)["low"]["genre"] == genres["low"][0]
    row = planned(run, music, tmp_path / "plan.csv", "--min", 0.99)["low"]
    assert row["action"] == "skip" and row["genre"] == genres["low"][0]


def test_the_page_shows_each_genre_with_its_threshold(model, thresholds, music, genres, monkeypatch):
    testing = pytest.importorskip("streamlit.testing.v1")
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the harness leaves its page there
    monkeypatch.setenv("GENRECLF_RUNS", str(model.parents[1]))
    page = testing.AppTest.from_file(str(Path(predict.__file__).parent / "app" / "main.py"), default_timeout=120).run()
    page.selectbox(key="model").set_value("several").run()
    for pitch in PITCHES:
        page.file_uploader[0].upload(f"{pitch}.wav", (music / f"{pitch}.wav").read_bytes())
        page.run()
        assert not page.exception
        html = " ".join(one.proto.body for one in page.get("html") if not one.proto.body.startswith("<style"))
        assert re.findall(r'class="genre">(.*?)</span>', html) == genres[pitch]
        for name, threshold in zip(CLASSES, thresholds, strict=True):
            assert re.search(rf'aria-label="{name}: \d+%, threshold {threshold:.0%}"', html)
        assert not any(box.label.startswith("Wrong?") for box in page.selectbox)  # a correction is one genre
    assert "No genre reaches its threshold" in page.warning[0].value

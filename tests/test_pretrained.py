"""The models that come along: whole, small, described, and the same from every door."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from command_line import NO_TORCH, command

from genreclf import Classifier
from genreclf.frontend.audio import SAMPLE_RATE_HZ, read_audio
from genreclf.inference.run_folder import CARD, ONNX, PRETRAINED, WEIGHTS, pretrained_names
from genreclf.nets.bundle import load_bundle, weights_sha256
from genreclf.predict import DEFAULT

WITHOUT_RUNTIME = "import sys; sys.modules['onnxruntime'] = None"
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


@pytest.fixture(scope="module")
def song(tmp_path_factory) -> Path:
    """12 s of chords, a bass and a beat."""
    time = np.arange(12 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    beat = np.random.default_rng(0).normal(0, 0.3, len(time)) * np.exp(-20 * (time % 0.5))
    chords = sum(np.sin(2 * np.pi * pitch * time) for pitch in (110, 220, 277, 330)) * (
        0.6 + 0.4 * np.cos(np.pi * time)
    )
    path = tmp_path_factory.mktemp("song") / "song.wav"
    soundfile.write(path, 0.2 * (beat + 0.25 * chords), SAMPLE_RATE_HZ)
    return path


def test_some_come_along_and_the_default_is_one():
    assert DEFAULT in pretrained_names()


@pytest.mark.parametrize("name", pretrained_names())
def test_it_knows_ten_genres_is_small_and_says_how_good_it_is(name):
    bundle = load_bundle(PRETRAINED / name)
    assert bundle.name == name and bundle.classes == GENRES and bundle.temperature != 1
    assert (PRETRAINED / name / WEIGHTS).stat().st_size < 20e6
    card = (PRETRAINED / name / CARD).read_text()
    assert "Held-out folds, each answered by a net of this recipe that was trained on the others" in card
    assert re.search(r"\| plain \| \d\d\.\d\s?% \(\d\d to \d\d\s%\)", card)
    assert "/" not in re.sub(r"\S*\.parquet|https?://\S+", "", card.split("## Training")[1].split("Probabilities")[0])


def test_predict_without_a_run_says_who_answers(song, tmp_path):
    result = command("predict", song, "--json", cache=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"no --run: model {DEFAULT}, which comes along; how far to trust it: " in result.stderr
    (row,) = json.loads(result.stdout)
    assert tuple(row["probabilities"]) == GENRES and sum(row["probabilities"].values()) == pytest.approx(1)


def test_the_default_is_there_for_onnxruntime_too_with_the_same_weights():
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(PRETRAINED / DEFAULT / ONNX, providers=["CPUExecutionProvider"])
    said, bundle = (
        json.loads(session.get_modelmeta().custom_metadata_map["genreclf"]),
        load_bundle(PRETRAINED / DEFAULT),
    )
    assert said["weights_sha256"] == weights_sha256(bundle) and said["temperature"] == bundle.temperature


def test_its_translation_tells_nothing_of_its_makers_disk():
    assert not re.search(rb"/[^\s\"]*\.py", (PRETRAINED / DEFAULT / ONNX).read_bytes())


def test_without_a_run_it_answers_as_torch_would_and_imports_none(song, tmp_path):
    pytest.importorskip("onnxruntime")
    swift, torchs = (
        command("predict", song, "--json", *words, cache=tmp_path, before=before)
        for words, before in ((("--device", "cpu"), NO_TORCH), (("--device", "cpu"), WITHOUT_RUNTIME))
    )
    assert swift.returncode == torchs.returncode == 0, swift.stderr + torchs.stderr
    ours, theirs = (json.loads(done.stdout)[0]["probabilities"] for done in (swift, torchs))
    assert list(ours.values()) == pytest.approx(list(theirs.values()), abs=5e-3)  # as two front ends differ
    refused = command("predict", song, "--tta", "flip", cache=tmp_path, before=NO_TORCH)
    assert "torch" in refused.stderr  # only torch has it


def test_the_genre_stays_at_another_rate_and_level(song):
    wave, rate = soundfile.read(song)
    classifier = Classifier.from_pretrained(DEFAULT, device="cpu")
    plain = classifier.classify(song)
    for other, other_rate in ((soxr.resample(wave, rate, 44_100), 44_100), (wave * 0.03, rate)):
        heard = classifier.classify(other, other_rate)
        assert heard.genre == plain.genre
        assert np.abs(np.subtract(heard.probabilities, plain.probabilities)).max() < 0.1


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    result = command("export", f"run={DEFAULT}", "input=waveform", f"out={folder}", cache=folder)
    assert result.returncode == 0, result.stderr
    return folder / "waveform.pt"


def test_exported_it_answers_as_before(song, exported):
    wave = torch.from_numpy(soundfile.read(song, dtype="float32")[0])
    expected = Classifier.from_pretrained(DEFAULT, device="cpu").classify(song).probabilities
    found = torch.jit.load(exported)(wave[None])[0]
    assert np.abs(found.numpy() - np.array(expected)).max() < 1e-4


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_exported_it_answers_for_real_music_as_before(gtzan, exported, batch):
    """Clips cut to one length, as a batch wants them."""
    classifier = Classifier.from_pretrained(DEFAULT, device="cpu")
    waves = [read_audio(path).waveform[: 29 * SAMPLE_RATE_HZ] for path in sorted(gtzan.rglob("*.flac"))[::20][:batch]]
    expected = np.array([classifier.classify(wave, SAMPLE_RATE_HZ).probabilities for wave in waves])
    found = torch.jit.load(exported)(torch.from_numpy(np.stack(waves))).numpy()
    assert np.abs(found - expected).max() < 1e-4

"""The pretrained models: complete, small, documented, and the same through every interface."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import genreclf
from genreclf import Classifier
from genreclf.exporters.bundle import load_bundle, weights_sha256
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.inference.predictor import load_predictor
from genreclf.inference.run_folder import (
    CARD,
    DEFAULT_MODEL,
    MODEL_ONNX,
    PRETRAINED,
    SCORES_JSON,
    WEIGHTS,
    pretrained_names,
)

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


@pytest.fixture(scope="module")
def song(tmp_path_factory) -> Path:
    """12 s of chords and a beat."""
    time = np.arange(12 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    beat = np.random.default_rng(0).normal(0, 0.3, len(time)) * np.exp(-20 * (time % 0.5))
    chords = sum(np.sin(2 * np.pi * pitch * time) for pitch in (110, 220, 277, 330))
    path = tmp_path_factory.mktemp("song") / "song.wav"
    soundfile.write(path, 0.2 * (beat + 0.25 * chords * (0.6 + 0.4 * np.cos(np.pi * time))), SAMPLE_RATE_HZ)
    return path


@pytest.mark.parametrize("name", pretrained_names())
def test_bundles_are_complete_small_and_documented(name):
    folder, bundle = PRETRAINED / name, load_bundle(PRETRAINED / name)
    assert bundle.info.name == name and bundle.info.classes == GENRES and bundle.info.temperature != 1
    assert load_predictor(name).model.weights_sha256 == weights_sha256(bundle)
    assert sum((folder / file).stat().st_size for file in (WEIGHTS, MODEL_ONNX)) < 40e6
    scores = json.loads((folder / SCORES_JSON).read_text())
    low, high = scores["interval"]
    assert 0.5 < low < scores["accuracy"] < high < 1
    card = (folder / CARD).read_text()
    assert re.search(rf"{100 * scores['accuracy']:.1f}\s%", card) and f"{scores['parameters']:,}" in card


@pytest.mark.parametrize("name", pretrained_names())
def test_bundles_contain_no_path_of_the_machine_that_made_them(name):
    card = re.sub(r"https?://\S+", "", (PRETRAINED / name / CARD).read_text())
    assert not re.search(r"(?<![\w.])/\w+/", card)
    onnx = (PRETRAINED / name / MODEL_ONNX).read_bytes()
    assert not re.search(rb"/[^\s\"]*\.py", onnx) and str(Path(genreclf.__file__).parent).encode() not in onnx


def test_the_genre_is_the_same_at_another_rate_and_level(song):
    wave, rate = soundfile.read(song)
    classifier = Classifier.from_pretrained(DEFAULT_MODEL, device="cpu")
    plain = classifier.classify(song)
    for other, other_rate in ((soxr.resample(wave, rate, 44_100), 44_100), (wave * 0.03, rate)):
        changed = classifier.classify(other, other_rate)
        assert changed.genre == plain.genre
        assert np.abs(np.subtract(changed.probabilities, plain.probabilities)).max() < 0.1

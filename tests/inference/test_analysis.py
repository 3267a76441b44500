"""Compares the analysis of an upload with the predictor and the readers."""

import io

import numpy as np
import pytest
import soundfile
from tiny_sounds import music_like

from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.clip import read_clip, read_upload
from genreclf.frontend.picture import write_picture
from genreclf.inference.analysis import analyze
from genreclf.inference.predictor import Predictor, load_predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load_predictor("a", device="cpu")


def wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="WAV")
    return file.getvalue()


def music(seconds: float) -> np.ndarray:
    """Returns rhythmic noise that is louder in the bass."""
    noise = music_like(seconds, np.random.default_rng(0)).cumsum()
    return 0.5 * noise / np.abs(noise).max()


def test_it_is_the_predictors_prediction_with_progress(predictor):
    shares: list[float] = []
    clip = read_upload(wav(music(190)), 30.0, 200)  # more than one batch of segments
    analysis, expected = analyze(predictor, clip, shares.append), predictor.predict(clip)
    assert analysis.prediction.probabilities == expected.probabilities
    assert np.array_equal(analysis.prediction.attention, expected.attention)
    assert len(shares) > 1 and shares == sorted(shares) and shares[-1] == 1


def test_its_picture_gives_the_same_prediction_as_the_sound(predictor):
    analysis = analyze(predictor, read_upload(wav(music(12)), 30.0, 60), lambda share: None)
    seen = read_upload(analysis.spectrogram_png, analysis.prediction.seconds, 60)
    again = predictor.predict(seen)
    assert again.genre == analysis.prediction.genre
    assert again.probabilities == pytest.approx(analysis.prediction.probabilities, abs=1e-6)


def test_silence_has_a_reason_in_place_of_a_genre_but_a_picture_to_show(predictor):
    analysis = analyze(predictor, read_upload(wav(np.zeros(6 * SAMPLE_RATE_HZ)), 30.0, 60), lambda share: None)
    assert analysis.prediction.genre == "" and "silence" in analysis.prediction.no_genre
    assert analysis.spectrogram_png


def test_a_picture_of_no_spectrogram_has_the_reason_in_place_of_a_genre(predictor, tmp_path):
    """The app and the commands judge a picture alike."""
    rising = np.random.default_rng(0).integers(0, 30, (128, 300)) + 200 * (np.arange(128)[:, None] % 12 < 2)
    write_picture(tmp_path / "x.png", rising.astype(np.uint8))
    clip, expected = read_clip(tmp_path / "x.png", 30.0), predictor.predict_file(tmp_path / "x.png")
    prediction = analyze(predictor, clip, lambda share: None).prediction
    assert prediction.no_genre == expected.no_genre and "spectrogram" in prediction.no_genre
    assert not prediction.genre and not prediction.probabilities

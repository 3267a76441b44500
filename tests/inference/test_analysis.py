"""Compares the analysis of an upload with the predictor and the readers."""

import io

import numpy as np
import pytest
import soundfile
from tiny_sounds import music_like

from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.clip import Clip, read_upload
from genreclf.inference.analysis import analyze, judged
from genreclf.inference.predictor import Predictor, load_predictor

BANDS = np.arange(128)


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


def picture(band_levels: np.ndarray, note: str = "") -> Clip:
    """Returns a picture of a spectrogram whose bands have these levels."""
    return Clip(band_levels.astype(np.uint8)[:, None].repeat(300, 1), 1_300, 0, 30.0, note)


def with_correlation(correlation: float) -> np.ndarray:
    """Returns (128,) band levels, around 128, with this correlation to the band's number."""
    trend = (BANDS - BANDS.mean()) / BANDS.std()
    noise = np.random.default_rng(0).normal(size=128)
    noise -= noise.mean() + trend * (noise * trend).mean()
    noise /= noise.std()
    return 128 + 40 * (correlation * trend + np.sqrt(1 - correlation**2) * noise)


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


@pytest.mark.parametrize(
    ("correlation", "doubtful"),
    [(-0.9, False), (-0.4, False), (-0.32, False), (-0.28, True), (-0.2, True), (0.0, True), (0.9, True)],
)
def test_a_picture_whose_bass_is_not_louder_is_doubtful(correlation, doubtful):
    clip = picture(with_correlation(correlation))
    measured = np.corrcoef(BANDS, clip.levels.mean(1))[0, 1]
    assert measured == pytest.approx(correlation, abs=0.005)
    assert ("spectrogram" in judged(clip).unsuitable) == doubtful == bool(judged(clip).unsuitable)


def test_a_doubtful_picture_has_the_reason_in_place_of_a_genre(predictor):
    prediction = analyze(predictor, picture(with_correlation(0.0)), lambda share: None).prediction
    assert not prediction.genre and not prediction.probabilities and "spectrogram" in prediction.no_genre


def test_a_picture_of_one_level_is_doubtful():
    assert not judged(picture(255 - 2 * BANDS)).unsuitable
    assert "spectrogram" in judged(picture(np.full(128, 9))).unsuitable


def test_audio_is_never_judged_by_its_bands():
    white = music_like(6, np.random.default_rng(0))
    assert not judged(read_upload(wav(white), 30.0, 60)).unsuitable


def test_spectrograms_of_real_music_raise_no_doubt(gtzan):
    pictures = sorted((gtzan / "pictures").rglob("*.png"))[::10]
    doubted = [path for path in pictures if judged(read_upload(path.read_bytes(), 30.0, 60)).unsuitable]
    assert len(pictures) > 50 and len(doubted) <= 1

"""What a page shows of an upload, against the predictor and the readers."""

import io
import wave

import numpy as np
import pytest
from bundles import random_bundle
from PIL import Image

from genreclf.errors import GenreclfError
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.inference.analysis import hear, read
from genreclf.inference.predictor import Predictor
from genreclf.nets.torch_model import TorchModel


@pytest.fixture(scope="module")
def model() -> TorchModel:
    return TorchModel(random_bundle("a"), "none", "cpu")


def wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes((samples * 32_767).astype("<i2").tobytes())
    return file.getvalue()


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def music(seconds: float) -> np.ndarray:
    """Noise that is louder in the bass."""
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_RATE_HZ)).cumsum()
    return 0.5 * noise / np.abs(noise).max()


def test_it_is_the_predictors_answer_with_progress(model):
    shares: list[float] = []
    clip = read(model, wav(music(9)), 30.0, 60)
    heard = hear(model, clip, shares.append)
    assert heard.prediction == Predictor(model).predict(clip)
    assert np.array_equal(heard.attention, Predictor(model).predict_with_attention(clip)[1])
    assert shares == sorted(shares) and shares[-1] == 1
    assert heard.warning == ""


def test_what_the_model_saw_gives_the_same_answer_when_it_comes_back(model):
    heard = hear(model, read(model, wav(music(9)), 30.0, 60), lambda share: None)
    again = hear(model, read(model, heard.seen, heard.prediction.seconds, 60), lambda share: None)
    assert again.prediction.genre == heard.prediction.genre
    assert again.prediction.probabilities == pytest.approx(heard.prediction.probabilities, abs=1e-6)


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (wav(np.zeros(6 * SAMPLE_RATE_HZ)), "nothing to hear"),
        (wav(music(0.2)), "very short"),
        (png(np.random.default_rng(0).integers(0, 256, (128, 300), np.uint8)), "does not look like a spectrogram"),
        (png(np.linspace(0, 255, 128).astype(np.uint8)[:, None].repeat(300, 1)), ""),
        (png(np.linspace(255, 0, 128).astype(np.uint8)[:, None].repeat(300, 1)), "does not look like a spectrogram"),
        (png(np.full((128, 300), 9, np.uint8)), "does not look like a spectrogram"),
        (png(np.random.default_rng(0).integers(0, 256, (128, 300, 3), np.uint8)), "does not look like a spectrogram"),
    ],
)
def test_doubts_are_told_and_the_answer_given_all_the_same(model, content, warning):
    heard = hear(model, read(model, content, 30.0, 60), lambda share: None)
    assert warning in heard.warning and bool(warning) == bool(heard.warning)
    assert sum(heard.prediction.probabilities) == pytest.approx(1)


@pytest.mark.parametrize("content", [b"", b"text", wav(music(70))])
def test_what_cannot_be_heard_is_refused(model, content):
    with pytest.raises(GenreclfError, match=r"^upload: "):
        read(model, content, 30.0, 60)


def test_spectrograms_of_real_music_raise_no_doubt(gtzan, model):
    pictures = sorted((gtzan / "pictures").rglob("*.png"))[::10]
    doubted = [path for path in pictures if hear_nothing(model, path.read_bytes())]
    assert len(pictures) > 50 and len(doubted) <= 1


def hear_nothing(model: TorchModel, content: bytes) -> str:
    from genreclf.inference.analysis import _warning  # the rule alone: 70 answers would take half a minute

    return _warning(read(model, content, 30.0, 60))

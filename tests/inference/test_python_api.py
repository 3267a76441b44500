"""The Python API: the same predictions as the command, from files and samples, and bundles to and from a hub."""

import io
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import soundfile
import torch
from local_hub import REPOSITORY, local_hub
from tiny_sounds import music_like

import genreclf
from genreclf import Classifier
from genreclf.errors import GenreclfError
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.inference.predictor import Predictor, load_predictor
from genreclf.inference.run_folder import PRETRAINED

FILES = ("model.onnx", "model.safetensors", "config.json", "README.md", "scores.json")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.from_pretrained("a", device="cpu")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load_predictor("a", device="cpu")


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> list[Path]:
    """Stereo songs at 44.1 kHz, 4 to 13 s long."""
    folder, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)
    for number in range(4):
        sound = music_like(4 + 3 * number, rng, 44_100)[:, None] * np.linspace(0, 1, 2)
        soundfile.write(folder / f"{number}.wav", sound, 44_100, "FLOAT")
    return sorted(folder.iterdir())


def test_its_predictions_are_the_predictors(classifier, predictor, songs):
    for song in songs:
        expected = predictor.predict_file(song).probabilities
        assert classifier.classify(song).probabilities == classifier.classify(str(song)).probabilities == expected
    assert classifier.classes == predictor.info.classes


def test_samples_are_classified_like_their_file(classifier, songs):
    for song in songs:
        samples, rate = soundfile.read(song, dtype="float32")
        from_samples, from_file = classifier.classify(samples, rate), classifier.classify(song)
        assert (from_samples.genre, from_samples.seconds) == (from_file.genre, from_file.seconds)
        # Samples are resampled all at once, files in blocks.
        assert from_samples.probabilities == pytest.approx(from_file.probabilities, abs=1e-3)
        louder = classifier.classify((samples * 20_000).astype(np.int16), rate)
        assert louder.probabilities == pytest.approx(from_file.probabilities, abs=0.02)


def test_many_files_come_in_order_and_an_unreadable_one_has_its_error(classifier, songs, tmp_path):
    (tmp_path / "bad.wav").write_text("no sound")
    paths = [songs[0], tmp_path / "bad.wav", *songs[1:]]
    results = list(classifier.classify_many(map(str, paths), workers=2))
    assert [path for path, _ in results] == paths
    assert isinstance(results[1][1], GenreclfError) and "bad.wav" in str(results[1][1])
    for path, result in results[:1] + results[2:]:
        assert result.probabilities == classifier.classify(path).probabilities


@pytest.mark.parametrize("paths", ["song.mp3", b"song.mp3", Path("song.mp3"), None, 5, [None], [b"RIFF"], [np.ones(9)]])
def test_what_is_no_list_of_paths_is_one_line(classifier, paths):
    with pytest.raises(GenreclfError, match=r"^classify_many: .*give .*paths"):
        list(classifier.classify_many(paths))


def test_fewer_than_one_thread_is_refused(classifier, songs):
    with pytest.raises(GenreclfError, match="workers=-1"):
        classifier.classify_many(songs, workers=-1)


def test_an_object_of_a_store_is_classified_like_its_file(classifier, songs):
    fsspec = pytest.importorskip("fsspec")
    content = songs[0].read_bytes()
    fsspec.filesystem("memory").pipe("/bucket/song.wav", content)
    expected, url = classifier.classify(songs[0]).probabilities, "memory://bucket/song.wav"
    ((path, many),) = classifier.classify_many([url])
    assert classifier.classify(url).probabilities == many.probabilities == expected and str(path) == url


def test_a_prediction_is_shown_on_a_line(classifier, songs):
    shown = repr(classifier.classify(songs[0]))
    assert "genres=" in shown and "\n" not in shown and len(shown) < 1_000


def test_threads_share_it(classifier, songs):
    expected = [classifier.classify(song).probabilities for song in songs]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            assert [result.probabilities for result in threads.map(classifier.classify, songs)] == expected


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("samples", "rate", "problem"),
    [
        (np.zeros(1000, np.float32), None, "rate_hz"),
        (np.zeros((2, 3, 4), np.float32), 22_050, r"shape \(2, 3, 4\)"),
        (np.zeros(0, np.float32), 22_050, r"shape \(0,\)"),
        (np.array(["a"]), 22_050, "samples"),
        (np.array([0.0, np.nan], np.float32), 22_050, "NaN"),
        (np.array([0.0, np.inf], np.float32), 22_050, "infinite"),
        (np.zeros(1000, np.float32), 12, "12 Hz"),
        (np.zeros(1000, np.float32), "CD", "rate_hz='CD'"),
        (np.zeros(1000, np.float32), float("nan"), "nan Hz"),
        (np.zeros((5, 5), np.float32), 22_050, "which axis"),
        (np.zeros((90, 900), np.float32), 22_050, "which axis"),
        (np.zeros(1000, np.float32), 10**400, "rate_hz=10"),
        (b"RIFF", 22_050, "path of a file"),
        (b"song.wav", None, "path of a file"),
        (bytearray(100_000), 22_050, "path of a file"),
        (memoryview(b"RIFF"), 22_050, "path of a file"),
        (io.BytesIO(b"RIFF"), 22_050, "path of a file"),
        ("", None, "empty"),
        (None, 22_050, r"NoneType .*path"),
        ([[1, 2], [3]], 22_050, "list"),
        (np.zeros(1_000 * 7_300, np.float32), 1_000, "2 hours"),
        (torch.empty(30_000, device="meta"), 22_050, "Tensor"),
        (torch.zeros(30_000).to_sparse(), 22_050, "Tensor"),
        (np.ma.masked_array(np.ones(30_000), mask=np.arange(30_000) < 5), 22_050, "masked"),
        (np.full(30_000, 1e300), 22_050, "infinite"),
        (iter([0.0] * 30_000), 22_050, r"list_iterator .*array"),
        ([Fraction(1)] * 30_000, 22_050, r"list .*array"),
    ],
)
def test_samples_that_are_not_audio_are_refused(classifier, samples, rate, problem):
    with pytest.raises(GenreclfError, match=problem):
        classifier.classify(samples, rate)


@pytest.fixture(scope="module")
def stereo() -> np.ndarray:
    """Stereo samples, (samples, 2) float32, 3 s at 22,050 Hz."""
    rng = np.random.default_rng(0)
    sound = np.stack([music_like(3, rng), music_like(3, rng)], axis=1).cumsum(axis=0)
    return (sound / np.abs(sound).max()).astype(np.float32)


@pytest.mark.parametrize(
    "shaped",
    [
        np.transpose,
        np.ndarray.tolist,
        torch.from_numpy,
        lambda sound: torch.from_numpy(sound).T.requires_grad_(),
        np.float64,
        lambda sound: sound * 1_000,
    ],
)
def test_samples_may_come_in_any_form_that_leaves_no_doubt(classifier, stereo, shaped):
    expected = classifier.classify(stereo, SAMPLE_RATE_HZ)
    found = classifier.classify(shaped(stereo), float(SAMPLE_RATE_HZ))
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-3) and found.seconds == expected.seconds


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.uint16, np.int32, np.uint32, np.float16])
def test_the_kind_of_number_does_not_matter(classifier, stereo, kind):
    scales = {np.int16: (2**15 - 1, 0), np.uint8: (127, 128), np.uint16: (2**15 - 1, 2**15), np.int32: (2**15, 0)}
    scale, middle = {**scales, np.uint32: (2**31 - 2**8, 2**31)}.get(kind, (1, 0))
    samples = (stereo * scale + middle).astype(kind)
    expected = classifier.classify(samples.astype(np.float64) - middle, SAMPLE_RATE_HZ).probabilities
    assert classifier.classify(samples, SAMPLE_RATE_HZ).probabilities == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.int16])
def test_a_mono_tensor_is_classified(classifier, kind):
    sound = torch.from_numpy(music_like(2, np.random.default_rng(0))[None] * 10_000).to(kind)
    assert len(classifier.classify(sound, SAMPLE_RATE_HZ).probabilities) == len(classifier.classes)


def test_antiphase_samples_are_those_of_one_channel(classifier, stereo):
    left = stereo[:, 0]
    found = classifier.classify(np.stack([left, -left]), SAMPLE_RATE_HZ)
    assert found.probabilities == classifier.classify(left, SAMPLE_RATE_HZ).probabilities and "channel 1" in found.note


@pytest.mark.parametrize("sound", [np.zeros(90_000), np.ones(9_000, np.int16), np.full((70_000, 2), 0.25), np.ones(1)])
def test_samples_without_music_have_a_reason_and_no_genre(classifier, sound):
    found = classifier.classify(sound, SAMPLE_RATE_HZ)
    assert (found.genre, found.probability, found.probabilities) == ("", 0.0, ()) and "silence" in found.no_genre


def test_a_saved_bundle_is_a_complete_copy(classifier, tmp_path, songs):
    classifier.save_pretrained(tmp_path / "new" / "copy")
    for name in FILES:
        assert (tmp_path / "new" / "copy" / name).read_bytes() == (PRETRAINED / "a" / name).read_bytes()
    copy = Classifier.from_pretrained(tmp_path / "new" / "copy")
    assert copy.classify(songs[0]).probabilities == classifier.classify(songs[0]).probabilities
    copy.save_pretrained(copy.folder)  # onto itself
    assert (copy.folder / "model.onnx").read_bytes() == (PRETRAINED / "a" / "model.onnx").read_bytes()


def test_a_bundle_without_a_card_gets_a_short_one(tmp_path):
    shutil.copytree(PRETRAINED / "a", tmp_path / "a", ignore=shutil.ignore_patterns("README.md"))
    classifier = Classifier.from_pretrained(tmp_path / "a")
    assert classifier.card is None
    classifier.save_pretrained(tmp_path / "b")
    card = Classifier.from_pretrained(tmp_path / "b").card
    assert card is not None and card.startswith("---\n") and "library_name: genreclf" in card


def test_a_folder_that_cannot_be_written_is_one_line(classifier, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GenreclfError, match=r"file.*choose another"):
        classifier.save_pretrained(tmp_path / "file")


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[Path]:
    """A hub that serves Model A as mine/music; yields the folder of its cache."""
    with local_hub(monkeypatch, PRETRAINED / "a"):
        yield tmp_path / "cache"


def test_a_model_of_the_hub_is_downloaded_once(hub, classifier, songs):
    expected = classifier.classify(songs[0]).probabilities
    downloaded = Classifier.from_pretrained(REPOSITORY, cache_dir=hub)
    assert downloaded.classify(songs[0]).probabilities == expected and downloaded.card == classifier.card
    assert all((downloaded.folder / name).is_file() for name in FILES)
    again = Classifier.from_pretrained(REPOSITORY, cache_dir=hub, local_files_only=True)
    assert again.classify(songs[0]).probabilities == expected


def test_card_scores_and_torchs_weights_are_optional_on_the_hub(monkeypatch, tmp_path, songs):
    shutil.copytree(PRETRAINED / "a", tmp_path / "a", ignore=shutil.ignore_patterns(*FILES[1:2], *FILES[3:]))
    with local_hub(monkeypatch, tmp_path / "a"):
        downloaded = Classifier.from_pretrained(REPOSITORY, cache_dir=tmp_path / "cache")
    assert downloaded.classify(songs[0]).probabilities and downloaded.card is None


@pytest.mark.parametrize(
    ("name", "hint"), [("mine/other", "Hub"), ("a/b/c", "Hub"), ("nothing", "pretrained"), ("a" * 300, "shorter name")]
)
def test_a_missing_model_is_one_line(hub, name, hint):
    with pytest.raises(GenreclfError, match=f"^{name}.*: .*{hint}"):
        Classifier.from_pretrained(name, cache_dir=hub)


def test_an_upload_without_a_connection_is_one_line(classifier, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    real = huggingface_hub.HfApi
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda token: real(endpoint, token=token))
    with pytest.raises(GenreclfError, match=r"^mine/music: not uploaded .*connection"):
        classifier.push_to_hub(REPOSITORY, token="secret")


def test_the_package_offers_it():
    assert genreclf.Classifier is Classifier and genreclf.GenreclfError is GenreclfError
    with pytest.raises(AttributeError, match="Clasifier"):
        _ = genreclf.Clasifier

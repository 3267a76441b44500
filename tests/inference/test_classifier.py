"""The Python API: the same answers as the command's, from files and samples, and bundles to and from a hub."""

import http.server
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import soundfile
import torch
from bundles import CLASSES, random_bundle

import genreclf
from genreclf import Classifier
from genreclf.errors import GenreclfError
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.nets.bundle import load_bundle, save_bundle
from genreclf.nets.torch_model import torch_predictor


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    save_bundle(folder, random_bundle("a"))
    (folder / "README.md").write_text("# A card\n")
    return folder


@pytest.fixture(scope="module")
def classifier(bundle) -> Classifier:
    return Classifier.from_pretrained(bundle, device="cpu")


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> list[Path]:
    """Stereo, 44.1 kHz, 4 to 13 s."""
    folder, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)
    for number in range(4):
        sound = rng.normal(0, 0.1, (44_100 * (4 + 3 * number), 2)) * np.linspace(0, 1, 2)
        soundfile.write(folder / f"{number}.wav", sound, 44_100, "FLOAT")
    return sorted(folder.iterdir())


def test_it_answers_as_the_predictor(classifier, bundle, songs):
    predictor = torch_predictor(load_bundle(bundle), "none", "cpu")
    for song in songs:
        assert classifier.classify(song) == classifier.classify(str(song)) == predictor.predict_file(song)
    assert classifier.classes == CLASSES


def test_samples_are_heard_as_the_file_that_holds_them(classifier, songs):
    for song in songs:
        samples, rate = soundfile.read(song, dtype="float32")
        heard, read = classifier.classify(samples, rate), classifier.classify(song)
        assert heard.genre == read.genre and heard.seconds == read.seconds
        assert heard.probabilities == pytest.approx(read.probabilities, abs=1e-3)  # resampled whole, not in blocks
        louder = classifier.classify((samples * 20_000).astype(np.int16), rate)
        assert louder.probabilities == pytest.approx(read.probabilities, abs=0.02)


def test_many_files_are_answered_in_order_and_the_bad_one_says_why(classifier, songs, tmp_path):
    (tmp_path / "bad.wav").write_text("no sound")
    paths = [songs[0], tmp_path / "bad.wav", *songs[1:]]
    answers = list(classifier.classify_many(map(str, paths), workers=2))
    assert [path for path, _ in answers] == paths
    assert isinstance(answers[1][1], GenreclfError) and "bad.wav" in str(answers[1][1])
    for path, answer in answers[:1] + answers[2:]:
        assert answer.probabilities == pytest.approx(classifier.classify(path).probabilities, abs=1e-5)


def test_threads_share_it(classifier, songs):
    expected = [classifier.classify(song) for song in songs]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            assert list(threads.map(classifier.classify, songs)) == expected


def test_torch_is_left_as_it_was(bundle, songs):
    def settings() -> tuple:
        return (
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.get_rng_state().sum(),
            torch.backends.cudnn.benchmark,
        )

    before = settings()
    Classifier.from_pretrained(bundle).classify(songs[0])
    assert settings() == before


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(1000, np.float32), None, "samples need their rate_hz"),
        (np.zeros((2, 3, 4), np.float32), 22_050, r"shape \(2, 3, 4\)"),
        (np.zeros(0, np.float32), 22_050, r"shape \(0,\)"),
        (np.array(["a"]), 22_050, "give numbers"),
        (np.array([0.0, np.nan], np.float32), 22_050, "NaN"),
        (np.array([0.0, np.inf], np.float32), 22_050, "infinite"),
        (np.zeros(1000, np.float32), 12, "sample rate 12 Hz; resample them to"),
        (np.zeros(1_000 * 7_300, np.float32), 1_000, "longer than 2 hours"),
    ],
)
def test_samples_that_are_no_sound_are_refused(classifier, samples, rate, message):
    with pytest.raises(GenreclfError, match=message):
        classifier.classify(samples, rate)


def test_a_single_sample_is_answered(classifier):
    answer = classifier.classify(np.ones(1, np.float32), SAMPLE_RATE_HZ)
    assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)


def test_a_saved_bundle_comes_back_whole_with_its_card(classifier, bundle, tmp_path, songs):
    classifier.save_pretrained(tmp_path / "copy")
    for name in ("model.safetensors", "config.json", "README.md"):
        assert (tmp_path / "copy" / name).read_bytes() == (bundle / name).read_bytes()
    assert Classifier.from_pretrained(tmp_path / "copy").classify(songs[0]) == classifier.classify(songs[0])


def test_a_bundle_without_a_card_gets_a_plain_one(tmp_path):
    save_bundle(tmp_path / "a", random_bundle("a"))
    Classifier.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    card = (tmp_path / "b" / "README.md").read_text()
    assert card.startswith("---\n") and "library_name: genreclf" in card and "not measured yet" in card
    assert load_bundle(tmp_path / "b").classes == CLASSES


@pytest.fixture
def hub(bundle, tmp_path, monkeypatch):
    """The Hub's own way of serving one model, mine/music, from this machine."""

    class Requests(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(head=True)

        def do_GET(self) -> None:
            self.answer(head=False)

        def answer(self, head: bool) -> None:
            file = bundle / self.path.rpartition("/")[2]
            if not self.path.startswith("/mine/music/resolve/") or not file.is_file():
                self.send_error(404)
                return
            content = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{len(content)}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            if not head:
                self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Requests) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield tmp_path / "cache"
        server.shutdown()


def test_a_model_on_the_hub_is_fetched_and_kept(hub, classifier, songs):
    fetched = Classifier.from_pretrained("mine/music", cache_dir=hub)
    assert fetched.classify(songs[0]) == classifier.classify(songs[0]) and fetched.card == "# A card\n"
    again = Classifier.from_pretrained("mine/music", cache_dir=hub, local_files_only=True)
    assert again.classify(songs[0]) == classifier.classify(songs[0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine/other", "mine/other: no folder here, and the Hub gave none"),
        ("a/b/c", "a/b/c: no folder here, and the Hub gave none"),
        ("nothing", "run=nothing: is no run folder"),
    ],
)
def test_what_is_nowhere_is_one_line(hub, name, message):
    with pytest.raises(GenreclfError, match=message):
        Classifier.from_pretrained(name, cache_dir=hub)


def test_the_package_offers_it_without_importing_torch():
    assert genreclf.Classifier is Classifier and genreclf.__all__ == ["Classifier"]
    with pytest.raises(AttributeError, match="no attribute 'Clasifier'"):
        _ = genreclf.Clasifier

"""Fixtures shared by all tests: a tiny data folder, its store, and a temporary cache."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_config import data_config
from hypothesis import settings
from tiny_pictures import save_empty, tiny_picture
from tiny_sounds import tiny_sound

from genreclf import predict
from genreclf.data.build_store import build_store
from genreclf.data.data_config import DataConfig
from genreclf.data.sources import list_sources
from genreclf.data.store import Store
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.picture import write_picture

# The same examples in every run, without a time limit, because the machine may be slow.
settings.register_profile("genreclf", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("genreclf")

# The slowest test files, slowest first, so that two processes finish at the same time.
LONGEST = (
    "test_train.py",
    "test_exporting.py",
    "test_figures.py",
    "test_evaluate.py",
    "test_bad_audio.py",
    "test_pages.py",
    "test_hydra_command.py",
    "test_classifier.py",
    "test_prepare.py",
    "test_fingerprint.py",
    "test_av_audio.py",
    "test_picture_content.py",
    "test_picture.py",
    "test_audit.py",
    "test_report.py",
)


gc.disable()  # until all tests are collected: importing torch and other packages leaves almost no garbage


def pytest_collection_finish() -> None:
    """Freezes imported objects, which stay until the end, so that garbage collection skips a million of them."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of pytest's capture of logs and warnings
def pytest_runtestloop() -> Iterator[None]:
    """Starts the server of the commands' processes if a test needs it."""
    if "command_line" in sys.modules:
        sys.modules["command_line"].start_server()
    return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs long test files first."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


TINY_CLASSES = ("click", "noise", "tone")
TINY_CLIPS_PER_CLASS = 8


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory) -> Path:
    """The cache of the whole test run, also set as GENRECLF_CACHE."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENRECLF_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def gtzan() -> Path:
    """GTZAN's pictures, audio and lists; real music is not part of the project."""
    folder = Path(os.environ.get("GENRECLF_GTZAN", Path(__file__).resolve().parents[2] / "shared" / "gtzan"))
    if not folder.is_dir():
        pytest.skip(f"no GTZAN at {folder}; set GENRECLF_GTZAN to its folder")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """Three classes of eight clips: six of 2 to 9 s of audio and two pictures; also a broken file and a duplicate."""
    folder, rng = tmp_path_factory.mktemp("tiny"), np.random.default_rng(0)
    for kind in TINY_CLASSES:
        (folder / kind).mkdir()
        for number in range(TINY_CLIPS_PER_CLASS - 2):
            sound = tiny_sound(kind, 2 + 1.4 * number, rng)
            soundfile.write(folder / kind / f"{kind}.{number:05d}.wav", sound, SAMPLE_RATE_HZ)
        for number in range(TINY_CLIPS_PER_CLASS - 2, TINY_CLIPS_PER_CLASS):
            levels = tiny_picture(380 + number, rng)
            write_picture(folder / kind / f"{kind}.{number:05d}.png", levels)
    (folder / "tone" / "broken.wav").write_bytes(b"RIFF is not enough")
    (folder / "noise" / "again.wav").write_bytes((folder / "noise" / "noise.00000.wav").read_bytes())
    return folder


@pytest.fixture(scope="session")
def tiny_data(tiny_folder, cache) -> DataConfig:
    """The configuration `data=folder` for the tiny folder."""
    return data_config(path=tiny_folder, cache=cache)


@pytest.fixture(scope="session")
def tiny_store(tiny_data) -> Store:
    """The tiny folder's store, opened."""
    folder = tiny_data.path
    return build_store(folder, list_sources(folder), tiny_data.cache, tiny_data.picture_seconds)


@pytest.fixture
def no_plots(monkeypatch) -> None:
    """Plots are empty files."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", save_empty)


@pytest.fixture
def run_main(capsys, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """Runs a command's `main` in this process; returns exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(main: Callable[[list[str]], int], *words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def run_predict(run_main) -> Callable[..., tuple[int, str, str]]:
    """Runs `predict`, or `main`, with Model A, as `run_main` does."""
    return lambda *words, main=predict.main: run_main(main, *words, "--model", "a")

import hashlib
import io
import time
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import soundfile
from data_config import data_config
from local_hub import LocalHub, local_hub, no_hub
from test_public_sets import tar_of

from genreclf.data import gtzan
from genreclf.data.data_folder import data_folder
from genreclf.data.gtzan import GENRES, find_genres, gtzan_folder
from genreclf.data.sources import list_sources
from genreclf.errors import GenreclfError


def sound(seed: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(seed).normal(0, 0.1, 22_050), 22_050, format="AU")
    return file.getvalue()


@pytest.fixture(scope="module")
def archive() -> bytes:
    """An archive with two clips per genre in the folder `genres`, and the files that macOS adds."""
    numbered = [(genre, n) for genre in GENRES for n in (0, 1)]
    files = {f"genres/{genre}/{genre}.0000{n}.au": sound(seed) for seed, (genre, n) in enumerate(numbered)}
    return tar_of({**files, "genres/blues/._blues.00000.au": b"x", "._genres": b"x"})


@pytest.fixture
def hub(monkeypatch, archive) -> LocalHub:
    monkeypatch.setattr(gtzan, "ARCHIVE_SHA256", hashlib.sha256(archive).hexdigest())
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # 10 MB: what a break costs
    with local_hub(monkeypatch, archive) as server:
        yield server


def one_line(folder: Path) -> str:
    with pytest.raises(GenreclfError) as error:
        gtzan_folder(folder)
    assert "\n" not in str(error.value) and find_genres(folder) is None
    return str(error.value)


def test_gtzan_is_fetched_checked_and_unpacked(hub, tmp_path, capsys):
    config = data_config("gtzan", path=tmp_path / "gtzan", cache=tmp_path)
    sources = list_sources(data_folder(config))
    assert [source.path for source in sources] == [f"{genre}/{genre}.0000{n}.au" for genre in GENRES for n in (0, 1)]
    assert (tmp_path / "gtzan" / "genres" / "blues" / "blues.00000.au").read_bytes() == sound(0)
    assert "no stated licence" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.tar.gz*"))
    asked = len(hub.ranges)
    assert data_folder(config) == tmp_path / "gtzan" / "genres" and len(hub.ranges) == asked  # it is there


@pytest.mark.parametrize("fault", ["drop", "stall"])
def test_an_interrupted_download_resumes(hub, tmp_path, fault):
    hub.faults.append(fault)
    assert find_genres(gtzan_folder(tmp_path))
    assert len(hub.ranges) == 2 and hub.ranges[0] == 0 < hub.ranges[1]


def test_a_later_call_resumes_a_failed_download(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the client waits between its tries
    hub.faults.extend(["drop"] * 200)
    text = one_line(tmp_path)
    assert "marsyas/gtzan" in text and "run the same command again" in text
    hub.faults.clear()
    tries = len(hub.ranges)
    assert find_genres(gtzan_folder(tmp_path))
    assert hub.ranges[tries] > 0


@pytest.mark.parametrize("more", [-10, 10])
def test_a_wrong_length_is_one_line(hub, tmp_path, monkeypatch, more):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.claimed = len(hub.content) + more
    assert "marsyas/gtzan" in one_line(tmp_path)


def test_a_different_archive_is_deleted_and_refused(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(gtzan, "ARCHIVE_SHA256", "0" * 64)
    assert "sha256" in one_line(tmp_path)
    assert not list(tmp_path.rglob("*.tar.gz*"))


def test_without_a_network_the_message_gives_both_remedies(monkeypatch, tmp_path):
    no_hub(monkeypatch)
    start = time.monotonic()
    text = one_line(tmp_path)
    assert "run the same command again" in text and "set data.path to its folder" in text
    assert time.monotonic() - start < 6


@pytest.mark.parametrize("layout", ["", "genres", "genres_original", "Data/genres_original", "Data/images_original"])
def test_a_users_copy_is_found_in_its_layout(tmp_path, layout):
    for genre in GENRES[:-1]:
        (tmp_path / layout / genre).mkdir(parents=True)
    assert find_genres(tmp_path) is None
    (tmp_path / layout / GENRES[-1]).mkdir()
    assert gtzan_folder(tmp_path) == tmp_path / layout

"""The app in a real browser: what a user does, and what they get for it."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from driving import answer, browser, give, opened, predicted
from PIL import Image
from playwright.sync_api import Page

from genreclf.data.demo import render
from genreclf.frontend.audio import SAMPLE_RATE_HZ, read_audio
from genreclf.frontend.log_mel import log_mel
from genreclf.frontend.picture import read_picture, write_picture
from genreclf.inference.run_folder import pretrained_names
from genreclf.predict import DEFAULT

SHOTS = Path(os.environ["GENRECLF_SHOTS"])
WIDTHS = (1280, 390)
OTHER = next(name for name in pretrained_names() if name != DEFAULT)


@pytest.fixture(scope="session")
def songs(tmp_path_factory) -> dict[str, Path]:
    """One song in each form that the page takes."""
    folder, wave = tmp_path_factory.mktemp("songs"), render("shuffle", 1, 0, 12.0)
    forms = {
        "wav": "PCM_16",
        "flac": "PCM_16",
        "ogg": "VORBIS",
        "mp3": "MPEG_LAYER_III",
        "aiff": "PCM_16",
        "au": "PCM_16",
    }
    for suffix, subtype in forms.items():
        soundfile.write(folder / f"song.{suffix}", wave, SAMPLE_RATE_HZ, subtype=subtype)
    levels = log_mel(read_audio(folder / "song.wav").waveform)
    write_picture(folder / "song.png", levels)
    Image.fromarray(np.ascontiguousarray(levels[::-1])).save(folder / "song.jpg", quality=98)
    return {path.suffix[1:]: path for path in sorted(folder.iterdir())}


@pytest.fixture(scope="session")
def rows(songs) -> dict[str, dict]:
    """What `predict` says of each."""
    return dict(zip(songs, predicted(*songs.values()), strict=True))


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3", "aiff", "au", "png", "jpg"])
def test_each_form_gets_the_answer_of_predict(page, songs, rows, form):
    give(page, songs[form])
    genre, shares = answer(page)
    row = rows[form]
    assert genre == row["genre"]
    for name, share in row["probabilities"].items():
        assert abs(float(shares[name].rstrip("%")) / 100 - share) < 0.011


def test_both_models_answer_side_by_side(page, songs, rows):
    page.get_by_role("combobox", name="Beside it").click()
    page.get_by_role("option", name=re.compile(f"^{OTHER} ")).click()
    give(page, songs["wav"])
    page.get_by_text(re.compile("Both say|They disagree")).wait_for()
    page.get_by_test_id("stMetricValue").nth(1).wait_for()
    genres = [own.inner_text() for own in page.get_by_test_id("stMetricValue").all()]
    assert genres == [rows["wav"]["genre"], predicted(songs["wav"], name=OTHER)[0]["genre"]]


def test_the_microphone_is_heard(page):
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(6_000)
    page.get_by_role("button", name=re.compile("Stop recording")).click()
    page.get_by_role("heading", name="recording.wav").wait_for()
    answer(page)


def test_what_the_model_saw_is_saved_and_answers_alike(page, songs, tmp_path):
    give(page, songs["wav"])
    genre, _ = answer(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="What the model saw (PNG)").click()
    saved.value.save_as(tmp_path / "seen.png")
    assert read_picture(tmp_path / "seen.png").levels.shape[0] == 128
    with page.expect_download() as saved:
        page.get_by_role("button", name="JSON").click()
    assert json.loads(Path(saved.value.path()).read_text())[0]["genre"] == genre


def wrong_files(folder: Path) -> dict[str, tuple[Path, str]]:
    rng = np.random.default_rng(0)
    (folder / "text.mp3").write_bytes(b"no music at all " * 100)
    soundfile.write(folder / "silence.wav", np.zeros(6 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    soundfile.write(folder / "short.wav", rng.normal(0, 0.1, SAMPLE_RATE_HZ // 5), SAMPLE_RATE_HZ)
    soundfile.write(folder / "hours.flac", np.zeros(3 * 3_600 * 8_000, np.int16), 8_000)
    Image.fromarray(rng.integers(0, 256, (128, 300, 4), np.uint8), "CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.zeros((20_000, 20_000), np.uint8)).save(folder / "huge.png")
    write_picture(folder / "noise.png", rng.integers(0, 256, (128, 300), np.uint8))
    said = {
        "text.mp3": "cannot be read as audio",
        "silence.wav": "nothing to hear",
        "short.wav": "very short",
        "hours.flac": "longer than 1 hour;",
        "cmyk.jpg": "does not look like a spectrogram",
        "huge.png": "more than",
        "noise.png": "does not look like a spectrogram",
    }
    return {name: (folder / name, words) for name, words in said.items()}


def test_errors_are_sentences_on_the_page(page, tmp_path):
    for name, (path, words) in wrong_files(tmp_path).items():
        give(page, path)
        page.get_by_test_id("stAlert").get_by_text(words).wait_for()
        if name in ("text.mp3", "huge.png", "hours.flac"):
            assert name in page.get_by_test_id("stAlert").first.inner_text()
            page.screenshot(path=SHOTS / f"error-{name}.png")
        page.reload()
        page.locator("input[type=file]").first.wait_for(state="attached")


def one_session(address: str, song: Path) -> tuple[str, str]:
    with browser() as own:
        page = opened(own, address)
        give(page, song)
        genre, _ = answer(page)
        return page.get_by_role("heading", name=song.name).inner_text(), genre


def test_two_browsers_at_once_never_see_each_others_songs(server, tmp_path):
    paths = []
    for style in ("chorale", "power_chords"):
        paths.append(tmp_path / f"{style}.wav")
        soundfile.write(paths[-1], render(style, 3, 0, 9.0), SAMPLE_RATE_HZ)
    with ThreadPoolExecutor(2) as threads:
        seen = list(threads.map(lambda path: one_session(server[0], path), paths))
    assert seen == [(path.name, row["genre"]) for path, row in zip(paths, predicted(*paths), strict=True)]


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_look_as_they_should(chromium, server, songs, width):
    """The pictures are for people; what can be told of them: no page is wider than the screen."""
    page = opened(chromium, server[0], width)
    shot(page, f"first-{width}")
    give(page, songs["wav"])
    answer(page)
    shot(page, f"answer-{width}")
    for name, heading in (("scores", "Scores"), ("about", "What this is")):
        page.goto(f"{server[0]}/{name}")
        page.get_by_role("heading", name=heading, exact=True).wait_for()
        shot(page, f"{name}-{width}")
    page.close()


def shot(page: Page, name: str) -> None:
    page.wait_for_timeout(2_000)
    main = "document.querySelector('[data-testid=stMain]')"
    width, height = page.viewport_size["width"], int(page.evaluate(f"{main}.scrollHeight"))
    assert page.evaluate(f"{main}.scrollWidth") <= width
    page.set_viewport_size({"width": width, "height": height + 60})
    page.wait_for_timeout(1_000)
    page.screenshot(path=SHOTS / f"{name}.png")
    page.set_viewport_size({"width": width, "height": 900})

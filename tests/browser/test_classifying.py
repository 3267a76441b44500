"""The app in a real browser: what a user does, and what they get."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from driving import give, open_app, predicted, result
from PIL import Image
from playwright.sync_api import Page

from genreclf.data.demo import render
from genreclf.frontend.audio import SAMPLE_RATE_HZ, read_audio
from genreclf.frontend.log_mel import log_mel
from genreclf.frontend.picture import read_picture, write_picture
from genreclf.inference.catalog import DEFAULT_MODEL
from genreclf.inference.run_folder import pretrained_names

SHOTS = Path(os.environ["GENRECLF_SHOTS"])
WIDTHS = (1280, 390)
OTHER = next(name for name in pretrained_names() if name != DEFAULT_MODEL)


@pytest.fixture(scope="session")
def songs(tmp_path_factory) -> dict[str, Path]:
    """One song in each form that the page takes."""
    folder, wave = tmp_path_factory.mktemp("songs"), render("waltz", 0, 0, 12.0)
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


def test_file_names_are_shown_as_they_are(page, songs, tmp_path):
    name = "*b* _i_ :smile: $x$ :red[r] `c` <u>.wav"
    shutil.copy(songs["wav"], tmp_path / name)
    give(page, tmp_path / name)
    result(page)
    shown = page.get_by_role("heading", level=3).first.inner_text()
    assert shown.replace("\u2060", "") == name


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3", "aiff", "au", "png", "jpg"])
def test_each_format_gets_the_prediction_of_the_command(page, songs, rows, form):
    give(page, songs[form])
    genre, shares = result(page)
    row = rows[form]
    assert genre == row["genre"]
    for name, share in row["probabilities"].items():
        assert abs(float(shares[name].rstrip("%")) / 100 - share) < 0.011


def test_two_models_are_compared_side_by_side(page, songs, rows):
    page.get_by_role("combobox", name="Compare with").click()
    page.get_by_role("option", name=re.compile(f"^{OTHER} ")).click()
    give(page, songs["wav"])
    page.get_by_text(re.compile("Both models|The models disagree")).wait_for()
    page.get_by_test_id("stMetricValue").nth(1).wait_for()
    genres = [value.inner_text() for value in page.get_by_test_id("stMetricValue").all()]
    assert genres == [rows["wav"]["genre"], predicted(songs["wav"], name=OTHER)[0]["genre"]]


def test_a_recording_is_classified(page):
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(6_000)  # of which most is silence: a genre needs a second of sound
    page.get_by_role("button", name=re.compile("Stop recording")).click()
    page.get_by_role("heading", name="recording.wav").wait_for()
    # Chromium's stand-in for a microphone beeps, which need not be music of one of the genres.
    shares = page.get_by_role("list", name="probability of each genre").get_by_role("listitem")
    shares.last.wait_for()
    assert shares.count() == 10


def test_the_spectrogram_and_the_result_can_be_saved(page, songs, tmp_path):
    give(page, songs["wav"])
    genre, _ = result(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Spectrogram (PNG)").click()
    saved.value.save_as(tmp_path / "seen.png")
    assert read_picture(tmp_path / "seen.png").levels.shape[0] == 128
    with page.expect_download() as saved:
        page.get_by_role("button", name="JSON").click()
    assert json.loads(Path(saved.value.path()).read_text())[0]["genre"] == genre


def wrong_files(folder: Path) -> dict[str, tuple[Path, str]]:
    rng = np.random.default_rng(0)
    (folder / "text.mp3").write_bytes(b"no music at all " * 100)
    soundfile.write(folder / "silence.wav", np.zeros(6 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    soundfile.write(folder / "hours.flac", np.zeros(3 * 3_600 * 8_000, np.int16), 8_000)
    Image.fromarray(rng.integers(0, 256, (128, 300, 4), np.uint8), "CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.zeros((20_000, 20_000), np.uint8)).save(folder / "huge.png")
    write_picture(folder / "noise.png", rng.integers(0, 256, (128, 300), np.uint8))
    said = {
        "text.mp3": "audio",
        "silence.wav": "silence",
        "hours.flac": "1 hour",
        "cmyk.jpg": "no mel spectrogram",
        "huge.png": "more than",
        "noise.png": "no mel spectrogram",
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


def test_two_pages_at_once_never_see_each_others_songs(chromium, server, tmp_path):
    paths = []
    for style in ("drone", "waltz"):
        paths.append(tmp_path / f"{style}.wav")
        soundfile.write(paths[-1], render(style, 0, 0, 9.0), SAMPLE_RATE_HZ)
    pages = [open_app(chromium, server[0]) for _ in paths]
    for page, path in zip(pages, paths, strict=True):
        give(page, path)
    seen = []
    for page, path in zip(pages, paths, strict=True):
        genre, _ = result(page)
        seen.append((page.get_by_role("heading", name=path.name).inner_text(), genre))
        page.close()
    assert seen == [(path.name, row["genre"]) for path, row in zip(paths, predicted(*paths), strict=True)]


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_the_screen(chromium, server, songs, width):
    """The screenshots are for people; what a test can check is that no page is wider than the screen."""
    page = open_app(chromium, server[0], width)
    shot(page, f"first-{width}")
    give(page, songs["wav"])
    result(page)
    shot(page, f"result-{width}")
    for name, heading in (("scores", "Scores"), ("about", "About the models")):
        page.goto(f"{server[0]}/{name}")
        page.get_by_role("heading", name=heading, exact=True).wait_for()
        shot(page, f"{name}-{width}")
    page.close()


def shot(page: Page, name: str) -> None:
    page.locator("[data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(300)  # for what moves
    main = "document.querySelector('[data-testid=stMain]')"
    width, height = page.viewport_size["width"], int(page.evaluate(f"{main}.scrollHeight"))
    assert page.evaluate(f"{main}.scrollWidth") <= width
    page.set_viewport_size({"width": width, "height": height + 60})
    page.wait_for_timeout(300)
    page.screenshot(path=SHOTS / f"{name}.png")
    page.set_viewport_size({"width": width, "height": 900})

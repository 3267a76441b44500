"""The app in a real browser: a user's actions and their results."""

import csv
import io
import itertools
import json
import os
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from driving import give, open_app, predicted, result, serving, settled, write_evaluation
from PIL import Image
from playwright.sync_api import Page

from genreclf.data.demo import render
from genreclf.frontend.audio import SAMPLE_RATE_HZ, read_audio
from genreclf.frontend.log_mel import log_mel
from genreclf.frontend.picture import read_picture, write_picture
from genreclf.inference.run_folder import DEFAULT_MODEL, PRETRAINED, pretrained_names

SHOTS = Path(os.environ["GENRECLF_SHOTS"])
WIDTHS = (1280, 390)
OTHER = next(name for name in pretrained_names() if name != DEFAULT_MODEL)


def encode(source: Path, target: Path, codec: str, rate_hz: int) -> None:
    with av.open(source) as read, av.open(target, "w") as written:
        stream = written.add_stream(codec, rate=rate_hz, layout="mono")
        resampler = av.AudioResampler(stream.codec_context.format, "mono", rate_hz)
        blocks = (block for frame in read.decode(audio=0) for block in resampler.resample(frame))
        for block in itertools.chain(blocks, resampler.resample(None), [None]):
            written.mux(stream.encode(block))


@pytest.fixture(scope="session")
def songs(tmp_path_factory) -> dict[str, Path]:
    """One song in each form that the page accepts."""
    folder, wave = tmp_path_factory.mktemp("songs"), render("waltz", 0, 0, 12.0)
    for suffix in ("wav", "flac", "ogg", "mp3", "aiff", "au"):
        soundfile.write(folder / f"song.{suffix}", wave, SAMPLE_RATE_HZ)
    for suffix, codec, rate_hz in (("m4a", "aac", 44_100), ("opus", "libopus", 48_000)):
        encode(folder / "song.wav", folder / f"song.{suffix}", codec, rate_hz)
    levels = log_mel(read_audio(folder / "song.wav").waveform)
    write_picture(folder / "song.png", levels)
    Image.fromarray(np.ascontiguousarray(levels[::-1])).save(folder / "song.jpg", quality=98)
    return {path.suffix[1:]: path for path in sorted(folder.iterdir())}


@pytest.fixture(scope="session")
def rows(songs) -> dict[str, dict]:
    """The rows of `predict` for each song."""
    return dict(zip(songs, predicted(*songs.values()), strict=True))


def table(page: Page) -> list[list[str]]:
    """Returns the cells of the table of songs, once all are classified."""
    page.locator("tbody tr").first.wait_for()
    page.locator("tbody").get_by_text("…", exact=True).first.wait_for(state="hidden")
    return [row.locator("td").all_inner_texts() for row in page.locator("tbody tr").all()]


def says(row: dict) -> str:
    """Returns the genre from `predict` as the table shows it."""
    return f"{row['genre']} {100 * row['probability']:.0f}\u00a0%" if row["genre"] else "no genre"


def shown_song(page: Page) -> str:
    return page.get_by_role("heading", level=2).first.inner_text().replace("\u2060", "")


def test_all_formats_get_the_prediction_of_the_command_and_a_click_opens_a_song(page, songs, rows, tmp_path):
    give(page, *songs.values())
    page.locator("tbody tr").nth(len(songs) - 1).wait_for()
    found = table(page)
    assert [cells[0].split("\n")[0] for cells in found] == [path.name for path in songs.values()]
    assert [cells[1] for cells in found] == [says(row) for row in rows.values()]
    page.locator("tbody tr").nth(3).locator("td").nth(2).click()  # anywhere in the row
    page.get_by_role("heading", name=list(songs.values())[3].name, exact=True).wait_for()
    genre, shares = result(page)
    row = list(rows.values())[3]
    assert genre == row["genre"]
    for name, share in row["probabilities"].items():
        assert abs(float(shares[name].rstrip("%")) / 100 - share) < 0.011
    with page.expect_download() as download:
        page.get_by_role("button", name="Download spectrogram (PNG)").click()
    download.value.save_as(tmp_path / "seen.png")
    assert download.value.suggested_filename == "song.png"
    assert read_picture(tmp_path / "seen.png").levels.shape[0] == 128


def test_two_models_are_in_the_page_and_in_every_download_and_stay_chosen(page, songs, rows):
    page.get_by_role("button", name="Model:").click()
    compare(page)
    page.keyboard.press("Escape")
    give(page, songs["wav"], songs["flac"])
    page.get_by_text(re.compile("Both models|The models disagree")).wait_for()
    settled(page)
    others = predicted(songs["wav"], songs["flac"], name=OTHER)
    assert [cells[1:3] for cells in table(page)] == [
        [says(rows[form]), says(other)] for form, other in zip(("wav", "flac"), others, strict=True)
    ]
    labels = [f"{name} (pretrained)" for name in (DEFAULT_MODEL, OTHER)]
    one, every = (json.loads(saved(page, "Download JSON", place)) for place in (0, 1))
    assert [list(song["models"]) for song in (*one, *every)] == [labels] * 3
    assert every[1]["models"][labels[1]]["genre"] == others[1]["genre"]
    lines = list(csv.DictReader(io.StringIO(saved(page, "Download CSV", 1))))
    assert [line[f"{labels[1]}: genre"] for line in lines] == [other["genre"] or "" for other in others]
    assert {line["model"] for line in csv.DictReader(io.StringIO(saved(page, "Download CSV", 0)))} == set(labels)
    page.get_by_role("link", name="About").click()
    page.get_by_role("heading", name="About the models").wait_for()
    page.go_back()
    settled(page)
    page.reload()
    page.get_by_text(re.compile("Both models|The models disagree")).wait_for()
    assert len(table(page)) == 2


def compare(page: Page) -> None:
    """Chooses the second model in the open settings."""
    page.get_by_role("combobox", name="Compare with").click()
    page.get_by_role("option", name=re.compile(f"^{OTHER} ")).click()
    settled(page)


def test_settings_stay_in_their_fields_after_other_pages_uploads_and_a_reload(page, songs):
    give(page, songs["wav"])
    result(page)
    settled(page)
    page.get_by_role("button", name="Model:").click()
    seconds = page.get_by_role("spinbutton")
    assert float(seconds.input_value()) == 30
    compare(page)
    seconds.fill("12")
    page.keyboard.press("Enter")
    settled(page)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="About").click()
    page.get_by_role("heading", name="About the models").wait_for()
    page.go_back()
    for again, form in ((lambda: None, "flac"), (page.reload, "ogg")):
        again()
        result(page)
        give(page, songs[form])
        page.get_by_role("heading", name=songs[form].name, exact=True).wait_for()
        settled(page)
        page.get_by_role("button", name="Model:").click()
        assert page.get_by_role("combobox", name="Compare with").input_value().startswith(OTHER)
        assert float(seconds.input_value()) == 12
        page.keyboard.press("Escape")
        settled(page)


def saved(page: Page, label: str, place: int) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=label, exact=True).nth(place).click()
    return Path(download.value.path()).read_text()


def test_genres_are_corrected_with_the_keyboard_undone_and_downloaded(page, songs, tmp_path):
    give(page, songs["wav"], songs["flac"], songs["ogg"])
    page.locator("tbody tr").nth(2).wait_for()
    settled(page)
    page.locator("tbody .open").nth(0).focus()
    page.keyboard.press("ArrowDown")
    settled(page)
    assert shown_song(page) == songs["flac"].name
    for _ in range(2):
        page.keyboard.press("ArrowRight")  # the second genre
    page.wait_for_timeout(900)
    settled(page)
    page.keyboard.press("ArrowDown")
    settled(page)
    page.get_by_role("combobox", name=re.compile("type one of your own")).click()
    page.keyboard.type("*own* $x$")
    page.keyboard.press("Enter")
    settled(page)
    second = page.locator("tbody select").nth(1).locator("option").nth(2).inner_text()
    assert corrections(page) == [[songs["flac"].name, second], [songs["ogg"].name, "*own* $x$"]]
    page.get_by_role("heading", level=1).click()  # no field has the focus
    page.keyboard.press("Control+z")
    settled(page)
    assert corrections(page) == [[songs["flac"].name, second]]
    page.reload()
    page.locator("tbody tr").nth(2).wait_for()
    settled(page)
    assert corrections(page) == [[songs["flac"].name, second]]


def corrections(page: Page) -> list[list[str]]:
    header, *rows = csv.reader(io.StringIO(saved(page, "Download corrections.csv", 0)))
    assert header == ["path", "genre"]
    return rows


HOSTILE = "![i](http://x.invalid) :smile: *b* <img src='//x.invalid' onerror=alert(1)> $x$ www.x.invalid `c` :red[r]"


def test_hostile_names_are_text_on_all_pages_and_no_other_host_is_asked(chromium, songs, tmp_path):
    name = HOSTILE.replace("/", "\u2215")  # because no file name contains a slash
    bundle = tmp_path / "runs" / name / "bundle"
    shutil.copytree(PRETRAINED / DEFAULT_MODEL, bundle)
    config = json.loads((bundle / "config.json").read_text())
    config["classes"] = [f"{HOSTILE} {place}" for place in range(len(config["classes"]))]
    (bundle / "config.json").write_text(json.dumps({**config, "known": None}))
    (bundle / "README.md").write_text(f"# {HOSTILE}\n\n{HOSTILE}\n\n<script>alert(1)</script>\n")
    (bundle / "scores.json").unlink()
    write_evaluation(bundle.parent / "evaluation" / "test", "<h1>a report</h1>")
    shutil.copy(songs["wav"], tmp_path / f"{name}.wav")
    (tmp_path / f"{name}.mp3").write_bytes(b"no music")
    with serving(tmp_path / "runs") as (address, _):
        page = open_app(chromium, address)
        requested, dialogs = [], []
        page.on("request", lambda request: requested.append(request.url))
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.get_by_role("button", name="Model:").click()
        page.get_by_role("combobox", name="Model", exact=True).click()
        page.get_by_role("option").filter(has_text="smile").first.click()
        settled(page)
        page.keyboard.press("Escape")
        give(page, tmp_path / f"{name}.wav", tmp_path / f"{name}.mp3")
        page.locator("tbody tr").nth(1).wait_for()
        settled(page)
        page.locator("tbody select").first.select_option("2")
        settled(page)
        assert shown_song(page) == f"{name}.wav"
        genre, shares = result(page)
        assert genre in config["classes"] and set(shares) == set(config["classes"])
        foreign(page)
        page.locator("tbody tr").nth(1).click()  # the file that cannot be read
        page.get_by_test_id("stAlert").wait_for()
        foreign(page)
        for title in ("Scores", "About"):
            page.get_by_role("link", name=title).click()
            settled(page)
            for more in page.locator("summary").all():
                more.click()
            settled(page)
            foreign(page, formatted=title == "About")  # a card's emphasis and code are shown
        page.close()
    assert not dialogs and {url.split("/")[2] for url in requested if url.startswith("http")} == {address.split("/")[2]}


def foreign(page: Page, formatted: bool = False) -> None:
    """Checks that no name became a link, picture, formula or emoji, nor emphasis unless `formatted`."""
    main = page.get_by_test_id("stMain")
    shown = [main.inner_text(), *(field.input_value() for field in main.locator("input[role=combobox]").all())]
    assert any("smile" in text for text in shown)
    made = "a[href*=invalid], img[src*=invalid], img[onerror], .katex, [style*='color: red']"
    made += "" if formatted else ", em, code:text-is('c')"
    assert main.locator(made).count() == 0 and not any("😄" in text for text in shown)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("count", [1, 4])
def test_the_answer_is_seen_without_scrolling(chromium, server, songs, width, height, count):
    page = open_app(chromium, server[0], width)
    page.set_viewport_size({"width": width, "height": height})
    give(page, *list(songs.values())[:count])
    page.locator(".answer .probability").wait_for()
    settled(page)
    box = page.locator(".answer").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= height
    page.close()


def test_a_recording_is_classified(page):
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_test_id("stAudioInput").get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(6_000)  # of which most is silence: a genre needs a second of sound
    page.get_by_role("button", name=re.compile("Stop recording")).click()
    page.get_by_role("heading", name="recording 1.wav").wait_for()
    # Chromium's stand-in for a microphone beeps, which need not be music of one of the genres.
    shares = page.get_by_role("list", name="probability of each genre").get_by_role("listitem")
    shares.last.wait_for()
    assert shares.count() == 10


def test_each_refused_file_has_its_reason_and_the_others_go_on(page, songs, tmp_path):
    """Each kind of wrong file is in tests/app; here are one that Streamlit refuses and two others."""
    expected = {"text.mp3": "audio", "silence.wav": "silence"}
    (tmp_path / "text.mp3").write_bytes(b"no music at all " * 100)
    soundfile.write(tmp_path / "silence.wav", np.zeros(6 * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    with (tmp_path / "large.wav").open("wb") as large:
        large.truncate(65 * 1024**2)
    give(page, tmp_path / "large.wav", *map(tmp_path.joinpath, expected), songs["wav"])
    page.locator("tbody tr").nth(len(expected)).wait_for()
    chip = page.get_by_test_id("stFileChip").filter(has_text="large.wav")
    assert "64" in chip.get_by_role("alert").inner_text() and chip.get_by_role("alert").bounding_box()["width"] > 100
    page.screenshot(path=SHOTS / "refused.png")
    for cells, (name, words) in zip(table(page), expected.items(), strict=False):
        assert cells[0].startswith(name) and words in cells[0], cells
    assert shown_song(page) == "silence.wav"  # the first readable one
    page.locator("tbody tr").first.click()
    page.get_by_test_id("stAlert").get_by_text("text.mp3").wait_for()


def test_two_pages_at_once_never_see_each_others_songs(chromium, server, tmp_path):
    paths = []
    for style in ("drone", "bossa"):
        paths.append(tmp_path / f"{style}.wav")
        soundfile.write(paths[-1], render(style, 0, 0, 9.0), SAMPLE_RATE_HZ)
    pages = [open_app(chromium, server[0]) for _ in paths]
    for page, path in zip(pages, paths, strict=True):
        give(page, path)
    seen = []
    for page, path in zip(pages, paths, strict=True):
        genre, _ = result(page)
        seen.append((page.get_by_role("heading", name=path.name, exact=True).inner_text(), genre))
        page.close()
    assert seen == [(path.name, row["genre"]) for path, row in zip(paths, predicted(*paths), strict=True)]


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_the_screen(chromium, server, songs, width):
    """The screenshots are for people; a test can only check that no page is wider than the screen."""
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
    page.wait_for_timeout(300)  # for animations
    main = "document.querySelector('[data-testid=stMain]')"
    width, height = page.viewport_size["width"], int(page.evaluate(f"{main}.scrollHeight"))
    assert page.evaluate(f"{main}.scrollWidth") <= width
    page.set_viewport_size({"width": width, "height": height + 60})
    page.wait_for_timeout(300)
    page.screenshot(path=SHOTS / f"{name}.png")
    page.set_viewport_size({"width": width, "height": 900})

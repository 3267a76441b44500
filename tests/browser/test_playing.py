"""The player in a real browser: seeking, parts, the keyboard, both themes and a phone."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from driving import give, open_app
from playwright.sync_api import Page

from genreclf.app.time_axis import clock
from genreclf.data.demo import render
from genreclf.frontend.audio import SAMPLE_RATE_HZ

SECONDS = 25.0
# The player's display, in numbers
STATE = """() => {
    const find = (selector) => [...document.querySelectorAll("[data-testid=stBidiComponentIsolated]")]
        .map((host) => host.shadowRoot.querySelector(selector)).find(Boolean);
    const audio = find("audio"), box = find(".timeline").getBoundingClientRect();
    const share = (selector) => {
        const shown = find(selector).getBoundingClientRect();
        return shown.width ? [(shown.left - box.left) / box.width, (shown.right - box.left) / box.width] : null;
    };
    return {
        time: audio.currentTime, paused: audio.paused, address: audio.src, error: audio.error?.code ?? null,
        duration: audio.duration, playhead: share(".playhead"), chosen: share(".chosen"),
        position: find(".position").textContent, spoken: find(".timeline").ariaValueText,
        attention: find(".attention path").getAttribute("d"), page: document.documentElement.scrollWidth,
        width: innerWidth,
    };
}"""
# For each text in the player: its contrast with the background, its size, and the size of each control
LEGIBILITY = """() => {
    const host = [...document.querySelectorAll("[data-testid=stBidiComponentIsolated]")]
        .find((host) => host.shadowRoot.querySelector(".timeline"));
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgb = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (colour) => rgb(colour).slice(0, 3).map((value) => value / 255)
        .map((value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement ?? at.getRootNode().host)
            if (rgb(getComputedStyle(at).backgroundColor)[3] === 255) return getComputedStyle(at).backgroundColor;
    };
    const isShown = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.matches(":disabled");
    const all = [...host.shadowRoot.querySelectorAll("*")].filter(isShown);
    const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const contrast = (element) => {
        const [one, other] = [luminance(getComputedStyle(element).color), luminance(behind(element))];
        return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    };
    return {
        texts: all.filter(hasText).map((element) => ({
            text: element.textContent,
            contrast: contrast(element),
            size: parseFloat(getComputedStyle(element).fontSize),
        })),
        controls: all.filter((element) => element.matches("button, input, [tabindex]"))
            .map((element) => Math.min(element.getBoundingClientRect().width, element.getBoundingClientRect().height)),
    };
}"""


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> dict[str, Path]:
    """One song as WAV, and as AU, which Chromium does not play."""
    folder, wave = tmp_path_factory.mktemp("songs"), render("waltz", 0, 0, SECONDS)
    for form in ("wav", "au"):
        soundfile.write(folder / f"song.{form}", wave, SAMPLE_RATE_HZ)
    return {path.suffix[1:]: path for path in folder.iterdir()}


REQUESTED, COMPLAINTS = list[str](), list[str]()  # addresses that the page requested, and errors in its console


@pytest.fixture(scope="module")
def shown(chromium, server, songs) -> Iterator[Page]:
    """The page with the song."""
    page = open_app(chromium, server[0])
    page.on("request", lambda request: REQUESTED.append(request.url))
    page.on("pageerror", lambda error: COMPLAINTS.append(str(error)))
    page.on("console", lambda message: COMPLAINTS.append(message.text) if message.type == "error" else None)
    give(page, songs["wav"])
    ready(page)
    yield page
    page.close()


def ready(page: Page) -> None:
    page.locator(".timeline").wait_for()
    page.wait_for_function(f"() => ({STATE})().duration > 0")


def state(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(STATE)
    return found


def click(page: Page, share: float) -> None:
    """Clicks the spectrogram at a share of its width."""
    box = page.locator(".timeline").bounding_box()
    assert box is not None
    page.locator(".timeline").click(position={"x": share * box["width"], "y": box["height"] / 3})


def test_a_click_seeks_and_marks_the_part(shown):
    before = state(shown)
    assert before["duration"] == pytest.approx(SECONDS, abs=0.1) and before["chosen"] is None
    click(shown, 0.6)
    after = state(shown)
    assert after["time"] == pytest.approx(0.6 * SECONDS, abs=0.1)
    assert np.mean(after["playhead"]) == pytest.approx(0.6, abs=0.01)
    assert after["chosen"][0] < 0.6 < after["chosen"][1] and after["attention"] != before["attention"]
    start, end = (clock(SECONDS * edge) for edge in after["chosen"])
    assert f"{start} to {end}" in after["spoken"] and after["position"].startswith(clock(0.6 * SECONDS))
    shown.get_by_role("button", name="Whole song").click()
    assert state(shown)["chosen"] is None


def test_the_playhead_moves_while_it_plays_and_a_part_stops_at_its_end(shown):
    click(shown, 0.2)
    shown.get_by_role("button", name="Play", exact=False).first.click()
    shown.wait_for_function(f"() => ({STATE})().time > {0.2 * SECONDS + 0.3}")
    moving = state(shown)
    assert not moving["paused"] and np.mean(moving["playhead"]) > 0.21
    shown.get_by_role("button", name="Play this part").click()
    end = state(shown)["chosen"][1] * SECONDS
    shown.locator("audio").evaluate("(audio, end) => { audio.currentTime = end - 0.4; }", end)
    shown.wait_for_function(f"() => ({STATE})().paused")
    assert state(shown)["time"] == pytest.approx(end, abs=0.1)


def test_the_keyboard_moves_between_parts_and_plays(shown):
    timeline = shown.get_by_role("slider", name=re.compile("^Spectrogram and genre over time"))
    timeline.focus()
    shown.keyboard.press("Home")
    first = state(shown)
    shown.keyboard.press("ArrowRight")
    second = state(shown)
    assert first["chosen"][0] < second["chosen"][0] and second["spoken"] != first["spoken"]
    assert second["time"] == pytest.approx(second["chosen"][0] * SECONDS, abs=0.1)
    shown.keyboard.press("Space")
    shown.wait_for_function(f"() => !({STATE})().paused")
    shown.keyboard.press("Space")
    shown.wait_for_function(f"() => ({STATE})().paused")
    shown.keyboard.press("Escape")
    assert state(shown)["chosen"] is None
    assert shown.evaluate("() => document.activeElement.shadowRoot?.activeElement?.className") == "timeline"


def test_the_page_requests_no_other_host_and_makes_no_error(shown, server):
    assert REQUESTED and [url for url in REQUESTED if not url.startswith((server[0], "blob:", "data:"))] == []
    assert [text for text in COMPLAINTS if "404" not in text] == []  # of Streamlit's search for its server


def test_a_format_that_the_browser_refuses_is_played_as_a_copy(chromium, server, songs):
    page = open_app(chromium, server[0])
    give(page, songs["au"])
    ready(page)
    assert state(page)["address"].endswith(".flac") and state(page)["duration"] == pytest.approx(SECONDS, abs=0.1)
    click(page, 0.5)
    assert state(page)["time"] == pytest.approx(SECONDS / 2, abs=0.1)
    page.get_by_text("Your browser cannot play this format").wait_for()
    page.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_it_is_legible_on_each_page(chromium, server, songs, scheme, width):
    page = open_app(chromium, server[0], width, scheme)
    give(page, songs["wav"])
    ready(page)
    page.wait_for_timeout(500)
    seen = page.evaluate(LEGIBILITY)
    assert len(seen["texts"]) > 15
    assert [text for text in seen["texts"] if text["contrast"] < 4.5 or text["size"] < 11] == []
    assert min(seen["controls"]) >= 24
    assert state(page)["page"] <= state(page)["width"]
    page.close()

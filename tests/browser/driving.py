"""The app's server, a browser, and a user's actions."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from genreclf.app import drawing
from genreclf.inference.run_folder import DEFAULT_MODEL

APP = Path(drawing.__file__).parent
PATIENCE_MS = 120_000


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[tuple[str, int]]:
    """The app's address and its process."""
    with serving(tmp_path_factory.mktemp("runs")) as found:
        yield found


@contextmanager
def serving(runs: Path) -> Iterator[tuple[str, int]]:
    """Runs the app with the runs of a folder; yields its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--server.port", str(port), "--server.headless", "true"]
    environment = {**os.environ, "GENRECLF_RUNS": str(runs)}
    process = subprocess.Popen([sys.executable, "-m", "genreclf.app", *words], env=environment)
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health")
            break
        except OSError:
            time.sleep(0.1)
    try:
        yield address, process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def browser() -> Iterator[Browser]:
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox", *fake])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as launched:
        yield launched


@pytest.fixture
def page(chromium, server) -> Iterator[Page]:
    opened = open_app(chromium, server[0])
    yield opened
    opened.close()


def open_app(chromium: Browser, address: str, width: int = 1280, scheme: Literal["light", "dark"] = "light") -> Page:
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.get_by_role("heading", name="What genre is this?").wait_for()
    page.locator("input[type=file]").first.wait_for(state="attached")
    return page


def give(page: Page, *files: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(files)


def result(page: Page) -> tuple[str, dict[str, str]]:
    """Returns the genre, and the percentages of all genres, as the page shows them."""
    page.get_by_text("Over time").first.wait_for()
    bars = page.get_by_role("list", name="probability of each genre").first.get_by_role("listitem")
    bars.last.wait_for()
    shares = dict(bar.get_attribute("aria-label").rsplit(": ", 1) for bar in bars.all())
    return page.locator(".answer .genre").first.inner_text(), shares


def write_evaluation(folder: Path, report: str) -> None:
    folder.mkdir(parents=True)
    clip = {"accuracy": 0.6, "top3_accuracy": 0.9, "calibration": {"ece": 0.04}}
    clip["intervals"] = {"accuracy": {"shown": [0.52, 0.68]}}
    (folder / "metrics.json").write_text(json.dumps({"tta": {"none": {"clip": clip}}}))
    (folder / "report.html").write_text(report)


def settled(page: Page) -> None:
    """Waits until the page has finished its work."""
    page.wait_for_timeout(300)  # until the server knows
    page.locator("[data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(200)


def predicted(*paths: Path, name: str = DEFAULT_MODEL) -> list[dict]:
    words = [sys.executable, "-m", "genreclf.predict", *paths, "--json", "--model", name]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)

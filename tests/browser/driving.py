"""The app's server, a browser, and what a user does with it."""

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

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from genreclf.inference.run_folder import PRETRAINED
from genreclf.predict import DEFAULT

APP = Path(__file__).resolve().parents[2] / "genreclf" / "app" / "main.py"
PATIENCE_MS = 120_000


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[tuple[str, int]]:
    """The app's address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--server.port", str(port), "--server.headless", "true", "--browser.gatherUsageStats", "false"]
    environment = {**os.environ, "GENRECLF_RUNS": str(tmp_path_factory.mktemp("runs"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(APP), *words], env=environment, cwd=APP.parents[2]
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health")
            break
        except OSError:
            time.sleep(0.1)
    yield address, process.pid
    process.terminate()
    process.wait()


@contextmanager
def browser() -> Iterator[Browser]:
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        own = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox", *fake])
        yield own
        own.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as own:
        yield own


@pytest.fixture
def page(chromium, server) -> Iterator[Page]:
    own = opened(chromium, server[0])
    yield own
    own.close()


def opened(chromium: Browser, address: str, width: int = 1280) -> Page:
    page = chromium.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.get_by_role("heading", name="What genre is this?").wait_for()
    page.locator("input[type=file]").first.wait_for(state="attached")
    return page


def give(page: Page, *files: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(files)


def answer(page: Page) -> tuple[str, dict[str, str]]:
    """The genre, and the percentages of all, as they stand on the page."""
    page.get_by_text("Over time").first.wait_for()
    bars = page.get_by_role("list", name="probability of each genre").first.get_by_role("listitem")
    bars.last.wait_for()
    shares = dict(bar.get_attribute("aria-label").rsplit(": ", 1) for bar in bars.all())
    return page.get_by_test_id("stMetricValue").first.inner_text(), shares


def predicted(*paths: Path, name: str = DEFAULT) -> list[dict]:
    words = [sys.executable, "-m", "genreclf.predict", *paths, "--json", "--run", PRETRAINED / name]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)

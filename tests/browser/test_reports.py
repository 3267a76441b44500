"""The pages of scores and of the models in a real browser, with hostile names and files."""

import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from driving import PATIENCE_MS, serving, write_evaluation
from playwright.sync_api import Browser, Page

from genreclf.inference.run_folder import PRETRAINED
from genreclf.page import render
from genreclf.text import one_line

NAME = "<b>x<i> *[a](http:x)* $x$ :smile: \u202e" + "L" * 150
ATTACKS = """
<meta http-equiv="refresh" content="0;url=OUTSIDE/refresh"><link rel="preconnect" href="OUTSIDE">
<link rel="stylesheet" href="OUTSIDE/css"><script>fetch("OUTSIDE/script")</script><img src="OUTSIDE/img">
<style>body { background: url(OUTSIDE/background) }</style><svg><image href="OUTSIDE/svg"/></svg>
<iframe src="OUTSIDE/frame"></iframe><a href="OUTSIDE/link">a link</a><p style="height: 3000px">tall</p>
"""


class Elsewhere(ThreadingHTTPServer):
    """Another host, which records each connection."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BaseHTTPRequestHandler)
        self.connections = 0

    def verify_request(self, request, client_address) -> bool:
        self.connections += 1
        return False


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as host:
        Thread(target=host.serve_forever).start()
        yield host
        host.shutdown()


@pytest.fixture(scope="module")
def address(elsewhere, tmp_path_factory) -> Iterator[str]:
    """An app with a run, its card and its report from elsewhere."""
    outside = f"http://127.0.0.1:{elsewhere.server_port}"
    runs = tmp_path_factory.mktemp("home") / "runs"
    shutil.copytree(PRETRAINED / "a", runs / NAME / "bundle")
    card = f"# A card <b>x</b>\n\n![i]({outside}/i) [a]({outside}) <{outside}>\n\n    {'code ' * 80}\n"
    (runs / NAME / "bundle" / "README.md").write_text(card)
    report = f"<body><h1>Ours</h1>{ATTACKS.replace('OUTSIDE', outside)}"
    page = render("page.html.jinja").replace("<body>", report)
    write_evaluation(runs / NAME / "evaluation" / "test", page)
    with serving(runs) as (found, _):
        yield found


@pytest.fixture(params=[("light", 1280), ("dark", 390)])
def page(chromium: Browser, address: str, elsewhere: Elsewhere, request) -> Iterator[Page]:
    scheme, width = request.param
    opened = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    opened.close()
    assert elsewhere.connections == 0


def fits(page: Page) -> bool:
    main = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    return bool(max(main, page.evaluate("document.documentElement.scrollWidth")) <= page.evaluate("innerWidth"))


def test_a_report_is_part_of_the_page_and_makes_no_requests(page, address):
    page.goto(f"{address}/scores")
    frame = page.locator("iframe[title=Report]")
    report = page.frame_locator("iframe[title=Report]")
    report.get_by_role("heading", name="Ours").wait_for()
    report.get_by_text("a link").click()
    page.wait_for_timeout(500)
    assert report.get_by_role("heading", name="Ours").is_visible()
    height = frame.evaluate("frame => frame.contentDocument.documentElement.scrollHeight")
    assert 3_000 < height <= frame.bounding_box()["height"] + 1  # no scrolling within the frame
    seen = frame.evaluate("frame => frame.contentWindow.matchMedia('(prefers-color-scheme: dark)').matches")
    assert seen == page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert fits(page)


def test_a_card_is_text(page, address):
    page.goto(f"{address}/about")
    line = page.locator("summary", has_text="LLLLL")
    line.wait_for()
    assert line.inner_text().replace("\u2060", "").count(one_line(NAME)) == 1
    line.click()
    page.get_by_role("heading", name="A card <b>x</b>", level=3).wait_for()
    page.wait_for_timeout(500)
    assert fits(page)

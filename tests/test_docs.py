"""The documentation's links, and its sections that the code refers to."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [path for folder in ("", "scripts", ".github", ".github/guide") for path in (ROOT / folder).glob("*.md")]
PAGES += (ROOT / "genreclf" / "pretrained").glob("*/README.md")


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Returns the anchors that GitHub makes from headings, which are unique within each page."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    assert len(anchors(page)) == len(headings(page))
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() and (not anchor or anchor in anchors(target)), link


def test_sections_that_the_code_names_exist():
    sources = (ROOT / "genreclf").rglob("*.py")
    text = "\n".join(re.sub(r"\s+(?:# )?", " ", path.read_text(encoding="utf-8")) for path in sources)
    named = re.findall(r'\(see "([^"\\]+)" in (scripts/\w+\.md)\)', text)
    assert len(named) > 2
    for heading, page in named:
        assert heading in headings(ROOT / page), heading

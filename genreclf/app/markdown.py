"""Markdown from files, which may come from elsewhere, as HTML that requests nothing."""

from markdown_it import MarkdownIt

from genreclf.text import one_line

_OFF = ("link", "image", "autolink", "reference", "html_inline", "html_block")


def markdown_html(text: str) -> str:
    """Headings, lists, tables, emphasis and code; links, pictures and HTML stay as they are written."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(_OFF)
    return f"<div>{reader.render(chr(10).join(map(one_line, text.splitlines())))}</div>"

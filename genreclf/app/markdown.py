"""Converts Markdown files, which may come from elsewhere, to HTML that sends no requests and fits any screen."""

from markdown_it import MarkdownIt
from markdown_it.token import Token

from genreclf.text import one_line

_OFF = ("link", "image", "autolink", "reference", "html_inline", "html_block")
_CELL = (
    "text-align:left;vertical-align:top;padding:.3rem .75rem .3rem 0;overflow-wrap:break-word;"
    "border-bottom:1px solid light-dark(#d9dee2,#3a4048)"
)
_CODE = "white-space:pre-wrap;overflow-wrap:anywhere"
_STYLES = {
    "table_open": "display:block;overflow-x:auto;border-collapse:collapse;margin:.5rem 0",
    "th_open": _CELL,
    "td_open": _CELL,
    "fence": _CODE,
    "code_block": _CODE,
}
_DEEPEST = 6  # the lowest heading level


def markdown_html(text: str, top: int = 1) -> str:
    """Returns HTML with headings, lists, tables, emphasis and code; links, pictures and HTML stay plain text.

    `top` is the level, 1 to 6, that the highest headings get in the page.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(_OFF)
    tokens = reader.parse("\n".join(map(one_line, text.splitlines())))
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    deeper = top - min((_level(token) for token in headings), default=top)
    for token in headings:
        token.tag = f"h{min(_DEEPEST, _level(token) + deeper)}"
    for token in tokens:
        if token.type in _STYLES:
            token.attrSet("style", _STYLES[token.type])
    shown = reader.renderer.render(tokens, reader.options, {})
    return f'<div style="overflow-wrap:anywhere">{shown}</div>'


def _level(heading: Token) -> int:
    return int(heading.tag[1:])

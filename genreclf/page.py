"""Renders templates: self-contained HTML pages (styles and pictures inline, no scripts) and Markdown."""

import base64
import html
from pathlib import Path
from typing import Any

import jinja2

from genreclf.text import markdown_text, one_line

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
# Put before a page that may come from elsewhere, it keeps the page from running scripts and loading from any host.
SEAL = f'<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'


def render(template: str, **values: Any) -> str:
    """Renders the template at a path in this package. Each text in `values` is put on one line, and escaped in HTML."""
    is_html = template.endswith(".html.jinja")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=is_html,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not is_html,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    environment.globals["policy"] = _POLICY
    environment.filters.update(
        name=one_line,
        markdown=markdown_text,
        data_uri=data_uri,
        number=lambda value: f"{round(value, 1):g}",  # a number of clips; a mean has one decimal
        seconds=lambda value: f"{round(value, 2):g}".replace("-", "\N{MINUS SIGN}"),
        percent=lambda share: f"{100 * share:.1f}\N{NO-BREAK SPACE}%",  # no line break before the sign
    )
    return environment.get_template(template).render(values)


def _shown(value: Any) -> Any:
    """Puts text from outside on one line. A macro's result is Markup in HTML and has passed through here already."""
    return one_line(value) if type(value) is str else value


def escaped(text: str) -> str:
    """Returns a name from outside as HTML."""
    return html.escape(one_line(text))


def data_uri(png: bytes) -> str:
    """Returns a PNG picture as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"

"""Text from templates: self-contained HTML pages (styles and pictures inside, no script), and Markdown."""

import base64
from pathlib import Path
from typing import Any

import jinja2

from genreclf.text import one_line


def render(template: str, **values: Any) -> str:
    """A template, given by its path in this package, with `values`, which are escaped in HTML.

    File names need not be UTF-8, but pages are: other bytes become escapes.
    """
    is_html = template.endswith(".html.jinja")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=is_html,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not is_html,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        name=one_line,
        data_uri=data_uri,
        number=lambda value: f"{round(value, 1):g}",  # of clips; a mean has one decimal
        seconds=lambda value: f"{round(value, 2):g}".replace("-", "\N{MINUS SIGN}"),
        percent=lambda share: f"{100 * share:.1f}\N{NO-BREAK SPACE}%",  # no line break before the sign
    )
    return environment.get_template(template).render(values).encode(errors="backslashreplace").decode()


def data_uri(png: bytes) -> str:
    """A picture as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"

"""Pages of HTML that need nothing beside them (styles inside, pictures as data, no script), and other text."""

import base64
from pathlib import Path
from typing import Any

import jinja2

from genreclf.errors import one_line


def render(template: str, **values: Any) -> str:
    """The page of a template, named by its path below this package; whatever text `values` hold, it stays text."""
    return _encodable(_environment(escaped=True).get_template(template).render(values))


def render_text(template: str, **values: Any) -> str:
    """The same for a file that is no HTML: nothing is escaped."""
    return _encodable(_environment(escaped=False).get_template(template).render(values))


def _encodable(text: str) -> str:
    """Names of files need not be UTF-8, which the file of the page is: what it cannot hold becomes escapes."""
    return text.encode(errors="backslashreplace").decode()


def _environment(escaped: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not escaped,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(name=one_line, data_uri=data_uri, seconds=_seconds, number=_number, percent=_percent)
    return environment


def data_uri(png: bytes) -> str:
    """A picture as the address of itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _number(value: float) -> str:
    """Of clips, where it may be a mean."""
    return f"{round(value, 1):g}"


def _seconds(value: float) -> str:
    """With a real minus sign."""
    return f"{round(value, 2):g}".replace("-", "\N{MINUS SIGN}")


def _percent(share: float) -> str:
    """Of a share in [0, 1]; number and sign stay on one line."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"

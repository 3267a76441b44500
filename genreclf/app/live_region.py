"""Makes a screen reader announce a new result."""

from collections.abc import Callable
from functools import cache
from typing import Any

import streamlit as st

_HTML = '<div role="status" aria-live="polite"></div>'
# Invisible, but still part of the page: screen readers ignore elements with `display: none`.
_CSS = (
    "div { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }"
)
_JS = """
export default function ({ data, parentElement }) {
  const region = parentElement.querySelector("[role=status]");
  if (region.textContent !== data) region.textContent = data;
}
"""


def announce(text: str) -> None:
    """Announces `text`, unless it was the last announcement."""
    _component()(key="announcement", data=text, height=1)


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component("genreclf.live_region", html=_HTML, css=_CSS, js=_JS)

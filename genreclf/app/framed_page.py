"""Shows an HTML page from a file inside the app's page, as high as its content and without its own scroll bar."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from genreclf.page import SEAL


def framed_page(page: str, title: str, key: str) -> None:
    """Shows a page, which may come from elsewhere: it cannot run scripts or send requests. `title` is read aloud."""
    digest = hashlib.sha256(page.encode()).hexdigest()
    _component()(key=key, data={"page": page, "head": SEAL, "title": title, "digest": digest})


@cache
def _component() -> Callable[..., Any]:
    script = Path(__file__).with_suffix(".js").read_text("utf-8")
    return st.components.v2.component("genreclf.framed_page", js=script)

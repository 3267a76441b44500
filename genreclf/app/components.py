"""The app's own Streamlit components. Each consists of the files NAME.html, NAME.css and NAME.js beside this module."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st


@cache
def component(name: str) -> Callable[..., Any]:
    """Returns a component, which takes its data as JSON."""
    files = [Path(__file__).with_name(f"{name}.{kind}") for kind in ("html", "css", "js")]
    html, css, js = (file.read_text("utf-8") if file.exists() else None for file in files)
    return st.components.v2.component(f"genreclf.{name}", html=html, css=css, js=js)


def announce(text: str) -> None:
    """Makes a screen reader announce `text`, unless it was the last announcement."""
    component("live_region")(key="announcement", data=text, height=1)

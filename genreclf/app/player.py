"""The player component: sound, spectrogram, genres and attention on one time axis. See player.js."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from streamlit import runtime

from genreclf.app.playable import as_flac
from genreclf.app.timeline import spectrogram_png, timeline
from genreclf.errors import GenreclfError
from genreclf.inference.analysis import Analysis

# MIME types by the first bytes of a file. A browser detects the rest itself.
_SOUND_TYPES = (
    (b"RIFF", "audio/wav"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "audio/webm"),
)
_MP4_PLACE, _MP4 = slice(4, 8), b"ftyp"
_DECODED = "decoded sound"  # the session's state has this for the last song that the browser could not play


def player(
    analyses: Sequence[Analysis],
    names: Sequence[str],
    classes: Sequence[Sequence[str]],
    content: bytes | None,
    key: str,
) -> None:
    """Shows a song with the predictions of all models. `content` is its file, or None for a picture.

    `key` must differ, across all sessions, for different sounds or settings. Choosing and playing parts happens in the
    browser and does not rerun the page.
    """
    state = st.session_state.get(key) or {}
    data = timeline(analyses, names, classes)
    data["picture"] = _address(_picture(key, analyses[0].clip.levels), "image/png", f"{key} picture")
    data["audio"], data["reason"] = _sound(key, content, state.get("refused") or ())
    _component()(key=key, data=data, on_refused_change=_nothing)


@st.cache_data(max_entries=12, show_spinner=False)
def _picture(key: str, _levels: np.ndarray) -> bytes:
    return spectrogram_png(_levels)


@cache
def _component() -> Callable[..., Any]:
    html, css, js = (Path(__file__).with_name(f"player.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component("genreclf.player", html=html, css=css, js=js)


def _nothing() -> None:
    """Does nothing: Streamlit keeps only those values of a component that have a callback."""


def _sound(key: str, content: bytes | None, refused: Sequence[str]) -> tuple[str | None, str]:
    """Returns the address of a sound that the browser has not refused, or None, and a message for the user."""
    if content is None:
        return None, ""
    address = _address(content, _sound_type(content), f"{key} sound")
    if address not in refused:
        return address, ""
    try:
        address = _address(_decoded(key, content), "audio/flac", f"{key} decoded")
    except GenreclfError:
        return None, "This file cannot be played here."
    if address in refused:
        return None, "This browser cannot play the sound."
    return address, "Your browser cannot play this format. You hear a copy: one channel, up to 11 kHz."


def _sound_type(content: bytes) -> str:
    if content[_MP4_PLACE] == _MP4:
        return "audio/mp4"
    return next((kind for start, kind in _SOUND_TYPES if content.startswith(start)), "application/octet-stream")


def _decoded(key: str, content: bytes) -> bytes:
    """Returns the sound as FLAC. It is kept as long as the session plays this song."""
    kept = st.session_state.get(_DECODED)
    if kept is None or kept[0] != key:
        with st.spinner("Preparing the sound …"):
            kept = st.session_state[_DECODED] = key, as_flac(content)
    flac: bytes = kept[1]
    return flac


def _address(content: bytes, kind: str, place: str) -> str:
    """Returns the address at which the app's server offers a file, as long as the page shows it at this place."""
    base = st.get_option("server.baseUrlPath").strip("/")
    path = runtime.get_instance().media_file_mgr.add(content, kind, place)
    return f"/{base}{path}" if base else path

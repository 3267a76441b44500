"""The player component: sound, spectrogram, genres and attention on one time axis. See player.js."""

import io
from collections.abc import Sequence

import numpy as np
import soundfile
import streamlit as st
from streamlit import runtime

from genreclf.app.components import component
from genreclf.app.timeline import spectrogram_png, timeline
from genreclf.errors import GenreclfError
from genreclf.frontend.audio import SAMPLE_RATE_HZ, stream_audio
from genreclf.frontend.clip import upload_path
from genreclf.frontend.limits import MAX_SECONDS
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
    # Streamlit keeps only those values of a component that have a callback.
    component("player")(key=key, data=data, on_refused_change=lambda: None)


@st.cache_data(max_entries=12, show_spinner=False)
def _picture(key: str, _levels: np.ndarray) -> bytes:
    return spectrogram_png(_levels)


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
    kept: tuple[str, bytes] = st.session_state.get(_DECODED, ("", b""))
    if kept[0] != key:
        with st.spinner("Preparing the sound …"):
            kept = st.session_state[_DECODED] = key, as_flac(content)
    return kept[1]


def as_flac(content: bytes) -> bytes:
    """Returns a file's audio as FLAC: mono, 22,050 Hz, 16 bits. Raises GenreclfError if it cannot be read as audio."""
    with upload_path(content) as path:
        sink, _ = stream_audio(path, _Flac, MAX_SECONDS)
    return sink.finished()


class _Flac:
    """A `Sink` that keeps the waveform compressed: an hour takes about 60 MB."""

    def __init__(self) -> None:
        self._content = io.BytesIO()
        self._file = soundfile.SoundFile(self._content, "w", SAMPLE_RATE_HZ, 1, "PCM_16", format="FLAC")

    def add(self, samples: np.ndarray) -> None:
        """See `Sink`."""
        self._file.write(samples)

    def finished(self) -> bytes:
        """Returns the content of the finished file."""
        self._file.close()
        return self._content.getvalue()


def _address(content: bytes, kind: str, place: str) -> str:
    """Returns the address at which the app's server offers a file, as long as the page shows it at this place."""
    base = st.get_option("server.baseUrlPath").strip("/")
    path = runtime.get_instance().media_file_mgr.add(content, kind, place)
    return f"/{base}{path}" if base else path

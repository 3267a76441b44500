"""The sources of songs: uploads, recordings and demos."""

import io
from collections.abc import Sequence

import soundfile
import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from genreclf.app import words
from genreclf.app.state import MAX_BYTES, MAX_SECONDS
from genreclf.app.visits import Song, Visit
from genreclf.data.demo import STYLES, render
from genreclf.frontend.audio import SAMPLE_RATE_HZ

_DEMO_SECONDS = 15.0
_UPLOADS, _RECORDING, _DEMO = "uploads", "recording", "demo"  # the keys of their widgets
_TAKEN = "taken"  # in the session's state
_FOLDED_PIXELS = 240  # so that it fits on one line with a button on a phone
_WHOLE_PIXELS = 10_000  # Streamlit limits it to the page's width; "stretch" would share the line with the buttons


def take(visit: Visit) -> None:
    """Adds new uploads and recordings. Call it before `uploads`, whose field is small as soon as there are songs."""
    songs = [Song(upload.name, _content(upload)) for upload in _new(st.session_state.get(_UPLOADS) or [])]
    songs += [Song(_recording_name(visit), _content(upload)) for upload in _new([st.session_state.get(_RECORDING)])]
    if songs:
        visit.add(songs)


def uploads(visit: Visit) -> None:
    """Shows the field for files. It accepts any type: the reader reports which files it cannot read, and why."""
    limits = f"up to {MAX_BYTES // 1024**2} MB and {MAX_SECONDS // 60} minutes each"
    st.file_uploader(
        f"Drop in songs ({limits}), or pictures of spectrograms",
        accept_multiple_files=True,
        key=_UPLOADS,
        max_upload_size=MAX_BYTES // 1024**2,
        label_visibility="collapsed" if visit.songs else "visible",
        width=_FOLDED_PIXELS if visit.songs else _WHOLE_PIXELS,
    )


def refusals(visit: Visit) -> None:
    """Shows why files of the last upload were not accepted."""
    for refusal in visit.refusals:
        st.error(words.plain(refusal))


def others(visit: Visit) -> None:
    """Shows the buttons for recordings and demos."""
    with st.popover("Record"):
        st.audio_input("Record what plays", sample_rate=None, key=_RECORDING)
    with st.popover("Demo"):
        st.caption("Synthetic sounds, made by this program: they show how the page works, not how good the model is.")
        st.pills(
            "Synthetic demo",
            STYLES,
            format_func=lambda style: style.replace("_", " "),
            key=_DEMO,
            on_change=_take_demo,
            args=(visit,),
            label_visibility="collapsed",
        )


def _new(uploads: Sequence[object]) -> list[UploadedFile]:
    """Returns the files that were not taken before. Streamlit still lists the names of those that were."""
    taken: set[str] = st.session_state.setdefault(_TAKEN, set())
    files = [upload for upload in uploads if isinstance(upload, UploadedFile)]
    new = [upload for upload in files if upload.file_id not in taken]
    taken.update(upload.file_id for upload in new)
    return new


def _content(upload: UploadedFile) -> bytes:
    """Returns the bytes of an upload and removes them from Streamlit, so that only the visit keeps them."""
    content, context = upload.getvalue(), get_script_run_ctx()
    # Streamlit does the same for the files of a chat.
    if context and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, upload.file_id)
    return content


def _take_demo(visit: Visit) -> None:
    if style := st.session_state[_DEMO]:
        visit.add([Song(f"{style} (synthetic demo).wav", _demo(style), synthetic=True)])
        st.session_state[_DEMO] = None  # so that it can be chosen again


@st.cache_data(max_entries=len(STYLES), show_spinner=False)
def _demo(style: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, render(style, 0, 0, _DEMO_SECONDS), SAMPLE_RATE_HZ, format="WAV")
    return file.getvalue()


def _recording_name(visit: Visit) -> str:
    """Returns a name for a recording that no song of the visit has."""
    taken, number = {song.name for song in visit.songs.values()}, 1
    while (name := f"recording {number}.wav") in taken:
        number += 1
    return name

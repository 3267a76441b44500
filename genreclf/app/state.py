"""State that all pages and sessions share: the folder of runs, visits, loaded models, and results."""

import os
import threading
import time
from functools import cache
from pathlib import Path

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from genreclf.app.visits import Visit, Visits
from genreclf.files import user_path
from genreclf.frontend.clip import read_upload
from genreclf.inference.analysis import Analysis, analyze
from genreclf.inference.predictor import Predictor, load_predictor

MAX_BYTES = 64 * 1024**2
MAX_SECONDS = 3_600
_ADDRESS_KEY = "songs"  # in the page's address
_VISIT = "visit"  # in the session's state
_SWEEP_SECONDS = 60.0


def runs_folder() -> Path:
    """Returns the folder with the user's runs and comparisons."""
    return user_path(os.environ.get("GENRECLF_RUNS") or "runs")


def current_visit() -> Visit:
    """Returns the visit named in the page's address, or otherwise this session's visit."""
    visits, asked = _visits(), st.query_params.get(_ADDRESS_KEY)
    key = asked if asked and visits.has(asked) else st.session_state.get(_VISIT)
    context = get_script_run_ctx()
    visit = visits.open(key, context.session_id if context else "")
    st.session_state[_VISIT] = visit.key
    return visit


def keep_address(visit: Visit) -> None:
    """Puts the visit into the page's address once there is anything to keep, so that a reload and Back find it."""
    if visit.used and st.query_params.get(_ADDRESS_KEY) != visit.key:
        st.query_params[_ADDRESS_KEY] = visit.key


def songs_are_gone(visit: Visit) -> bool:
    """Returns whether the page's address refers to songs that are no longer kept."""
    return st.query_params.get(_ADDRESS_KEY, visit.key) != visit.key


@cache
def _visits() -> Visits:
    visits = Visits(lambda session: runtime.exists() and runtime.get_instance().is_active_session(session))
    threading.Thread(target=_sweep, args=(visits,), daemon=True).start()
    return visits


def _sweep(visits: Visits) -> None:
    """Removes expired songs, even if nobody opens a page."""
    while True:
        time.sleep(_SWEEP_SECONDS)
        visits.sweep()


@st.cache_resource(max_entries=4, show_spinner="Loading the model …")
def load_model(folder: bytes, tta: str, changed: float) -> Predictor:
    """Loads a model, shared by all sessions. `changed` is its modification time, so that a new version is reloaded.

    The folder's name is bytes, because it need not be UTF-8, which Streamlit expects of text.
    """
    return load_predictor(Path(os.fsdecode(folder)).absolute(), tta)


@st.cache_data(max_entries=12, show_spinner=False)
def analyzed(
    model: str, digest: str, picture_seconds: float, _predictor: Predictor, _content: bytes, _label: str
) -> Analysis:
    """Analyzes an upload while a progress bar shows `_label`; computed once per `model` and `digest` of the content.

    Raises GenreclfError if the upload cannot be read.
    """
    bar = st.progress(0.0, _label)

    def report(share: float) -> None:
        bar.progress(share, _label)

    try:
        return analyze(_predictor, read_upload(_content, picture_seconds, MAX_SECONDS), report)
    finally:
        bar.empty()

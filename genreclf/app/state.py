"""What all pages and sessions share: the folder of runs, loaded models, and results."""

import os
from pathlib import Path

import streamlit as st

from genreclf.files import user_path
from genreclf.frontend.clip import read_upload
from genreclf.inference.analysis import Analysis, analyze
from genreclf.inference.predictor import Predictor, load_predictor

MAX_BYTES = 64 * 1024**2
MAX_SECONDS = 3_600


def runs_folder() -> Path:
    """The folder with the user's runs and comparisons."""
    return user_path(os.environ.get("GENRECLF_RUNS", "runs"))


@st.cache_resource(max_entries=4, show_spinner="Loading the model …")
def load_model(folder: bytes, tta: str, changed: float) -> Predictor:
    """A model, shared by all sessions. `changed` is its modification time, so that a new version is loaded again.

    The folder's name, as the system has it, need not be UTF-8, which Streamlit expects of text.
    """
    return load_predictor(Path(os.fsdecode(folder)).absolute(), tta)


@st.cache_data(max_entries=12, show_spinner=False)
def analyzed(
    model: str, digest: str, picture_seconds: float, _predictor: Predictor, _content: bytes, _label: str
) -> Analysis:
    """Analyzes an upload while a progress bar shows `_label`; computed once per `model` and `digest` of the content.

    Raises GenreclfError for an upload that cannot be read.
    """
    bar = st.progress(0.0, _label)

    def report(share: float) -> None:
        bar.progress(share, _label)

    try:
        return analyze(_predictor, read_upload(_content, picture_seconds, MAX_SECONDS), report)
    finally:
        bar.empty()

"""What all pages and sessions share: where runs lie, loaded models, and what was heard."""

import os
from pathlib import Path

import streamlit as st

from genreclf.inference.analysis import Analysis, hear, read
from genreclf.inference.predictor import Model

MAX_BYTES = 64 * 1024**2
MAX_SECONDS = 3_600
_MODELS, _SONGS = 4, 12  # kept


def runs_folder() -> Path:
    """Where own runs and comparisons are looked for."""
    return Path(os.environ.get("GENRECLF_RUNS", "runs"))


@st.cache_resource(max_entries=_MODELS, show_spinner="Loading the model …")
def model_of(folder: str, tta: str, changed: float) -> Model:
    """A model, shared by all sessions; `changed` is when its file was written, so that a new one is loaded anew."""
    from genreclf.nets.bundle import load_bundle  # torch, which the first page need not wait for
    from genreclf.nets.torch_model import TorchModel

    return TorchModel(load_bundle(Path(folder)), tta, "auto")


@st.cache_data(max_entries=_SONGS, show_spinner=False)
def heard(model: str, digest: str, picture_seconds: float, _model: Model, _content: bytes, _what: str) -> Analysis:
    """What a model makes of an upload, under a bar that says `_what`: computed once for `model` and the `digest` of the
    content. Raises GenreclfError for what is no sound or picture.
    """
    bar = st.progress(0.0, _what)
    try:
        clip = read(_model, _content, picture_seconds, MAX_SECONDS)
        return hear(_model, clip, lambda share: bar.progress(share, _what))
    finally:
        bar.empty()

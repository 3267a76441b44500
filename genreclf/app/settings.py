"""The settings: one model or two to compare, averaging over pitches, and the length of the music in a picture."""

import os
from dataclasses import dataclass

import streamlit as st

from genreclf.app import words
from genreclf.app.state import MAX_SECONDS, load_model
from genreclf.app.visits import Visit
from genreclf.inference.catalog import ModelEntry
from genreclf.inference.predictor import Predictor
from genreclf.inference.run_folder import DEFAULT_MODEL, MODEL_CONFIG

_NONE = "none"
_LEAST_SECONDS = 0.1  # least length of the music in a picture


@dataclass(frozen=True)
class Settings:
    """The user's choices."""

    entries: tuple[ModelEntry, ...]  # one or two
    averaged: bool  # over three pitches
    picture_seconds: float


def settings(visit: Visit, models: list[ModelEntry]) -> Settings:
    """Shows the settings behind one button. They belong to the visit, so that a reload keeps them.

    A kept value becomes the default of its field and is not set through the session's state: a browser draws a field
    behind a button only when the button is first opened, and by then would not have the value.
    """
    kept, by_label = visit.settings, {entry.label: entry for entry in models}
    labels = list(by_label)
    default = next((label for label in labels if label.startswith(f"{DEFAULT_MODEL} ")), labels[0])
    chosen, other = (st.session_state.get(key, kept.get(key)) for key in ("model", "second"))
    named = [chosen if chosen in by_label else default, *([other] if other in by_label else [])]
    with st.popover(f"Model: {words.plain(' and '.join(named))}"):
        first = by_label[_choice(visit, "model", "Model", labels, default)]
        st.caption(_summary(first))
        others = [_NONE, *(label for label in labels if label != first.label)]
        second = by_label.get(_choice(visit, "second", "Compare with", others, _NONE))
        if second:
            st.caption(_summary(second))
        averaged = st.toggle(
            "Average over three pitches",
            kept.get("averaged", False),
            key="averaged",
            help="The music as it is, a little lower and a little higher (test-time augmentation): three times slower.",
        )
        _keep(visit, "averaged", averaged, False)
        seconds = _picture_seconds(visit, first)
    return Settings((first, second) if second else (first,), averaged, seconds)


def load(entry: ModelEntry, averaged: bool) -> Predictor:
    """Loads a model. Raises GenreclfError if it cannot be loaded."""
    config = entry.folder / MODEL_CONFIG
    changed = config.stat().st_mtime if config.exists() else 0.0
    return load_model(os.fsencode(entry.folder), "pitch_shift" if averaged else "none", changed)


def _choice(visit: Visit, key: str, label: str, options: list[str], default: str) -> str:
    """Shows a choice and keeps it. A run that no longer exists is replaced by the default."""
    kept = visit.settings.get(key, default)
    if st.session_state.get(key, kept) not in options:
        st.session_state.pop(key, None)
    chosen = st.selectbox(label, options, options.index(kept if kept in options else default), key=key)
    _keep(visit, key, chosen, default)
    return chosen


def _picture_seconds(visit: Visit, model: ModelEntry) -> float:
    """Shows the field for the length of the music in a picture; a model may be trained on pictures of any length."""
    shown, key = model.picture_seconds, f"seconds {model.label}"
    least, most = min(_LEAST_SECONDS, shown), max(float(MAX_SECONDS), shown)
    kept = min(max(visit.settings.get(key, shown), least), most)
    seconds = st.number_input("Seconds of music that a picture shows", least, most, kept, step=1.0, key=key)
    _keep(visit, key, seconds, shown)
    return float(seconds)


def _keep(visit: Visit, key: str, value: object, default: object) -> None:
    """Keeps a value that differs from the default."""
    if value == default:
        visit.settings.pop(key, None)
    else:
        visit.settings[key] = value


def _summary(entry: ModelEntry) -> str:
    if entry.scores is None:
        return "Not evaluated yet."
    scores = entry.scores
    return f"{scores.name.capitalize()} {scores} on held-out clips; {scores.parameters:,} parameters."

"""Training on the corrections: the requirements, the command, and the progress."""

from collections import Counter

import streamlit as st

from genreclf.app import words
from genreclf.app.results import Classifier, Model
from genreclf.app.state import runs_folder
from genreclf.app.time_axis import clock
from genreclf.app.trainings import TABLE, TRAININGS, Training, missing, new_folder, obstacle, train_arguments
from genreclf.app.visits import Visit
from genreclf.errors import GenreclfError
from genreclf.inference.run_folder import PRETRAINED
from genreclf.text import shell_command

_EVERY_SECONDS = 2.0
_ENOUGH = 5  # songs per genre; training with fewer was not measured


def panel(visit: Visit, loaded: Classifier) -> None:
    """Shows how to train on the corrections of a visit."""
    st.subheader("A model that learns from them", anchor=False)
    model, last = loaded.models[0], TRAININGS.last
    if last:
        _progress(last)
    _start(visit, model, last)


def _start(visit: Visit, model: Model, last: Training | None) -> None:
    genres = list(visit.corrections.values())
    runs = runs_folder()
    running = "Only one training run at a time: wait until the current one ends." if last and last.runs else ""
    reason = missing(genres) or obstacle(runs) or running
    st.caption(words.plain(_explanation(genres, model, str(runs))))
    if st.button("Train", disabled=bool(reason), key="train"):
        try:
            TRAININGS.start(model.predictor.info.name, _init(model), new_folder(runs), visit.corrected)
        except GenreclfError as error:
            st.error(words.plain(str(error)))
        else:
            st.rerun()
    if reason:
        st.caption(words.plain(reason))
    with st.expander("The command for a terminal"):
        st.caption("FOLDER is the folder with your songs, corrections.csv the table that you have downloaded.")
        arguments = train_arguments(model.predictor.info.name, _init(model), "FOLDER", TABLE, genres)
        st.code(shell_command("genreclf", "train", *arguments), language=None, wrap_lines=True)


def _explanation(genres: list[str], model: Model, runs: str) -> str:
    counts = Counter(genres)
    songs = ", ".join(f"{name} ({count})" for name, count in counts.items())
    few = f" Better with {_ENOUGH} songs or more of each." if genres and min(counts.values()) < _ENOUGH else ""
    return (
        f"Train starts from {model.label} and learns the songs that you corrected: {songs or 'none yet'}.{few} The new "
        f"model knows only these genres, and gives every song one of them. The button writes the songs to a folder in "
        f"{runs} on the computer that runs this page; until then they are only in its memory."
    )


def _init(model: Model) -> str:
    folder = model.entry.folder
    return folder.name if folder.parent == PRETRAINED else str(folder.absolute())


@st.fragment(run_every=_EVERY_SECONDS)
def _watched(training: Training) -> None:
    if not training.runs:
        st.rerun()
    done, of = training.progress()
    time = clock(training.seconds)
    if done:
        st.progress(min(1.0, done / of), f"Epoch {done} of {of}, {time}")
    else:  # with few songs, training is one step
        st.write(f"Learning from {training.songs} songs: {time} so far. Few songs take a minute or two.")
    st.button("Stop the training", on_click=TRAININGS.stop, key="stop")


def _progress(training: Training) -> None:
    """Shows the progress of the last training run, or how it ended."""
    name = words.plain(training.folder.name)
    if training.runs:
        st.write(f"Training {name}")
        _watched(training)
    elif training.succeeded:
        st.success(f"{name} is trained: choose it under Model, at the top.")
    elif training.stopped:
        st.info(f"{name} was stopped. The songs stay in this folder until you delete it.")
    else:
        st.error(f"{name} was not trained. {words.plain(training.last_line())}")

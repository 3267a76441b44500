"""Corrections: the correct genre of a song, chosen or typed, and their list with undo and download."""

from collections import Counter

import streamlit as st

from genreclf.app import words
from genreclf.app.results import Classifier
from genreclf.app.trainings import TABLE
from genreclf.app.visits import Song, Visit
from genreclf.csv_text import csv_line
from genreclf.page import escaped
from genreclf.text import one_line, utf8

_MAX_GENRE = 100  # characters


def genres(visit: Visit, classifier: Classifier) -> list[str]:
    """Returns the genres to choose from: the models' genres, then those that the user has typed."""
    known = [name for classes in classifier.classes for name in classes]
    return list(dict.fromkeys([*known, *visit.corrections.values()]))


def control(visit: Visit, song: Song, classifier: Classifier) -> None:
    """Shows the field for the correct genre of one song."""
    key = f"right genre {song.id}"
    st.session_state[key] = visit.corrections.get(song.id)  # it may have been changed elsewhere
    st.selectbox(
        "Wrong? Choose the correct genre, or type one of your own",
        genres(visit, classifier),
        index=None,
        format_func=one_line,
        key=key,
        placeholder="The correct genre",
        accept_new_options=True,
        on_change=_choose,
        args=(visit, song.id, key),
        filter_mode="prefix",
    )


def _choose(visit: Visit, song: str, key: str) -> None:
    visit.correct(song, genre_name(st.session_state[key]))


def genre_name(typed: object) -> str | None:
    """Returns a typed genre on one line; None if nothing was typed."""
    name = " ".join(one_line(typed).split()) if isinstance(typed, str) else ""
    return name[:_MAX_GENRE] or None


def table(visit: Visit) -> str:
    """Returns the corrections as CSV with the columns path and genre, which `data=folder data.table=` reads."""
    rows = [(song.name, genre) for song, genre in visit.corrected]
    return "".join(csv_line(map(utf8, row)) for row in (("path", "genre"), *rows))


def overview(visit: Visit) -> None:
    """Shows the list of corrections, with undo and download."""
    count = len(visit.corrections)
    st.header("Your corrections", anchor=False)
    if count:
        lines = [
            f"<li><bdi>{escaped(song.name)}</bdi>: <strong><bdi>{escaped(genre)}</bdi></strong></li>"
            for song, genre in visit.corrected
        ]
        st.html(f'<ul style="overflow-wrap:anywhere">{"".join(lines)}</ul>')
        name, same = Counter(song.name for song, _ in visit.corrected).most_common(1)[0]
        if same > 1:
            remedy = "rename one and add it again, or the table cannot tell them apart"
            st.warning(words.plain(f"Two of these songs are called {name}: {remedy}."))
    with st.container(horizontal=True):
        st.button("Undo", on_click=visit.undo, disabled=not visit.history, shortcut="Ctrl+Z", key="undo")
        if count:
            st.download_button(
                "Download corrections.csv", table(visit), TABLE, "text/csv", on_click="ignore", key="corrections"
            )

"""The page that classifies a song, recording or picture, and shows its genre, also over time, and the evidence."""

import streamlit as st

from genreclf.app import corrections, exports, retraining, sources, words
from genreclf.app.answer import answer
from genreclf.app.components import announce
from genreclf.app.results import Classifier, classifier
from genreclf.app.settings import settings
from genreclf.app.songs_table import songs_table
from genreclf.app.state import current_visit, keep_address, runs_folder, songs_are_gone
from genreclf.app.visits import KEPT_SECONDS, Visit
from genreclf.errors import GenreclfError
from genreclf.inference.catalog import list_models
from genreclf.inference.results import Row

_KEPT = (
    f"Your music stays in the memory of the computer that runs this page: while the page is open, and up to "
    f"{KEPT_SECONDS // 60} minutes after you close it. Whoever has the page's address can see it for as long. Only "
    f"Train writes songs to a disk: those that you corrected."
)


def page() -> None:
    """Shows the page."""
    st.title("What genre is this?", anchor=False)
    models = list_models(runs_folder())
    if not models:
        st.error(
            "There is no trained model here. Train one with `genreclf train`, or set GENRECLF_RUNS to the folder that "
            "contains your runs; then reload this page."
        )
        return
    visit = current_visit()
    sources.take(visit)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        sources.uploads(visit)
        sources.others(visit)
        chosen = settings(visit, models)
    sources.refusals(visit)
    keep_address(visit)
    try:  # before there is a song, so that its user does not wait for the model
        loaded = classifier(chosen)
    except GenreclfError as error:
        st.error(f"This model cannot be loaded. {words.plain(str(error))}")
        return
    if visit.songs:
        _songs(visit, loaded)
    else:
        if songs_are_gone(visit):
            st.info("The songs of this page are no longer kept. Add them again.")
        announce("")
    st.caption(_KEPT)


def _songs(visit: Visit, loaded: Classifier) -> None:
    """Shows the result for one song, which appears first, and above it the table if there are several songs."""
    several = len(visit.songs) > 1
    table = st.container()
    answer(visit, loaded)
    if several:
        with table:
            rows = _table(visit, loaded)
        st.subheader("All songs", anchor=False)
        exports.downloads("table", "genres", loaded, rows)
    if visit.corrections or visit.history:
        corrections.overview(visit)
        retraining.panel(visit, loaded)


def _table(visit: Visit, loaded: Classifier) -> list[list[Row]]:
    """Shows the table of songs and returns their results, with a row for each model."""
    songs = list(visit.songs.values())
    rows = {song.id: loaded.rows(visit, song, f"Song {place} of {len(songs)}") for place, song in enumerate(songs, 1)}
    songs_table(visit, loaded.labels, rows, corrections.genres(visit, loaded))
    return list(rows.values())

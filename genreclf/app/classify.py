"""The page that classifies a song, recording or picture, and shows its genre, also over time, and the evidence."""

from contextlib import suppress

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

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

_KEPT = (
    f"Your music stays in the memory of the computer that runs this page while the page is open, and up to "
    f"{KEPT_SECONDS // 60} minutes after you close it. Anyone who has the page's address can see it during this time. "
    f"Only Train writes songs to a disk, and only those that you corrected."
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
        progress = _songs(visit, loaded)
    elif songs_are_gone(visit):
        st.info("The songs of this page are no longer kept. Add them again.")
    st.caption(_KEPT)
    if visit.songs:
        with progress:
            _classify_others(visit, loaded)
    else:
        announce("")


def _songs(visit: Visit, loaded: Classifier) -> DeltaGenerator:
    """Shows the result for one song, and above it the table if there are several songs.

    Returns the place for the progress of the others.
    """
    table, progress = st.container(), st.container()
    answer(visit, loaded)
    rows = {song.id: loaded.rows(visit, song) for song in list(visit.songs.values())}
    if len(rows) > 1:
        with table:
            songs_table(visit, loaded.labels, rows, corrections.genres(visit, loaded))
        if all(rows.values()):
            st.subheader("All songs", anchor=False)
            exports.downloads("table", "genres", loaded, list(rows.values()))
    if visit.corrections or visit.history:
        corrections.overview(visit)
        retraining.panel(visit, loaded)
    return progress


def _classify_others(visit: Visit, loaded: Classifier) -> None:
    """Classifies as many more songs as are done already, and then shows the page with their results.

    The first results thus appear soon, and many songs take few runs of the page.
    """
    songs = list(visit.songs.values())
    others = [place for place, song in enumerate(songs) if not loaded.rows(visit, song)]
    for place in others[: len(songs) - len(others)]:
        with suppress(GenreclfError):  # the row has the reason
            loaded.analyze(visit, songs[place], f"Song {place + 1} of {len(songs)}")
    if others:
        st.rerun()

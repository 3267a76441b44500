"""The script that Streamlit runs for `genreclf app`. GENRECLF_RUNS is the folder with your runs (default: runs)."""

from pathlib import Path

import streamlit as st

from genreclf.app import about, classify, scores
from genreclf.app.state import current_visit, keep_address

st.set_page_config("genreclf")
st.html(Path(__file__).with_name("style.css"))
keep_address(current_visit())
pages = [
    st.Page(classify.page, title="Classify", url_path="classify", default=True),
    st.Page(scores.page, title="Scores", url_path="scores"),
    st.Page(about.page, title="About", url_path="about"),
]
chosen = st.navigation(pages, position="hidden")  # at the top, a phone hides it behind a button
with st.container(horizontal=True, key="pages"):
    for page in pages:
        st.page_link(page)
chosen.run()

"""The script that Streamlit runs: `genreclf app` starts it. GENRECLF_RUNS names the folder with your runs (runs)."""

import streamlit as st

from genreclf.app import about, classify, scores

st.set_page_config("genreclf")
pages = [
    st.Page(classify.page, title="Classify", url_path="classify", default=True),
    st.Page(scores.page, title="Scores", url_path="scores"),
    st.Page(about.page, title="About", url_path="about"),
]
st.navigation(pages, position="top").run()

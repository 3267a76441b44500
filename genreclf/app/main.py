"""The app: streamlit run genreclf/app/main.py, or scripts/app. GENRECLF_RUNS names the folder of runs (runs)."""

import streamlit as st

from genreclf.app import about, listen, scores


def main() -> None:
    """Three pages."""
    st.set_page_config("genreclf", layout="centered", initial_sidebar_state="auto")
    pages = [
        st.Page(listen.page, title="Listen", url_path="listen", default=True),
        st.Page(scores.page, title="Scores", url_path="scores"),
        st.Page(about.page, title="About", url_path="about"),
    ]
    st.navigation(pages, position="top").run()


main()

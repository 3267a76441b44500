"""The page of scores: what `evaluate` and `compare` wrote. Nothing is computed here."""

import json
import re
from pathlib import Path

import streamlit as st

from genreclf.app import drawing
from genreclf.app.framed_page import framed_page
from genreclf.app.markdown import markdown_html
from genreclf.app.state import runs_folder
from genreclf.inference.run_folder import COMPARISON_JSON, COMPARISON_MD, COMPARISON_PNG, EVALUATION, METRICS, REPORT
from genreclf.text import one_line


def page() -> None:
    """Shows the page."""
    st.title("Scores")
    found = _evaluations() | _comparisons()
    if not found:
        st.info(
            "There are no scores yet. `genreclf evaluate RUN` scores a run, `genreclf evaluate MODEL data.path=DIR` a "
            "model on your own labelled music, `genreclf compare RUN RUN` compares runs. The app looks for them in the "
            "folder `runs`, or the one in GENRECLF_RUNS, and in `evaluations` and `comparisons` next to it. "
            "Then reload this page."
        )
        return
    folder = found[st.selectbox("Scores of", list(found), format_func=one_line)]
    if (folder / COMPARISON_JSON).is_file():
        _comparison(folder)
    else:
        _evaluation(folder)


def _evaluations() -> dict[str, Path]:
    """The folders with the scores of a run's clips, or of other music, by what they are called."""
    runs = runs_folder()
    found: dict[str, Path] = {}
    for above in (runs, runs.parent / "evaluations"):
        for folder in _newest_first(above, f"**/{METRICS}"):
            if folder.parent.name == EVALUATION:
                found[f"{folder.parents[1].relative_to(above)}: {folder.name} clips"] = folder
            else:
                found[f"{folder.relative_to(above)}: other music"] = folder
    return found


def _comparisons() -> dict[str, Path]:
    runs = runs_folder()
    found: dict[str, Path] = {}
    for above in (runs, runs.parent / "comparisons"):
        compared = _newest_first(above, f"**/{COMPARISON_JSON}")
        found |= {f"{folder.relative_to(above)}: comparison": folder for folder in compared}
    return found


def _newest_first(folder: Path, pattern: str) -> list[Path]:
    """The folders of the files that match."""
    return [file.parent for file in sorted(folder.glob(pattern), key=lambda file: -file.stat().st_mtime)]


def _evaluation(folder: Path) -> None:
    try:
        clip = json.loads((folder / METRICS).read_text())["tta"]["none"]["clip"]
        accuracy, top3, error = clip["accuracy"], clip["top3_accuracy"], clip["calibration"]["ece"]
        shown = clip["intervals"]["accuracy"]["shown"]
        low, high = shown or (0, 0)
        interval = f"{low:.1%} to {high:.1%}" if shown else None
        report = (folder / REPORT).read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError):
        st.warning("These scores are incomplete or of an older version; run `genreclf evaluate` again.")
        return
    left, middle, right = st.columns(3)
    left.metric("Accuracy (95 % interval)", f"{accuracy:.1%}", interval, delta_color="off", delta_arrow="off")
    middle.metric("Correct genre in the top three", f"{top3:.1%}")
    right.metric("Calibration error", f"{error:.1%}")
    st.download_button("Download the report (HTML)", report, REPORT, "text/html", on_click="ignore")
    framed_page(report, "Report", "report")


def _comparison(folder: Path) -> None:
    text, plot = folder / COMPARISON_MD, folder / COMPARISON_PNG
    if not text.is_file():
        st.warning("This comparison is incomplete; run `genreclf compare` again.")
        return
    image = rf"!\[[^\]]*\]\({re.escape(COMPARISON_PNG)}\)"  # a page cannot show a file by its name
    heading, *rest = re.split(image, text.read_text(encoding="utf-8", errors="replace"), maxsplit=1)
    st.html(markdown_html(heading, 2))
    if plot.is_file():
        description = "Accuracies with their intervals, and the differences between systems"
        st.html(drawing.image(plot.read_bytes(), description))
    st.html(markdown_html("".join(rest), 3))

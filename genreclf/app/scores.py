"""The page of scores: what `evaluate` and `compare` wrote. Nothing is computed here."""

import json
import re
from pathlib import Path

import streamlit as st

from genreclf.app import drawing
from genreclf.app.state import runs_folder
from genreclf.inference.run_folder import COMPARISON_JSON, COMPARISON_MD, COMPARISON_PNG, EVALUATION, METRICS, REPORT


def page() -> None:
    """Shows the page."""
    st.title("Scores")
    runs = runs_folder()
    found = {**_evaluations(runs), **_comparisons([runs, runs.parent / "comparisons"])}
    if not found:
        st.info(
            "There are no scores yet. `genreclf evaluate RUN` scores a run, `genreclf compare RUN RUN` compares runs. "
            "The app looks for them in the folder `runs`, or the one in GENRECLF_RUNS. Then reload this page."
        )
        return
    folder = found[st.selectbox("Scores of", list(found))]
    if (folder / COMPARISON_JSON).is_file():
        _comparison(folder)
    else:
        _evaluation(folder)


def _evaluations(runs: Path) -> dict[str, Path]:
    places = sorted(runs.glob(f"**/{EVALUATION}/*/{METRICS}"), key=lambda path: -path.stat().st_mtime)
    return {f"{path.parents[2].relative_to(runs)}: {path.parent.name} clips": path.parent for path in places}


def _comparisons(folders: list[Path]) -> dict[str, Path]:
    return {
        f"{path.parent.relative_to(folder)}: comparison": path.parent
        for folder in folders
        for path in sorted(folder.glob(f"**/{COMPARISON_JSON}"), key=lambda path: -path.stat().st_mtime)
    }


def _evaluation(folder: Path) -> None:
    try:
        clip = json.loads((folder / METRICS).read_text())["tta"]["none"]["clip"]
        accuracy, top3, error = clip["accuracy"], clip["top3_accuracy"], clip["calibration"]["ece"]
        interval = _interval(clip["intervals"]["accuracy"]["shown"])
        report = (folder / REPORT).read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError):
        st.warning("These scores are incomplete or of an older version; run `genreclf evaluate RUN` again.")
        return
    left, middle, right = st.columns(3)
    left.metric("Accuracy", f"{accuracy:.1%}", interval, delta_color="off", delta_arrow="off")
    middle.metric("Correct genre in the top three", f"{top3:.1%}")
    right.metric("Calibration error", f"{error:.1%}")
    st.iframe(report, height=900)
    st.download_button("Download the report (HTML)", report, REPORT, "text/html", on_click="ignore")


def _interval(interval: list[float] | None) -> str | None:
    if interval is None:
        return None
    low, high = interval
    return f"95 % interval: {low:.1%} to {high:.1%}"


def _comparison(folder: Path) -> None:
    text, plot = folder / COMPARISON_MD, folder / COMPARISON_PNG
    if not text.is_file():
        st.warning("This comparison is incomplete; run `genreclf compare` again.")
        return
    image = rf"!\[[^\]]*\]\({re.escape(COMPARISON_PNG)}\)"  # a page cannot show a file by its name
    heading, *rest = re.split(image, text.read_text(encoding="utf-8"), maxsplit=1)
    st.markdown(f"#{heading}")
    if plot.is_file():
        st.html(
            drawing.image(plot.read_bytes(), "Accuracies with their intervals, and the differences between systems")
        )
    st.markdown("".join(rest).replace("\n## ", "\n### "))

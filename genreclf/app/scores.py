"""The page of scores: what `evaluate` and `compare` wrote, as it is. Nothing is computed anew."""

import json
from pathlib import Path
from typing import Any

import streamlit as st

from genreclf.app import drawing
from genreclf.app.state import runs_folder

_REPORT, _METRICS = "report.html", "metrics.json"
_COMPARISON = ("comparison.json", "comparison.md", "comparison.png")


def page() -> None:
    """The page."""
    st.title("Scores")
    runs = runs_folder()
    found = {**_evaluations(runs), **_comparisons([runs, runs.parent / "comparisons"])}
    if not found:
        st.info(
            f"Nothing was scored in {runs} yet. `python -m genreclf.evaluate run=RUN` scores a run, "
            "`python -m genreclf.compare RUN RUN` compares several; then load this page again."
        )
        return
    folder = found[st.selectbox("Of", list(found))]
    if (folder / _COMPARISON[0]).is_file():
        _comparison(folder)
    else:
        _evaluation(folder)


def _evaluations(runs: Path) -> dict[str, Path]:
    places = sorted(runs.glob(f"**/evaluation/*/{_METRICS}"), key=lambda path: -path.stat().st_mtime)
    return {f"{path.parents[2].relative_to(runs)}: {path.parent.name} clips": path.parent for path in places}


def _comparisons(folders: list[Path]) -> dict[str, Path]:
    return {
        f"{path.parent.relative_to(folder)}: comparison": path.parent
        for folder in folders
        for path in sorted(folder.glob(f"**/{_COMPARISON[0]}"), key=lambda path: -path.stat().st_mtime)
    }


def _evaluation(folder: Path) -> None:
    metrics = _read(folder / _METRICS)
    if metrics is None:
        return
    clips = metrics["tta"]["none"]["clip"]
    left, middle, right = st.columns(3)
    left.metric("Accuracy", f"{clips['accuracy']:.1%}", _interval(clips), delta_color="off", delta_arrow="off")
    middle.metric("Among the first three", f"{clips['top3_accuracy']:.1%}")
    right.metric("Calibration error", f"{clips['calibration']['ece']:.1%}")
    report = folder / _REPORT
    if not report.is_file():
        st.warning(f"{report} is missing; run evaluate again.")
        return
    st.iframe(report.read_text(encoding="utf-8"), height=900)
    st.download_button("The page (HTML)", report.read_bytes(), report.name, "text/html", on_click="ignore")


def _interval(clips: dict[str, Any]) -> str:
    drawn = clips["intervals"]["accuracy"]
    low, high = drawn.get("clustered") or drawn["wilson"]
    return f"{low:.0%} to {high:.0%} for other clips like these"


def _comparison(folder: Path) -> None:
    text, picture = (folder / name for name in _COMPARISON[1:])
    if not text.is_file():
        st.warning(f"{text} is missing; run compare again.")
        return
    heading, _, rest = text.read_text(encoding="utf-8").partition(f"![accuracies and differences]({picture.name})")
    st.markdown(f"#{heading}")
    if picture.is_file():
        st.html(drawing.picture(picture.read_bytes(), "Accuracies with their intervals, and the systems' differences"))
    st.markdown(rest.replace("\n## ", "\n### "))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        st.warning(f"{path} cannot be read ({error}); run evaluate again.")
        return None

"""The page with the scores that `evaluate` and `compare` wrote. Nothing is computed here."""

import json
import re
from pathlib import Path
from typing import Any

import streamlit as st

from genreclf.app.components import component
from genreclf.app.markdown import markdown_html
from genreclf.app.state import runs_folder
from genreclf.files import newest_first
from genreclf.inference.run_folder import COMPARISON_JSON, COMPARISON_MD, COMPARISON_PNG, EVALUATION, METRICS, REPORT
from genreclf.inference.task import MULTICLASS, MULTILABEL
from genreclf.page import SEAL, data_uri
from genreclf.text import one_line

_MAIN_SCORES = {
    MULTICLASS: {"accuracy": "Accuracy", "top3_accuracy": "Correct genre in the top three"},
    MULTILABEL: {"mean_average_precision": "Mean average precision", "roc_auc": "ROC-AUC, mean of the genres"},
}


def page() -> None:
    """Shows the page."""
    st.title("Scores")
    found = _found()
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


def _found() -> dict[str, Path]:
    """Returns the folders with scores and with comparisons, newest first, by their names in the app."""
    runs = runs_folder()
    found: dict[str, Path] = {}
    for name, beside in ((METRICS, "evaluations"), (COMPARISON_JSON, "comparisons")):
        for above in (runs, runs.parent / beside):
            for file in newest_first(above, name):
                found[_name(file, above)] = file.parent
    return found


def _name(file: Path, above: Path) -> str:
    folder = file.parent.relative_to(above)
    if file.name == COMPARISON_JSON:
        return f"{folder}: comparison"
    if folder.parent.name == EVALUATION:
        return f"{folder.parents[1]}: {folder.name} clips"
    return f"{folder}: other music"


def _evaluation(folder: Path) -> None:
    try:
        metrics = json.loads((folder / METRICS).read_text())
        clip = metrics["tta"]["none"]["clip"]
        shown = [_metric(clip, key, name) for key, name in _MAIN_SCORES[metrics.get("task", MULTICLASS)].items()]
        shown.append(("Calibration error", f"{clip['calibration']['ece']:.1%}", None))
        report = (folder / REPORT).read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # a part is missing, or of another type
        st.warning("These scores are incomplete or of an older version; run `genreclf evaluate` again.")
        return
    for column, (name, value, interval) in zip(st.columns(len(shown)), shown, strict=True):
        column.metric(name, value, interval, delta_color="off", delta_arrow="off")
    st.download_button("Download the report (HTML)", report, REPORT, "text/html", on_click="ignore")
    # Reports may come from elsewhere: the frame runs no scripts and sends no requests.
    component("framed_page")(key="report", data={"page": report, "head": SEAL, "title": "Report"})


def _metric(clip: dict[str, Any], key: str, name: str) -> tuple[str, str, str | None]:
    """Returns the name of a score, the score, and its interval if it has one."""
    interval = clip["intervals"].get(key, {}).get("shown")
    if not interval:
        return name, f"{clip[key]:.1%}", None
    low, high = interval
    return f"{name} (95 % interval)", f"{clip[key]:.1%}", f"{low:.1%} to {high:.1%}"


def _comparison(folder: Path) -> None:
    plot = folder / COMPARISON_PNG
    try:
        text = (folder / COMPARISON_MD).read_text(encoding="utf-8", errors="replace")
        address = data_uri(plot.read_bytes()) if plot.is_file() else ""
    except OSError:
        st.warning("This comparison is incomplete; run `genreclf compare` again.")
        return
    image = rf"!\[[^\]]*\]\({re.escape(COMPARISON_PNG)}\)"  # a page cannot show a file by its name
    heading, *rest = re.split(image, text, maxsplit=1)
    st.html(markdown_html(heading, 2))
    if address:
        description = "Accuracies with their intervals, and the differences between systems"
        st.html(f'<img src="{address}" alt="{description}" style="width:100%;height:auto">')
    st.html(markdown_html("".join(rest), 3))

"""The pages of scores and of the models."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing import v1 as testing

from genreclf.inference.run_folder import PRETRAINED

SECONDS = 120


def opened(name: str):
    code = f"from genreclf.app import {name}\n{name}.page()"
    page = testing.AppTest.from_string(code, default_timeout=SECONDS).run()
    assert not page.exception
    return page


def test_scores_explains_how_to_get_some(tmp_path, monkeypatch):
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path / "runs"))
    page = opened("scores")
    assert "genreclf evaluate RUN" in page.info[0].value


@pytest.fixture
def evaluated(tmp_path, monkeypatch) -> Path:
    """The folder of an evaluation."""
    folder = tmp_path / "runs" / "x" / "evaluation" / "test"
    folder.mkdir(parents=True)
    clip = {"accuracy": 0.6, "top3_accuracy": 0.9, "calibration": {"ece": 0.04}}
    clip["intervals"] = {"accuracy": {"clustered": [0.6, 0.6], "wilson": [0.52, 0.68], "shown": [0.52, 0.68]}}
    (folder / "metrics.json").write_text(json.dumps({"tta": {"none": {"clip": clip}}}))
    (folder / "report.html").write_text("<h1>a page</h1>")
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path / "runs"))
    return folder


def test_scores_shows_what_evaluate_wrote(evaluated):
    page = opened("scores")
    assert [metric.value for metric in page.metric] == ["60.0%", "90.0%", "4.0%"]
    assert "52.0% to 68.0%" in page.metric[0].delta


def test_scores_of_several_labels_are_their_own(evaluated):
    clip = {"mean_average_precision": 0.41, "roc_auc": 0.83, "calibration": {"ece": 0.04}}
    clip["intervals"] = {"mean_average_precision": {"shown": [0.38, 0.44]}, "roc_auc": {"shown": None}}
    (evaluated / "metrics.json").write_text(json.dumps({"task": "multilabel", "tta": {"none": {"clip": clip}}}))
    page = opened("scores")
    assert not page.warning
    assert [metric.value for metric in page.metric] == ["41.0%", "83.0%", "4.0%"]
    assert page.metric[0].label.startswith("Mean average precision") and "38.0% to 44.0%" in page.metric[0].delta


def test_scores_of_other_music_are_listed_wherever_evaluate_wrote_them(evaluated, tmp_path):
    elsewhere = (tmp_path / "evaluations" / "2026-a", tmp_path / "runs" / "my scores")
    for place, folder in enumerate(elsewhere):
        shutil.copytree(evaluated, folder)
        os.utime(folder / "metrics.json", (place, place))
    (tmp_path / "runs" / "lost").mkdir()
    (tmp_path / "runs" / "lost" / "metrics.json").symlink_to("nowhere")
    page = opened("scores")
    assert page.selectbox[0].options == ["x: test clips", "my scores: other music", "2026-a: other music"]
    page.selectbox[0].select_index(2).run()
    assert not page.exception and page.metric[0].value == "60.0%"


NO_INTERVALS = '{"tta": {"none": {"clip": {"accuracy": 1, "intervals": []}}}}'


@pytest.mark.parametrize("damage", ["{", "{}", "missing", NO_INTERVALS])
def test_scores_that_are_damaged_are_a_sentence_on_the_page(evaluated, damage):
    if damage == "missing":
        (evaluated / "report.html").unlink()
    else:
        (evaluated / "metrics.json").write_text(damage)
    page = opened("scores")
    assert "genreclf evaluate" in page.warning[0].value and not page.metric


def test_scores_shows_what_compare_wrote(tmp_path, monkeypatch):
    folder = tmp_path / "comparisons" / "y"
    folder.mkdir(parents=True)
    (folder / "comparison.json").write_text("{}")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "comparison.png")
    lines = ["# Two systems", "", "![accuracies and differences](comparison.png)", "", "- equal", "", "## Systems"]
    (folder / "comparison.md").write_text("\n".join(lines))
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path / "runs"))
    page = opened("scores")
    assert page.selectbox[0].options == ["y: comparison"]
    heading, shown, rest = page.get("html")
    assert 'src="data:image/png;base64,' in shown.proto.body and "intervals" in shown.proto.body
    assert "<h2>Two systems</h2>" in heading.proto.body and "<h3>Systems</h3>" in rest.proto.body
    (folder / "comparison.md").unlink()
    assert "genreclf compare" in opened("scores").warning[0].value


def test_about_shows_each_models_card(tmp_path, monkeypatch):
    for name in ("one", "two"):
        without_scores = shutil.ignore_patterns("README.md", "scores*")
        shutil.copytree(PRETRAINED / "a", tmp_path / name / "bundle", ignore=without_scores)
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path))
    page = opened("about")
    labels = [element.label for element in page.expander]
    assert {"one: not evaluated yet", "two: not evaluated yet"} <= {label.replace("\u2060", "") for label in labels}


def test_a_card_and_a_report_from_elsewhere_make_no_requests(evaluated, tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "x" / "bundle"
    shutil.copytree(PRETRAINED / "a", folder)
    outside = "![i](http://e.x/i.png) <img src=http://e.x> [l](javascript:x) <http://e.x>"
    (folder / "README.md").write_text(f"# A card\n\n{outside}\n\n| a | b |\n|---|---|\n| 1 | *2* |\n")
    (evaluated / "report.html").write_text(f"<script>fetch('http://e.x')</script>{outside}")
    page = opened("about")
    (card,) = [element.proto.body for element in page.get("html") if "A card" in element.proto.body]
    assert "<table" in card and "<em>2</em>" in card
    assert not any(markup in card for markup in ("<img", "<a "))
    page = opened("scores")
    (frame,) = page.get("bidi_component")
    policy = json.loads(frame.proto.json)["head"]  # tests/browser checks that browsers obey it
    assert "default-src 'none'" in policy and "script-src" not in policy

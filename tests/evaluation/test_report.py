"""The page and the card of a scored run, from made-up answers."""

import html
import json
import re
import shlex

import numpy as np
import pytest
import yaml
from bundles import random_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from genreclf.errors import one_line
from genreclf.evaluate import facts_of
from genreclf.evaluation.calibration import calibration
from genreclf.evaluation.card import _plain, model_card
from genreclf.evaluation.plots import ClipView
from genreclf.evaluation.report import command_line, confusions, range_of, report_page, sure_answers
from genreclf.evaluation.scores import intervals, scores

PIXEL = b"\x89PNG pixel"


def made(classes: list[str], n: int = 60, right: float = 0.7, groups: int = 20, seed: int = 0) -> dict:
    """Metrics as `evaluate` writes them, of random answers that are right in a share of cases."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, len(classes), n)
    answer = np.where(rng.random(n) < right, target, rng.integers(0, len(classes), n))
    shares = rng.dirichlet(np.ones(len(classes)), n) + 2 * np.eye(len(classes))[answer]
    shares /= shares.sum(1, keepdims=True)
    names = [str(i % groups) for i in range(n)]
    clip = {
        **scores(shares, target, classes),
        "groups": len(set(names)),
        "intervals": intervals(shares, target, names),
        "calibration": calibration(shares, target),
        "uncalibrated": {"log_loss": 1.5, "brier": 0.9, "ece": 0.2},
    }
    return {
        **{
            "run": "runs/x",
            "split": "test",
            "model": "a",
            "classes": classes,
            "store_digest": "d1",
            "command": ["run=x"],
        },
        **{"trained_with": ["model=a", "data.path=/home/me/music"], "git_commit": None, "seed": 3, "view": "crop"},
        **{"split_name": "hashed", "data_name": "folder", "clips": {"train": 90, "val": 20, "test": n}},
        **{"weights": {"asked": "none", "pretrained": False}, "parameters": 7_245_882, "temperature": 1.25},
        **{"audit": "test clips whose recording is in training, too: 0 of 60; artists unknown", "audit_leaks": False},
        "tta": {"none": {"clip": clip, "segment": scores(shares, target, classes)}, "flip": {"clip": clip}},
    }


def pictures(metrics: dict) -> dict[str, bytes]:
    return {f"{name}-{tta}": PIXEL for tta in metrics["tta"] for name in ("confusion", "per-class", "reliability")}


def view(path: str, attention: np.ndarray | None) -> ClipView:
    levels = np.random.default_rng(0).integers(0, 256, (128, 100), np.uint8)
    return ClipView(path, "rock", "country", (0.7, 0.1, 0.2), levels, 30.0, attention)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).replace("\N{NO-BREAK SPACE}", " ").replace("&nbsp;", " ")


def test_the_page_says_what_the_metrics_say():
    metrics = made(["country", "jazz", "rock"])
    own = metrics["tta"]["none"]["clip"]
    page = report_page(metrics, pictures(metrics), [view("rock/1.wav", np.ones(50)), view("rock/2.wav", np.ones(50))])
    text = text_of(page)
    low, high = own["intervals"]["accuracy"]["clustered"]
    right = round(own["accuracy"] * own["n"])
    assert f"Of 60 test clips, {right} got the right genre: {own['accuracy']:.1%}".replace("%", " %") in text
    assert f"expect {100 * low:.0f} to {100 * high:.0f} %" in text and "20 groups" in text
    assert "No leak was found" in text and "These are validation clips" not in text
    assert f"The calibration error is {100 * own['calibration']['ece']:.1f} %" in text and "temperature of 1.25" in text
    assert text.count("labelled rock , taken for country . country 70 %, rock 20 %, jazz 10 %") == 2
    assert f"{metrics['tta']['none']['segment']['log_loss']:.3f}" in text and "7,245,882" in text
    # Nothing beside it: every picture is inside, and nothing is fetched.
    assert page.count("<img") == page.count('src="data:image/png;base64,') == 3 + 3 + 2
    assert "http" not in re.sub(r"http-equiv", "", page) and "<script" not in page


def test_bad_news_is_told():
    metrics = made(["country", "jazz", "rock"])
    metrics.update(split="val", audit_leaks=True)
    text = text_of(report_page(metrics, pictures(metrics), []))
    assert "This split leaks, so the numbers are too high." in text and "These are validation clips" in text
    assert "There are none." in text


@pytest.mark.parametrize(("n", "right", "groups"), [(1, 1.0, 1), (1, 0.0, 1), (30, 1.0, 30), (30, 0.0, 2)])
@pytest.mark.parametrize("classes", [2, 20])
def test_the_ends_of_the_scale_make_a_page_and_a_card(n, right, groups, classes):
    metrics = made([f"genre {i}" for i in range(classes)], n, right, groups)
    del metrics["tta"]["flip"], metrics["tta"]["none"]["segment"]
    text = text_of(report_page(metrics, pictures(metrics), []))
    assert (
        f"Model A on {n} test clip{'s' * (n > 1)}" in text
        and "expect 100 to 100" not in text
        and "nan" not in text.lower().replace("financ", "")
    )
    assert "| plain |" in model_card({"test": metrics})


@settings(max_examples=6)
@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_whatever_names_hold_stays_text(name, path):
    classes = ["x", name + "<b>&amp;", "</style><script>alert(1)</script>"]
    metrics = made(classes, 12)
    page = report_page(metrics, pictures(metrics), [view(f"{path}<img src=x onerror=alert(1)>", None)])
    assert "<script" not in page and "<img src=x" not in page and "&lt;script&gt;" in page


def test_confusions_are_the_largest_and_name_their_class():
    table = {"confusion": [[5, 0, 2], [4, 1, 0], [0, 0, 3]]}
    assert confusions(table, ["a", "b", "c"]) == [("b", "a", 4, 5), ("a", "c", 2, 7)]
    assert confusions({"confusion": [[1, 0], [0, 1]]}, ["a", "b"]) == []


def test_the_card_has_front_matter_scores_and_no_private_path():
    classes = ["drum_and_bass", "r&b|soul", "[x](http://evil)"]
    test, val = made(classes), made(classes, seed=1)
    val["split"] = "val"
    card = model_card({"test": test, "val": val})
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "genreclf"
    rows = [line for line in body.splitlines() if line.startswith(("| plain", "| TTA"))]
    assert len(rows) == 4 and all(line.replace("\\|", "").count("|") == 7 for line in rows)
    assert f"{100 * test['tta']['none']['clip']['accuracy']:.1f}" in rows[0]
    assert "/home/me" not in card and "data.path=..." in card
    assert r"drum\_and\_bass" in body and "](http" not in body.replace(r"\]", "")
    assert "7,245,882 parameters, trained from nothing" in body


def test_a_range_promises_no_more_than_is_known():
    assert range_of({"wilson": (0.6, 0.9), "clustered": (0.5, 0.95)}) == (0.5, 0.95)
    assert range_of({"wilson": (0.89, 1.0), "clustered": (1.0, 1.0)}) == (0.89, 1.0)
    assert range_of({"wilson": (0.89, 1.0), "clustered": None}) == (0.89, 1.0)
    assert range_of({"clustered": None}) is None and range_of({"clustered": (1.0, 1.0)}) is None


def test_sure_answers_are_those_above_eighty_percent():
    shares = np.array([[0.79, 0.21], [0.81, 0.19], [0.95, 0.05], [0.99, 0.01], [0.5, 0.5]])
    found = sure_answers(calibration(shares, np.array([0, 0, 1, 0, 0]))["bins"])
    assert (found["n"], found["right"]) == (3, 2) and found["confidence"] == pytest.approx((0.81 + 0.95 + 0.99) / 3)
    assert sure_answers([])["n"] == 0


def test_a_model_that_tells_nothing_is_called_so():
    classes = ["country", "jazz", "rock"]
    chance, worse, good = (made(classes, right=right, seed=2) for right in (0.0, 0.0, 0.95))
    worse["tta"]["none"]["clip"]["intervals"]["accuracy"] = {"wilson": [0.01, 0.1], "clustered": [0.01, 0.1]}
    texts = [text_of(report_page(own, pictures(own), [])) for own in (chance, worse, good)]
    assert "This cannot be told from always naming the largest genre" in texts[0]
    assert "This is worse than always naming the largest genre" in texts[1]
    assert "always naming the largest genre" not in texts[2]


def test_the_commands_can_be_pasted_into_a_shell():
    overrides = ["data.path=/my music/it's", "model.net.head_dropout=[0.1,0.1]"]
    assert shlex.split(command_line("train", overrides)) == ["python", "-m", "genreclf.train", *overrides]
    metrics = {**made(["a", "b"]), "trained_with": [*overrides, "temperature=1.25"]}
    page = report_page(metrics, pictures(metrics), [])
    assert command_line("train", metrics["trained_with"]) in html.unescape(page)
    assert "given at the training" in text_of(page)


def test_a_resumed_training_is_told_from_its_start(tmp_path):
    record = {"overrides": ["model=svm", "seed=1", "ckpt=last"], "git_commit": None, "seed": 1, "weights": {}}
    (tmp_path / "record.json").write_text(json.dumps({**record, "data": {"store_digest": "x"}}))
    (tmp_path / "config.yaml").write_text("data: {name: folder}\nsplit: {name: all}\n")
    assert facts_of(tmp_path, random_bundle("svm"))["trained_with"] == ["model=svm", "seed=1"]


def test_the_card_keeps_paths_to_itself():
    told = ["model.weights=/home/me/w.safetensors", "+data.path=C:\\me", "data.table=~/t.csv", "model.net.x=[1,2]"]
    card = model_card({"test": {**made(["a", "b"]), "trained_with": told}})
    assert "me" not in re.search("    (python -m genreclf.train .*)", card)[1] and "'model.net.x=[1,2]'" in card


def test_names_that_are_no_utf8_can_be_written():
    metrics = made(["caf\udce9", "jazz", "rock"])
    page = report_page(metrics, pictures(metrics), [view("caf\udce9.wav", None)])
    assert "caf\\udce9.wav" in page and page.encode() and model_card({"test": metrics}).encode()


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_whatever_a_class_is_called_the_card_shows_it_as_text(name):
    shown = one_line(" ".join(name.split()))
    tokens = MarkdownIt("commonmark").enable("table").parse(f"a {_plain(name)} b\n")
    inline = [token for token in tokens if token.type == "inline"]
    assert len(inline) == 1 and {child.type for child in inline[0].children} <= {"text", "text_special"}
    assert "".join(child.content for child in inline[0].children) == f"a {shown} b"
    table = MarkdownIt("commonmark").enable("table").parse(f"| x | y |\n|---|---|\n| {_plain(name)} | 1 |\n")
    assert [token.type for token in table].count("td_open") == 2

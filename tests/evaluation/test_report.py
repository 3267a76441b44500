"""Report and model card of a scored run, from random predictions."""

import html
import json
import re
import shlex

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from genreclf.evaluation.calibration import calibration
from genreclf.evaluation.card import main_scores, model_card
from genreclf.evaluation.out_of_scope import none_scores
from genreclf.evaluation.plots import ClipView
from genreclf.evaluation.predictions import Predictions
from genreclf.evaluation.provenance import describe_training
from genreclf.evaluation.report import confident_predictions, confusions, report_page
from genreclf.evaluation.scores import intervals, scores
from genreclf.evaluation.slices import slice_scores

PIXEL = b"\x89PNG pixel"


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """Makes intervals fast and skips drawing, which test_plots tests."""
    monkeypatch.setattr("genreclf.evaluation.report.draw_clip", lambda view: PIXEL)
    monkeypatch.setattr("genreclf.evaluation.intervals.DRAWS", 200)
    monkeypatch.setattr("genreclf.evaluation.calibration.SIMULATIONS", 50)


def made(classes: list[str], n: int = 60, accuracy: float = 0.7, groups: int = 20, seed: int = 0) -> dict:
    """Returns metrics of random predictions, as written by `evaluate`."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, len(classes), n)
    predicted = np.where(rng.random(n) < accuracy, target, rng.integers(0, len(classes), n))
    shares = rng.dirichlet(np.ones(len(classes)), n) + 2 * np.eye(len(classes))[predicted]
    shares /= shares.sum(1, keepdims=True)
    names = [str(i % groups) for i in range(n)]
    clip = {
        **scores(shares, target, classes),
        "groups": len(set(names)),
        "intervals": intervals(shares, target, names),
        "calibration": calibration(shares, target),
        "slices": {},
        "none": None,
        "uncalibrated": {"log_loss": 1.5, "brier": 0.9, "ece": 0.2},
    }
    return {
        **{
            "run": "runs/x",
            "split": "test",
            "model": "a",
            "classes": classes,
            "store_digest": "d1",
            "command": ["x", "clips=test", "tta=flip"],
        },
        **{"trained_with": ["model=a", "data.path=/home/me/music"], "git_commit": None, "seed": 3, "view": "crop"},
        **{"split_name": "hashed", "data_name": "folder", "clips": {"train": 90, "val": 20, "test": n}},
        **{"weights": {"asked": "none", "pretrained": False}, "parameters": 7_245_882, "temperature": 1.25},
        **{
            "audit": "test clips whose recording is in training, too: 0 of 60; artists unknown",
            "audit_verdict": "none found",
        },
        "audit_not_compared": {"train": [], "test": []},
        "tta": {"none": {"clip": clip, "segment": scores(shares, target, classes)}, "flip": {"clip": clip}},
    }


def pictures(metrics: dict) -> dict[str, bytes]:
    return {f"{name}-{tta}": PIXEL for tta in metrics["tta"] for name in ("confusion", "per-class", "reliability")}


def view(path: str, attention: np.ndarray | None) -> ClipView:
    levels = np.random.default_rng(0).integers(0, 256, (128, 100), np.uint8)
    return ClipView(path, "rock", "country", (0.7, 0.1, 0.2), levels, 30.0, attention)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).replace("\N{NO-BREAK SPACE}", " ").replace("&nbsp;", " ")


def test_the_report_shows_the_metrics():
    metrics = made(["country", "jazz", "rock"])
    clip = metrics["tta"]["none"]["clip"]
    page = report_page(metrics, pictures(metrics), [view("rock/1.wav", np.ones(50)), view("rock/2.wav", np.ones(50))])
    text = text_of(page)
    low, high = clip["intervals"]["accuracy"]["clustered"]
    correct = round(clip["accuracy"] * clip["n"])
    assert f"{correct} of 60 test clips" in text and f"{clip['accuracy']:.1%}".replace("%", " %") in text
    assert f"{100 * low:.0f} to {100 * high:.0f} %" in text and "20 groups" in text
    assert metrics["audit"][1:] in text and "These are validation clips" not in text
    assert f"{100 * clip['calibration']['ece']:.1f} %" in text and "temperature of 1.25" in text
    assert text.count("country 70 %, rock 20 %, jazz 10 %") == 2
    assert f"{metrics['tta']['none']['segment']['log_loss']:.3f}" in text and "7,245,882" in text
    # Self-contained: every picture is inside, and nothing is fetched.
    assert page.count("<img") == page.count('src="data:image/png;base64,') == 3 + 3 + 2
    assert "http" not in re.sub(r"http-equiv", "", page) and "<script" not in page


def test_leaks_and_validation_clips_are_marked():
    metrics = made(["country", "jazz", "rock"])
    metrics.update(split="val", audit_verdict="leaks")
    page = report_page(metrics, pictures(metrics), [])
    assert page.count('class="verdict bad"') == 2
    assert "leaks" in text_of(page) and "These are validation clips" in text_of(page)
    assert 'class="verdict bad"' not in report_page(made(["a", "b"]), pictures(metrics), [])


def test_without_a_comparison_by_sound_the_split_is_not_called_clean():
    metrics = made(["country", "jazz", "rock"])
    clean = text_of(report_page(metrics, pictures(metrics), [])), model_card({"test": metrics})
    metrics["audit_verdict"] = "none found so far"
    page, card = report_page(metrics, pictures(metrics), []), model_card({"test": metrics})
    assert page.count('class="verdict bad"') == 1 and "not all clips could be compared" in text_of(page)
    assert "ot all clips could be compared" in card and not any("could be compared" in text for text in clean)


def test_pieces_of_training_clips_leave_it_unknown_whether_the_split_leaks():
    metrics = made(["country", "jazz", "rock"]) | {"audit_verdict": "unknown"}
    page, card = report_page(metrics, pictures(metrics), []), model_card({"test": metrics})
    assert page.count('class="verdict bad"') == 1 and "No leak was found" not in page
    assert all("not known whether the split has leaks" in text for text in (text_of(page), card))


@pytest.mark.parametrize(("n", "accuracy", "groups"), [(1, 1.0, 1), (1, 0.0, 1), (30, 1.0, 30), (30, 0.0, 2)])
@pytest.mark.parametrize("classes", [2, 20])
def test_extreme_scores_make_a_report_and_a_card(n, accuracy, groups, classes):
    metrics = made([f"genre {i}" for i in range(classes)], n, accuracy, groups)
    del metrics["tta"]["flip"], metrics["tta"]["none"]["segment"]
    text = text_of(report_page(metrics, pictures(metrics), []))
    assert (
        f"Model A on {n} test clip{'s' * (n > 1)}" in text
        and "100 to 100 %" not in text
        and "nan" not in text.lower().replace("financ", "")
    )
    assert "| none |" in model_card({"test": metrics})


def sliced(metrics: dict, cells: list[str], none: int = 0) -> dict:
    """Adds scores by the values of a column, and out-of-scope clips, to the metrics."""
    clip, n = metrics["tta"]["none"]["clip"], metrics["tta"]["none"]["clip"]["n"]
    rng = np.random.default_rng(5)
    names = tuple(map(str, range(n)))
    shares = rng.dirichlet(np.ones(len(metrics["classes"])), n)
    made_up = Predictions(tuple(metrics["classes"]), names, names, names, np.arange(n) % 2, shares)
    columns = {"<i>source|": [cells[i % len(cells)] for i in range(n)]}
    others = {"<i>source|": ["talk"] * none}
    clip["slices"] = slice_scores(made_up, columns)
    if none:
        found = none_scores(shares.max(1), rng.random(none), columns, others)
        clip["none"] = {**found, "withheld": {"known": 0.051, "none": 0.613}}
    return metrics


def test_slices_and_out_of_scope_clips_are_shown():
    metrics = sliced(made(["country", "jazz", "rock"]), ["radio", "", "<b>[x](http://evil)|"], none=7)
    clip = metrics["tta"]["none"]["clip"]
    page, card = report_page(metrics, pictures(metrics), []), model_card({"test": metrics})
    assert "<i>" not in page and "<b>" not in page and "](http" not in card.replace(r"\]", "") and "<b>" not in card
    text = text_of(page)
    assert all(part in text for part in ("By <i>source|".replace("<i>", "&lt;i&gt;"), "(none)", "radio", "talk"))
    for one in clip["slices"]["<i>source|"]["values"]:
        low, high = one["intervals"]["accuracy"]
        shown = f"{100 * one['accuracy']:.1f} % {100 * low:.0f} to {100 * high:.0f} %"
        assert shown in text and f"{100 * one['accuracy']:.1f}" in card
    rows = [line for line in card.splitlines() if line.startswith(("| radio", r"| \(none\)", "| (none)", r"| \<b"))]
    assert len(rows) == 3 and all(line.replace("\\|", "").count("|") == 8 for line in rows)
    measured = (f"{100 * clip['none']['auroc']:.1f} %", "61.3 %", "5.1 %", "7 ")  # "7 ": the out-of-scope clips
    assert all(number in text and number in card.replace("\xa0", " ") for number in measured)


def test_the_number_of_values_left_out_is_shown():
    metrics = sliced(made(["a", "b"]), [f"value {i}" for i in range(60)], none=3)
    text, card = text_of(report_page(metrics, pictures(metrics), [])), model_card({"test": metrics})
    assert "40 values with fewer clips, 40 clips" in text and "40 values with fewer clips, 40 clips" in card


@pytest.mark.parametrize("trained_with", [None, ["model=a"]])
def test_other_music_has_a_report_without_a_split(trained_with):
    metrics = sliced(made(["a", "b"]), ["radio"])
    known = trained_with is not None
    metrics |= {"split": "other", "split_name": None, "trained_with": trained_with, "training_known": known}
    metrics |= {"clips": {"other": 60}, "left_out": {"unreadable": 2, "other_classes": {"<b>bees": 4}, "seen": 0}}
    metrics |= {"audit": "whether it is <known>", "audit_not_compared": {}}
    if not known:
        metrics |= dict.fromkeys(("seed", "git_commit", "weights"))
    page = report_page(metrics, pictures(metrics), [])
    text = text_of(page)
    assert (
        "Whether it is &lt;known&gt;" in text
        and "No leak was found" not in text
        and "None" not in text.split("Most")[0]
    )
    assert "&lt;b&gt;bees (4)" in text and ("Trained with" in text) == known
    assert page.count('class="verdict bad"') == (not known)


@settings(max_examples=20)
@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_names_are_escaped(name, path):
    classes = ["x", name + "<b>&amp;", "</style><script>alert(1)</script>"]
    metrics = made(classes, 12)
    page = report_page(metrics, pictures(metrics), [view(f"{path}<img src=x onerror=alert(1)>", None)])
    assert "<script" not in page and "<img src=x" not in page and "&lt;script&gt;" in page


def test_confusions_are_the_most_frequent_ones():
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
    rows = [line for line in body.splitlines() if line.startswith(("| none", "| flip"))]
    assert len(rows) == 4 and all(line.replace("\\|", "").count("|") == 8 for line in rows)
    assert f"{100 * test['tta']['none']['clip']['accuracy']:.1f}" in rows[0]
    assert "/home/me" not in card and "data.path=..." in card
    assert r"drum\_and\_bass" in body and "](http" not in body.replace(r"\]", "")
    assert "7,245,882 parameters" in body and "scratch" in body


def test_the_main_scores_are_those_of_the_first_split_without_tta():
    test, val = made(["a", "b"]), {**made(["a", "b"], seed=1), "split": "val"}
    found, clip = main_scores({"test": test, "val": val}), test["tta"]["none"]["clip"]
    assert json.loads(json.dumps(found)) == {
        **{"split": "test", "clips": 60, "groups": 20, "parameters": 7_245_882},
        **{"accuracy": clip["accuracy"], "calibration_error": clip["calibration"]["ece"]},
        "interval": list(clip["intervals"]["accuracy"]["shown"]),
        "reliability": clip["calibration"]["reliability"],
    }
    assert sum(one["clips"] for one in found["reliability"]) == 60
    del clip["calibration"]["reliability"]  # as in metrics of an earlier version
    assert main_scores({"test": test})["reliability"] == []


def test_confident_predictions_are_those_above_eighty_percent():
    shares = np.array([[0.79, 0.21], [0.81, 0.19], [0.95, 0.05], [0.99, 0.01], [0.5, 0.5]])
    found = confident_predictions(calibration(shares, np.array([0, 0, 1, 0, 0]))["bins"])
    assert (found["n"], found["correct"]) == (3, 2) and found["confidence"] == pytest.approx((0.81 + 0.95 + 0.99) / 3)
    assert confident_predictions([])["n"] == 0


def test_a_model_no_better_than_the_most_frequent_genre_is_marked():
    classes = ["country", "jazz", "rock"]
    chance, worse, good = (made(classes, accuracy=accuracy, seed=2) for accuracy in (0.0, 0.0, 0.95))
    low = [0.01, 0.1]
    worse["tta"]["none"]["clip"]["intervals"]["accuracy"] = {"wilson": low, "clustered": low, "shown": low}
    texts = [text_of(report_page(metrics, pictures(metrics), [])) for metrics in (chance, worse, good)]
    assert "not significantly different from" in texts[0] and "This is worse than" in texts[1]
    assert "not significantly different from" not in texts[2] and "This is worse than" not in texts[2]


def test_the_commands_can_be_pasted_into_a_shell():
    overrides = ["data.path=/my music/it's", "model.net.head_dropout=[0.1,0.1]"]
    metrics = {**made(["a", "b"]), "trained_with": [*overrides, "temperature=1.25"]}
    page = report_page(metrics, pictures(metrics), [])
    assert shlex.join(["genreclf", "train", *metrics["trained_with"]]) in html.unescape(page)
    assert "set for the training" in text_of(page) and "fitted on" not in text_of(page)


def test_a_resumed_training_is_repeated_from_its_start(tmp_path):
    record = {"overrides": ["model=svm", "seed=1", "ckpt=last"], "git_commit": None, "seed": 1}
    known = {"weights": {"pretrained": False}, "data": {"store_digest": "x", "split_digest": "y"}}
    (tmp_path / "record.json").write_text(json.dumps({**record, **known}))
    (tmp_path / "config.yaml").write_text("data: {name: folder}\nmodel: {name: svm}\nsplit: {name: all}\n")
    assert describe_training(tmp_path)["trained_with"] == ["model=svm", "seed=1"]


def test_the_card_contains_no_paths():
    overrides = ["model.weights=/home/me/w.safetensors", "+data.path=C:\\me", "data.table=~/t.csv", "model.net.x=[1,2]"]
    card = model_card({"test": {**made(["a", "b"]), "trained_with": overrides}})
    assert "me" not in re.search("    (genreclf train .*)", card)[1] and "'model.net.x=[1,2]'" in card


def test_names_need_not_be_utf8():
    metrics = made(["caf\udce9", "jazz", "rock"])
    page = report_page(metrics, pictures(metrics), [view("caf\udce9.wav", None)])
    assert "caf\\udce9.wav" in page and page.encode() and model_card({"test": metrics}).encode()

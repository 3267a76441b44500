"""Lists available models without loading any."""

import json
import shutil
from pathlib import Path

import pytest

from genreclf.inference.catalog import ModelEntry, Scores, list_models
from genreclf.inference.run_folder import DEFAULT_MODEL, PRETRAINED, pretrained_names


def test_pretrained_models_have_the_scores_of_their_cards(tmp_path):
    found = list_models(tmp_path / "no runs here")
    assert [entry.folder.name for entry in found] == list(pretrained_names()) == ["a", "b"]
    assert DEFAULT_MODEL in pretrained_names() and all("pretrained" in entry.label for entry in found)
    for entry in found:
        card = (entry.folder / "README.md").read_text()
        assert entry.scores is not None and entry.picture_seconds == 30
        assert f"{entry.scores.parameters:,} parameters" in card
        assert f"| {entry.scores} |" in card.replace("\u00a0", " ")  # a cell in the table of scores


def test_scores_read_as_in_reports():
    assert str(Scores(0.7214, (0.6499, 0.7911), 1_000)) == "72.1 % (65 to 79 %)"


@pytest.fixture
def runs(tmp_path) -> Path:
    for place in ("first/bundle", "sweep/0/bundle", "alone"):
        shutil.copytree(PRETRAINED / "a", tmp_path / place, ignore=shutil.ignore_patterns("model.*", "scores.json"))
    return tmp_path


def trained(runs: Path) -> dict[str, ModelEntry]:
    return {entry.label: entry for entry in list_models(runs)[len(pretrained_names()) :]}


def test_runs_and_bundles_are_found_and_broken_ones_left_out(runs, tmp_path_factory):
    for name, text in (("broken", "{"), ("odd", "[1]"), ("old", '{"format": 6, "name": "a"}')):
        (runs / name / "bundle").mkdir(parents=True)
        (runs / name / "bundle" / "config.json").write_text(text)
    (runs / "old" / "config.json").symlink_to("lost")
    (runs / "elsewhere").symlink_to(shutil.move(runs / "alone", tmp_path_factory.mktemp("disk")))
    (runs / "sweep" / "all").symlink_to(runs)
    found = trained(runs)
    assert set(found) == {"first", "sweep/0", "elsewhere"}
    assert all(entry.scores is None for entry in found.values())
    assert found["first"].folder == runs / "first" / "bundle" and found["first"].picture_seconds == 30


@pytest.mark.parametrize(
    "change", [{}, {"interval": None}, {"interval": [0.1]}, {"accuracy": "high"}, {"interval": [0.1, float("nan")]}]
)
def test_scores_that_are_incomplete_count_as_none(runs, change):
    values = {"accuracy": 0.5, "interval": [0.4, 0.6], "parameters": 7} | change
    (runs / "alone" / "scores.json").write_text(json.dumps(values))
    expected = None if change else Scores(0.5, (0.4, 0.6), 7)
    assert trained(runs)["alone"].scores == expected


def test_the_main_score_of_several_labels_is_the_mean_average_precision(runs):
    values = {"task": "multilabel", "mean_average_precision": 0.412, "interval": [0.38, 0.44], "parameters": 7}
    (runs / "alone" / "scores.json").write_text(json.dumps(values))
    scores = trained(runs)["alone"].scores
    assert scores is not None and scores.name == "mean average precision" and str(scores) == "41.2 % (38 to 44 %)"
    (runs / "alone" / "scores.json").write_text(json.dumps(values | {"task": "ranking"}))
    assert trained(runs)["alone"].scores is None


BIN = {"low": 0, "high": 1, "clips": 2, "accuracy": 1}
WRONG_BINS = [BIN | {"high": 0, "low": 1}, BIN | {"clips": 0}, BIN | {"accuracy": 9}, {"low": 0}]


@pytest.mark.parametrize("damaged", [5, "x", [1], [{}], {"low": 0}, [BIN, BIN], *([one] for one in WRONG_BINS)])
def test_damaged_reliability_hides_no_other_score(runs, damaged):
    values = {"accuracy": 0.5, "interval": [0.4, 0.6], "parameters": 7, "reliability": damaged}
    (runs / "alone" / "scores.json").write_text(json.dumps(values))
    assert trained(runs)["alone"].scores == Scores(0.5, (0.4, 0.6), 7)

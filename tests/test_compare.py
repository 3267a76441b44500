"""The comparison of finished runs from the command line; their folders are made by hand, their answers made up."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import Finished, command

from genreclf.evaluation.predictions import Predictions, write_predictions

CLASSES = ("a", "b")


def finished_run(folder: Path, model: str, seed: int = 0, fold: int = 0, share: float = 0.6, **changes: object) -> Path:
    """A run folder whose test clips are every third of sixty, by fold, and whose answers are right in a share."""
    config = {
        **{"seed": seed, "run": str(folder), "ckpt": None, "cache": "/c", "batch_size": changes.get("batch_size", 16)},
        **{"workers": 0, "logger": {}, "model": {"name": model}, "data": {"path": "/music"}},
        "split": {"name": "folds", "fold": fold, "folds": 3},
    }
    (folder / "bundle").mkdir(parents=True)
    (folder / "bundle" / "config.json").write_text("{}")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    overrides = [f"model={model}", f"seed={seed}", f"split.fold={fold}", *changes.get("overrides", [])]
    (folder / "record.json").write_text(json.dumps({"overrides": overrides, "seed": seed}))
    clips = list(range(fold, changes.get("clips", 60), 3))
    rng = np.random.default_rng([seed, fold, sum(model.encode())])
    shares = np.where(rng.random(len(clips))[:, None] < share, [[0.9, 0.1]], [[0.2, 0.8]])
    names, groups = tuple(f"{i:03d}.wav" for i in clips), tuple(str(i % changes.get("groups", 50)) for i in clips)
    answers = Predictions(CLASSES, names, names, groups, np.zeros(len(clips), int), shares)
    (folder / "evaluation" / "test").mkdir(parents=True)
    write_predictions(folder / "evaluation" / "test" / "predictions.parquet", {"none": answers})
    return folder


def sweep(folder: Path) -> Path:
    """Two models, two seeds, three folds; b is right far more often."""
    for model, share in (("a", 0.5), ("b", 0.95)):
        for seed in (0, 1):
            for fold in range(3):
                finished_run(folder / f"{model},{seed},{fold}", model, seed, fold, share)
    return folder


def one_line(result: Finished) -> str:
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("genreclf: ")]
    assert len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
    return lines[0]


def test_a_sweep_is_compared_as_it_is(tmp_path):
    result = command("compare", sweep(tmp_path / "sweep"), "--out", tmp_path / "out", cache=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (found["clips"], found["groups"], found["split"], found["tta"]) == (60, 50, "test", "none")
    assert [one["label"] for one in found["systems"]] == ["b", "a"]
    assert all(one["seeds"] == [0, 1] and len(one["accuracy_by_fold"]) == 3 for one in found["systems"])
    assert len(found["systems"][0]["runs"]) == 6
    (own,) = found["pairs"]
    assert own["difference"] == pytest.approx(found["systems"][0]["accuracy"] - found["systems"][1]["accuracy"])
    assert "b is better than a" in own["verdict"] and own["verdict"] in result.stdout
    assert own["verdict"] in (tmp_path / "out" / "comparison.md").read_text()
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 5_000


def test_a_run_named_twice_counts_once_and_one_system_has_no_pairs(tmp_path):
    run = finished_run(tmp_path / "x", "a")
    result = command("compare", run, run, tmp_path, "--out", tmp_path / "out", cache=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert found["pairs"] == [] and found["systems"][0]["runs"] == [str(run)]
    assert (tmp_path / "out" / "comparison.png").is_file()


def test_labels_say_what_differs(tmp_path):
    finished_run(tmp_path / "1", "a", overrides=["batch_size=8", "trainer.devices=1"], batch_size=8)
    finished_run(tmp_path / "2", "a", overrides=["trainer.devices=1"])
    finished_run(tmp_path / "3", "a", overrides=["trainer.devices=1"], batch_size=4)
    result = command("compare", tmp_path, "--out", tmp_path / "out", cache=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert sorted(one["label"] for one in found["systems"]) == ["a batch_size=16", "a batch_size=4", "a batch_size=8"]


def test_overrides_with_brackets_are_shown_as_they_are(tmp_path):
    odd = ["x.y=[/bold]", "x.z=[red]", "x.s=$\\\\foo$"]
    finished_run(tmp_path / "1", "a", overrides=odd, batch_size=8)
    finished_run(tmp_path / "2", "a")
    result = command("compare", tmp_path, "--out", tmp_path / "out", cache=tmp_path)
    assert result.returncode == 0, result.stderr
    tables, verdict = result.stdout.split("\n- ")
    assert tables.count("a x.y=[/bold] x.z=[red] x.s=$") == 2 and "a x.y=[/bold] x.z=[red]" in verdict


def test_the_tables_fit_eighty_columns(tmp_path):
    narrow = "import os; os.environ['COLUMNS'] = '80'"
    folder = sweep(tmp_path / "sweep")
    result = command("compare", folder, "--out", tmp_path / "out", cache=tmp_path, before=narrow)
    tables = result.stdout.split("\n- ")[0].splitlines()
    assert all(len(line) <= 80 and line[-1:] != "…" for line in tables)
    for heading in ("over folds", "ECE", "shown from", "p, Holm"):
        assert any(heading in line and line.endswith("┃") for line in tables)


def test_calibrated_folds_are_tempered_by_the_others(tmp_path):
    """Answers right in 60 %, of a confidence of 0.8 to 0.9, are too sure."""
    folder = tmp_path / "sweep"
    for fold in range(3):
        finished_run(folder / str(fold), "a", fold=fold, clips=600)
    errors = {}
    for flags in ((), ("--calibrate",)):
        result = command("compare", folder, "--out", tmp_path / "out", *flags, cache=tmp_path)
        assert result.returncode == 0, result.stderr
        (own,) = json.loads((tmp_path / "out" / "comparison.json").read_text())["systems"]
        errors[flags] = own["ece"]
    assert errors[("--calibrate",)] < 0.7 * errors[()]
    assert own["temperature"] > 2
    assert f"split=all temperature={own['temperature']:.2f}" in result.stdout
    assert "each fold apply_temperature by what fits the others" in (tmp_path / "out" / "comparison.md").read_text()


def test_one_fold_cannot_be_calibrated(tmp_path):
    run = finished_run(tmp_path / "x", "a")
    assert "--calibrate: a has one fold" in one_line(command("compare", run, "--calibrate", cache=tmp_path))


SCORER = """
import shutil, genreclf.evaluate
def score(config, overrides):
    assert config["batch_size"] == 32 and config["device"] == "auto" and config["clips"] == "test"
    assert overrides[-1] == f"tta={config['tta']}"
    print("asked for", config["tta"])
    shutil.copytree("kept", config["run"] + "/evaluation/test")
genreclf.evaluate.score = score
"""


def test_what_was_not_scored_is_scored_once(tmp_path):
    run = finished_run(tmp_path / "run", "a")
    (run / "evaluation" / "test").rename(tmp_path / "kept")
    result = command("compare", run, "--out", tmp_path / "out", cache=tmp_path, before=SCORER)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"scoring {run}\nasked for keys\n")
    again = command("compare", run, "--out", tmp_path / "out", cache=tmp_path, before=SCORER)
    assert again.returncode == 0 and "scoring" not in again.stdout


def test_a_run_that_cannot_be_scored_ends_the_comparison(tmp_path):
    run = finished_run(tmp_path / "run", "a")
    (run / "evaluation" / "test" / "predictions.parquet").unlink()
    line = one_line(command("compare", run, "--out", tmp_path / "out", cache=tmp_path))
    assert str(run / "bundle") in line and not (tmp_path / "out").exists()


def test_mistakes_are_one_clear_line(tmp_path):
    def told(*words: object) -> str:
        return one_line(command("compare", *words, cache=tmp_path))

    whole = finished_run(tmp_path / "whole", "a")
    (tmp_path / "empty").mkdir()
    assert "no run folder, and holds none" in told(tmp_path / "empty")
    assert "no run folder, and holds none" in told(tmp_path / "nowhere")
    other_fold = finished_run(tmp_path / "fold", "b", fold=1)
    assert "were scored on different clips: 40 are not the same in both (first: 000.wav)" in told(whole, other_fold)
    other_groups = finished_run(tmp_path / "groups", "b", groups=7)
    assert "put clips in different groups; train both with the same data.table" in told(whole, other_groups)
    again = finished_run(tmp_path / "again", "a")
    assert "scored 000.wav, and so did" in told(whole, again)
    (again / "bundle" / "config.json").unlink()
    assert "its training did not end" in told(again)
    broken = finished_run(tmp_path / "broken", "b")
    for text in ("", "seed: 1"):
        (broken / "config.yaml").write_text(text)
        assert f"{broken}: is damaged" in told(whole, broken)
    (tmp_path / "taken").touch()
    assert "--out taken: cannot be written" in told(whole, "--out", "taken")
    assert "taken: no run folder, and holds none" in told(tmp_path / "taken")
    (whole / "evaluation" / "test" / "predictions.parquet").write_text("no table")
    assert "predictions.parquet: cannot be read" in told(whole)


def test_an_unfinished_run_of_a_sweep_is_left_out_and_told(tmp_path):
    folder = sweep(tmp_path / "sweep")
    (folder / "a,0,0" / "bundle" / "config.json").unlink()
    for fold in (1, 2):
        (folder / f"a,0,{fold}" / "bundle" / "config.json").unlink()
    result = command("compare", folder, "--out", tmp_path / "out", cache=tmp_path)
    assert result.returncode == 0 and result.stderr.count("its training did not end") == 3
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [one["seeds"] for one in found["systems"]] == [[0, 1], [1]]

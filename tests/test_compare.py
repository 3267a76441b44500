"""Runs the command compare on run folders with random predictions."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from unreadable import make_unreadable

from genreclf.compare import main
from genreclf.evaluate import EvaluateConfig, MovedData
from genreclf.evaluation.predictions import Predictions, write_predictions
from genreclf.text import markdown_text

CLASSES = ("a", "b")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def compare(capsys, monkeypatch, tmp_path, no_plots) -> Command:
    """Runs the command in `tmp_path` with --out out; returns exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("genreclf.evaluation.intervals.DRAWS", 1_000)

    def run(*words: object) -> tuple[int, str, str]:
        code = main(["--out", "out", *map(str, words)])
        return code, *capsys.readouterr()

    return run


def comparison(folder: Path) -> dict:
    return json.loads((folder / "out" / "comparison.json").read_text())


def finished_run(folder: Path, model: str, seed: int = 0, fold: int = 0, share: float = 0.6, **changes: object) -> Path:
    """Makes a run folder. A fold tests every third of sixty clips, with an accuracy of about `share`."""
    config = {
        **{"seed": seed, "run": str(folder), "ckpt": None, "cache": "/c", "batch_size": changes.get("batch_size", 16)},
        **{"workers": 0, "logger": {}, "model": {"name": model}, "data": {"path": "/music"}},
        "split": {"name": "folds", "salt": "", "fold": fold, "folds": 3},
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
    predictions = Predictions(CLASSES, names, names, groups, np.zeros(len(clips), int), shares)
    (folder / "evaluation" / "test").mkdir(parents=True)
    write_predictions(folder / "evaluation" / "test" / "predictions.parquet", {"none": predictions})
    return folder


def sweep(folder: Path) -> Path:
    """Makes runs of two models, two seeds and three folds; b is far more accurate."""
    for model, share in (("a", 0.5), ("b", 0.95)):
        for seed in (0, 1):
            for fold in range(3):
                finished_run(folder / f"{model},{seed},{fold}", model, seed, fold, share)
    return folder


def test_a_sweep_is_compared(tmp_path, compare):
    code, output, _ = compare(sweep(tmp_path / "sweep"))
    assert code == 0
    found = comparison(tmp_path)
    assert (found["clips"], found["groups"], found["split"], found["tta"]) == (60, 50, "test", "none")
    assert [one["label"] for one in found["systems"]] == ["b", "a"]
    assert all(one["seeds"] == [0, 1] and len(one["accuracy_by_fold"]) == 3 for one in found["systems"])
    assert len(found["systems"][0]["runs"]) == 6
    (pair,) = found["pairs"]
    assert pair["difference"] == pytest.approx(found["systems"][0]["accuracy"] - found["systems"][1]["accuracy"])
    assert "b is better than a" in pair["verdict"] and pair["verdict"] in output
    assert markdown_text(pair["verdict"]) in (tmp_path / "out" / "comparison.md").read_text()
    assert (tmp_path / "out" / "comparison.png").is_file()


def test_a_run_named_twice_counts_once_and_one_system_has_no_pairs(tmp_path, compare):
    run = finished_run(tmp_path / "x", "a")
    assert compare(run, run, tmp_path)[0] == 0
    found = comparison(tmp_path)
    assert found["pairs"] == [] and found["systems"][0]["runs"] == [str(run)]
    assert (tmp_path / "out" / "comparison.png").is_file()


def test_labels_contain_what_differs(tmp_path, compare):
    finished_run(tmp_path / "1", "a", overrides=["batch_size=8", "trainer.devices=1"], batch_size=8)
    finished_run(tmp_path / "2", "a", overrides=["trainer.devices=1"])
    finished_run(tmp_path / "3", "a", overrides=["trainer.devices=1"], batch_size=4)
    assert compare(tmp_path)[0] == 0
    labels = sorted(one["label"] for one in comparison(tmp_path)["systems"])
    assert labels == ["a batch_size=16", "a batch_size=4", "a batch_size=8"]


def test_labels_are_printed_without_markup(tmp_path, compare):
    overrides = ["x.y=[/bold]", "x.z=[red]", "x.s=$\\\\foo$"]
    finished_run(tmp_path / "1", "a", overrides=overrides, batch_size=8)
    finished_run(tmp_path / "2", "a")
    code, output, _ = compare(tmp_path)
    assert code == 0
    tables, verdict = output.split("\n- ")
    assert tables.count("a x.y=[/bold] x.z=[red] x.s=$") == 2 and "a x.y=[/bold] x.z=[red]" in verdict


def test_the_tables_fit_eighty_columns(tmp_path, compare, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    tables = compare(sweep(tmp_path / "sweep"))[1].split("\n- ")[0].splitlines()
    assert all(len(line) <= 80 and line[-1:] != "…" for line in tables)
    for heading in ("SD folds", "ECE", "detectable", "p (Holm)"):
        assert any(heading in line and line.endswith("┃") for line in tables)


def test_folds_are_calibrated_on_the_others(tmp_path, compare):
    """Predictions with an accuracy of 60 % and a confidence of 80 to 90 % are overconfident."""
    folder = tmp_path / "sweep"
    for fold in range(3):
        finished_run(folder / str(fold), "a", fold=fold, clips=600)
    errors = {}
    for flags in ((), ("--calibrate",)):
        code, output, _ = compare(folder, *flags)
        assert code == 0
        (system,) = comparison(tmp_path)["systems"]
        errors[flags] = system["ece"]
    assert errors[("--calibrate",)] < 0.7 * errors[()]
    assert system["temperature"] > 2
    assert f"split=all temperature={system['temperature']:.2f}" in output
    assert "fitted on the other folds" in (tmp_path / "out" / "comparison.md").read_text()


def test_a_run_without_predictions_is_scored_once(tmp_path, compare, monkeypatch):
    run, configs = finished_run(tmp_path / "run", "a"), []
    (run / "evaluation").rename(tmp_path / "kept")

    def score(config: EvaluateConfig) -> None:
        configs.append(config)
        shutil.copytree(tmp_path / "kept", Path(config.run) / "evaluation")

    monkeypatch.setattr("genreclf.evaluate.score", score)
    code, output, _ = compare(run)
    assert code == 0 and output.startswith(f"scoring {run}\n")
    shutil.rmtree(run / "evaluation")
    monkeypatch.setenv("HOME", "/home/me")
    code, _, _ = compare(run, "data.path=~/moved", "data.table=x=y.csv")
    assert code == 0
    code, output, _ = compare(run)
    assert code == 0 and "scoring" not in output
    places = MovedData(None, None, None, None), MovedData(Path("/home/me/moved"), Path("x=y.csv"), None, None)
    assert configs == [
        EvaluateConfig(str(run), "test", "pitch_shift", (), "auto", place, None, None) for place in places
    ]


def test_a_run_that_cannot_be_scored_ends_the_comparison(tmp_path, compare):
    run = finished_run(tmp_path / "run", "a")
    (run / "evaluation" / "test" / "predictions.parquet").unlink()
    code, _, errors = compare(run)
    assert code == 2 and errors.count("\n") == 1 and str(run / "bundle") in errors and not (tmp_path / "out").exists()


def test_mistakes_are_one_line_with_the_file_and_the_remedy(tmp_path, compare):
    def message(*words: object) -> str:
        code, _, errors = compare(*words)
        assert code == 2 and errors.count("\n") == 1 and errors.startswith("genreclf: ")
        return errors

    def names(text: str, *parts: object) -> bool:
        return all(str(part) in text for part in parts)

    whole = finished_run(tmp_path / "whole", "a")
    (tmp_path / "empty").mkdir()
    assert names(message(tmp_path / "empty"), tmp_path / "empty", "genreclf train")
    assert names(message(tmp_path / "nowhere"), tmp_path / "nowhere", "genreclf train")
    assert names(message(whole, "--calibrate"), "--calibrate", "all folds")
    other_fold = finished_run(tmp_path / "fold", "b", fold=1)
    assert names(message(whole, other_fold), "40", "000.wav", "all of its folds")
    other_groups = finished_run(tmp_path / "groups", "b", groups=7)
    assert names(message(whole, other_groups), "groups", "data.table")
    again = finished_run(tmp_path / "again", "a")
    assert names(message(whole, again), whole, again, "000.wav", "leave one")
    (again / "bundle" / "config.json").unlink()
    assert names(message(again), again, "did not finish")
    for lost in ("record.json", "config.yaml"):
        half = finished_run(tmp_path / f"without {lost}", "b")
        (half / lost).unlink()
        assert names(message(half), half / lost, "No such file", "copy")
    broken = finished_run(tmp_path / "broken", "b")
    for text in ("", "seed: 1"):
        (broken / "config.yaml").write_text(text)
        assert names(message(whole, broken), broken / "config.yaml", "copy")
    (broken / "config.yaml").write_text("{seed: x, data: {}, model: {name: b}, split: {name: folds}}")
    assert names(message(whole, broken), broken / "config.yaml", "damaged (seed)")
    (whole / "evaluation" / "test" / "predictions.parquet").write_text("no table")
    assert names(message(whole), "predictions.parquet", "delete")


def test_the_true_fault_of_a_place_is_told_before_scoring(tmp_path, compare, monkeypatch):
    """The run has no predictions, so it would be scored."""
    run = finished_run(tmp_path / "sweep" / "run", "a")
    shutil.rmtree(run / "evaluation")
    monkeypatch.setattr("genreclf.evaluate.score", None)
    (tmp_path / "taken").touch()
    code, _, errors = compare(run, "--out", "taken/x")
    assert code == 2 and errors.startswith("genreclf: --out taken/x: cannot be written (Not a directory); ")
    make_unreadable(monkeypatch, "/run")
    code, _, errors = compare(tmp_path / "sweep")
    assert code == 2 and errors.startswith(f"genreclf: {run}: cannot be read (Permission denied); ")
    code, _, errors = compare(tmp_path / "nowhere")
    assert code == 2 and errors.startswith(f"genreclf: {tmp_path / 'nowhere'}: cannot be read (No such file")
    assert not (tmp_path / "out").exists()


def test_slices_show_each_system_and_its_distance_from_the_first(tmp_path, compare):
    folder, table = sweep(tmp_path / "sweep"), tmp_path / "clips.csv"
    cells = ["radio" if i < 20 else "home, [b]|*x*" if i < 50 else "" for i in range(60)]
    lines = (f'{i:03d}.wav,x,"{cell}",7' for i, cell in enumerate(cells))
    table.write_text("\n".join(["path,genre,Source,tempo", *lines]))
    code, output, errors = compare(folder, f"data.table={table}", "--slices", "source", "genre")
    assert code == 0 and "ignores 'tempo'" in errors and "'Source'" not in errors
    found = comparison(tmp_path)
    home, radio, no_source = found["slices"]["source"]["values"]
    assert [one["value"] for one in (home, radio, no_source)] == ["home, [b]|*x*", "radio", ""]
    assert [one["clips"] for one in (home, radio, no_source)] == [30, 20, 10]
    (genre,) = found["slices"]["genre"]["values"]
    assert (genre["value"], genre["clips"]) == ("a", 60)
    for whole, part in zip(found["systems"], genre["systems"], strict=True):
        assert [whole[key] for key in ("label", "accuracy", "log_loss", "ece")] == pytest.approx(
            [part[key] for key in ("label", "accuracy", "log_loss", "ece")]
        )
        assert part["intervals"]["accuracy"] == pytest.approx(whole["clustered"])
    assert genre["systems"][1]["behind_first"] == {key: found["pairs"][0][key] for key in ("difference", "clustered")}
    for slice_ in (home, radio, no_source):
        first, second = slice_["systems"]
        assert first["behind_first"] is None
        assert second["behind_first"]["difference"] == pytest.approx(first["accuracy"] - second["accuracy"])
    assert sum(one["clips"] * one["systems"][1]["accuracy"] for one in (home, radio, no_source)) == pytest.approx(
        60 * found["systems"][1]["accuracy"]
    )
    card = (tmp_path / "out" / "comparison.md").read_text()
    assert "## By source" in card and "(none)" in output and "home, [b]|*x*" in output
    rows = [
        line for line in card.replace("\\|", "").splitlines() if line.startswith(("| radio", "| home", "| \\(none"))
    ]
    assert all(row.count("|") == 13 for row in rows) and card.count("| radio |") == 2


def test_a_slice_that_is_not_a_column_is_refused_before_scoring(tmp_path, compare):
    run, table = finished_run(tmp_path / "run", "a"), tmp_path / "clips.csv"
    shutil.rmtree(run / "evaluation")  # so that it would be scored first
    table.write_text("path,genre,source\n000.wav,x,radio\n")
    code, _, errors = compare(run, "--slices", "mood", f"data.table={table}")
    assert code == 2 and all(part in errors for part in ("slices=[mood]", str(table), "'path', 'genre', 'source'"))
    code, _, errors = compare(run, "--slices", "source")
    assert code == 2 and errors.count("\n") == 1 and all(part in errors for part in ("[source]", "data.table", "genre"))


def test_unfinished_runs_of_a_sweep_are_left_out(tmp_path, compare):
    folder = sweep(tmp_path / "sweep")
    for fold in range(3):
        (folder / f"a,0,{fold}" / "bundle" / "config.json").unlink()
    code, _, errors = compare(folder)
    assert code == 0 and all(str(folder / f"a,0,{fold}") in errors for fold in range(3))
    assert [one["seeds"] for one in comparison(tmp_path)["systems"]] == [[0, 1], [1]]


def test_the_former_name_of_a_tta_is_refused(tmp_path, compare):
    code, _, errors = compare(finished_run(tmp_path / "x", "a"), "--tta", "keys")
    assert code == 2 and errors.count("\n") == 1 and "--tta" in errors and "pitch_shift" in errors

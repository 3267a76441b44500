"""The command evaluate, on a run folder made without training."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
import sklearn.metrics
import yaml
from bundles import of_yaml, random_bundle

from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.evaluate import main
from genreclf.evaluation.predictions import predict_clips, stored_clip
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import Bundle, load_bundle, save_bundle
from genreclf.inference.predictor import Predictor

PLOTS = [f"{plot}-{tta}.png" for tta in ("none", "flip") for plot in ("confusion", "per-class", "reliability")]


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genreclf.evaluation.intervals.DRAWS", 1_000)
        yield


@pytest.fixture(scope="module")
def bundle(tiny_folder) -> Bundle:
    bundle = random_bundle("a")
    return replace(bundle, info=replace(bundle.info, classes=("click", "noise", "tone"), frames_per_column=1.0))


@pytest.fixture(scope="module")
def config(tiny_data) -> dict:
    """The configuration of a training on the tiny folder."""
    data = {key: str(value) if isinstance(value, Path) else value for key, value in vars(tiny_data).items()}
    groups = {"data": data, "split": of_yaml("split", "hashed"), "view": of_yaml("view", "crop")}
    rest = {"batch_size": 8, "workers": 0, "seed": 0, "model": {"name": "a"}}
    return {**groups, "augment": of_yaml("augment", "none"), **rest}


@pytest.fixture(scope="module")
def datamodule(config) -> SpectrogramDataModule:
    datamodule = SpectrogramDataModule.from_config(config)
    datamodule.setup()
    return datamodule


@pytest.fixture(scope="module")
def run(tmp_path_factory, bundle, config, datamodule) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:  # evaluation needs no model.onnx, and making it takes long
        patch.setattr("genreclf.exporters.bundle.bundle_onnx", lambda net, digest: b"")
        save_bundle(folder / "bundle", bundle)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    record = {
        "overrides": ["model=a"],
        "git_commit": None,
        "seed": 0,
        "weights": {"asked": "none", "pretrained": False},
    }
    (folder / "record.json").write_text(json.dumps({**record, "data": datamodule.summary()}))
    return folder


@pytest.fixture(scope="module")
def evaluated(run) -> Path:
    """The folder of its evaluation."""
    assert main([str(run), "tta=flip"]) == 0
    return run / "evaluation" / "test"


@pytest.fixture
def message(capsys):
    """Runs the command with a mistake; gives its one line of error."""

    def refused(*words: object) -> str:
        code, errors = main([str(word) for word in words]), capsys.readouterr().err
        assert code == 2 and errors.startswith("genreclf: ") and errors.count("\n") == 1, errors
        return errors

    return refused


def test_predictions_are_those_of_the_predictor(evaluated, run, datamodule):
    table = pandas.read_parquet(evaluated / "predictions.parquet")
    clips = datamodule.clips["test"]
    assert len(table) == 2 * len(clips) and set(table.tta) == {"none", "flip"}
    predictor = Predictor(TorchModel(load_bundle(run / "bundle"), "cpu"))
    rows = table[table.tta == "none"].set_index("path")
    for clip in clips:
        row = rows.loc[datamodule.store.rows[clip].path]
        expected = predictor.predict(stored_clip(datamodule.store, clip))
        assert row[["p_click", "p_noise", "p_tone"]].tolist() == pytest.approx(expected.probabilities, abs=1e-6)
        assert (row.predicted, row.true) == (expected.genre, datamodule.store.rows[clip].label)


def test_scores_are_those_of_the_written_predictions(evaluated):
    metrics = json.loads((evaluated / "metrics.json").read_text())
    table = pandas.read_parquet(evaluated / "predictions.parquet")
    for tta, rows in table.groupby("tta"):
        clip = metrics["tta"][tta]["clip"]
        assert clip["accuracy"] == pytest.approx((rows.true == rows.predicted).mean())
        probabilities = rows[["p_click", "p_noise", "p_tone"]]
        labels = ["click", "noise", "tone"]
        loss = sklearn.metrics.log_loss(rows.true, probabilities, labels=labels)
        assert clip["log_loss"] == pytest.approx(loss, rel=1e-6) and clip["n"] == len(rows)
        assert clip["intervals"]["accuracy"]["shown"]


def test_uncalibrated_scores_are_those_without_the_temperature(evaluated, run, datamodule):
    loaded = load_bundle(run / "bundle")
    uncalibrated = Predictor(TorchModel(replace(loaded, info=replace(loaded.info, temperature=1.0)), "cpu"))
    clips = datamodule.clips["test"]
    found = predict_clips(uncalibrated, datamodule.store, clips, "")
    true = [datamodule.classes.index(datamodule.store.rows[clip].label) for clip in clips]
    losses = [-np.log(prediction.probabilities[number]) for prediction, number in zip(found, true, strict=True)]
    clip = json.loads((evaluated / "metrics.json").read_text())["tta"]["none"]["clip"]
    assert clip["uncalibrated"]["log_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert clip["log_loss"] != pytest.approx(np.mean(losses), rel=1e-3)


def test_report_card_scores_and_plots_are_written(evaluated, run):
    assert all((evaluated / plot).stat().st_size > 5_000 for plot in PLOTS)
    metrics = json.loads((evaluated / "metrics.json").read_text())
    clip = metrics["tta"]["none"]["clip"]
    assert f"{100 * clip['accuracy']:.1f}" in (evaluated / "report.html").read_text()
    assert f"{100 * clip['accuracy']:.1f}" in (run / "bundle" / "README.md").read_text()
    scores = json.loads((run / "bundle" / "scores.json").read_text())
    assert (scores["accuracy"], scores["interval"]) == (clip["accuracy"], clip["intervals"]["accuracy"]["shown"])
    assert scores["split"] == "test" and scores["parameters"] == metrics["parameters"] > 1_000_000
    assert metrics["command"] == [str(run), "clips=test", "tta=flip"]


def test_the_card_has_both_splits_and_leaves_out_metrics_of_earlier_versions(run, evaluated, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    assert main([str(copy), "clips=val", "tta=none"]) == 0
    card = (copy / "bundle" / "README.md").read_text()
    assert len(re.findall(r"^\| none \|", card, re.MULTILINE)) == 2
    assert json.loads((copy / "bundle" / "scores.json").read_text())["split"] == "test"
    (copy / "evaluation" / "test" / "metrics.json").write_text('{"tta": {}}')
    capsys.readouterr()
    assert main([str(copy), "clips=val", "tta=none"]) == 0
    assert "clips=test" in capsys.readouterr().err
    assert json.loads((copy / "bundle" / "scores.json").read_text())["split"] == "val"


def test_the_table_shows_all_scores_and_where_they_are(evaluated, run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main([str(run), "tta=flip"]) == 0
    output = capsys.readouterr().out
    assert all(word in output for word in ("none", "flip", "accuracy", "ECE", "audit:"))
    assert str(evaluated / "report.html") in output and str(run / "bundle" / "README.md") in output


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["clips=train"], ["clips=train", "test, val"]),
        (["tta=keys"], ["tta=keys", "pitch_shift"]),
        (["tta=five"], ["tta=five", "six"]),
        (["batch_size=0"], ["batch_size"]),
        (["device=tpu"], ["device=tpu", "cpu"]),
    ],
)
def test_senseless_values_are_refused(run, message, words, parts):
    text = message(run, *words)
    assert all(part in text for part in parts)


def test_only_a_run_can_be_evaluated(run, tmp_path, message):
    assert all(part in message("a") for part in ("a:", "pretrained", "./a", "run"))
    assert all(part in message(run / "bundle") for part in (str(run / "bundle"), "record.json", "run"))
    assert str(tmp_path) in message(tmp_path)
    assert "RUN" in message()
    assert str(run) in message(f"run={run}")


def test_data_that_moved_are_scored_and_data_that_changed_are_refused(run, evaluated, tiny_folder, tmp_path, message):
    copy, music = tmp_path / "run", tmp_path / "music"
    shutil.copytree(run, copy)
    shutil.copytree(tiny_folder, music)
    words = f"data.path={music}", f"cache={tmp_path / 'cache'}"
    assert main([str(copy), "tta=flip", *words]) == 0
    scored = json.loads((copy / "evaluation" / "test" / "metrics.json").read_text())
    assert scored["tta"] == json.loads((evaluated / "metrics.json").read_text())["tta"]
    assert scored["command"][-1] == words[0] and (tmp_path / "cache" / "stores").is_dir()
    (music / "tone" / "tone.00001.wav").write_bytes((music / "tone" / "tone.00002.wav").read_bytes())
    assert all(part in message(copy, *words) for part in (str(copy), str(music), "restore", "data.path"))
    assert all(part in message(copy, "data.path=/nowhere") for part in ("data.path=/nowhere", "no such folder"))


def test_a_split_that_changed_is_refused(run, config, tmp_path, message):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "config.yaml").write_text(yaml.safe_dump({**config, "split": {**config["split"], "salt": "other"}}))
    assert all(part in message(copy) for part in (str(copy), "split", "restore"))


def test_a_damaged_run_folder_is_named(run, config, tmp_path, message):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "config.yaml").write_text(yaml.safe_dump({**config, "view": {**config["view"], "x": 1}}))
    assert all(part in message(copy) for part in (str(copy / "config.yaml"), "view.x"))
    (copy / "record.json").write_text("no JSON")
    assert all(part in message(copy) for part in (str(copy), "copy the run again"))

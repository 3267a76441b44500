"""Runs the command evaluate on a run folder that was made without training."""

import contextlib
import io
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
from bundles import random_bundle
from data_config import of_yaml

from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.evaluate import main
from genreclf.evaluation.predictions import predict_clips, stored_clip
from genreclf.evaluation.result_files import write_card
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import Bundle, load_bundle, save_bundle
from genreclf.inference.predictor import Predictor

pytestmark = pytest.mark.usefixtures("no_plots")  # except those of the fixture `printed`

PLOTS = [f"{plot}-{tta}.png" for tta in ("none", "flip") for plot in ("confusion", "per-class", "reliability")]


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genreclf.evaluation.intervals.DRAWS", 1_000)
        yield


@pytest.fixture(scope="module")
def bundle(tiny_folder) -> Bundle:
    bundle = random_bundle("a", channels=[8, 8, 16, 16], lstm_units=[8], statistics_units=4)
    return replace(bundle, info=replace(bundle.info, classes=("click", "noise", "tone"), frames_per_column=1.0))


@pytest.fixture(scope="module")
def config(tiny_data) -> dict:
    """The configuration of a training run on the tiny folder."""
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
    with pytest.MonkeyPatch.context() as patch:  # evaluation needs no model.onnx, which is slow to make
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
def printed(run) -> str:
    """The output of the run's evaluation."""
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.setenv("COLUMNS", "200")
        assert main([str(run), "tta=flip"]) == 0
    return output.getvalue()


@pytest.fixture(scope="module")
def evaluated(run, printed) -> Path:
    """The folder of the run's evaluation."""
    return run / "evaluation" / "test"


@pytest.fixture
def message(capsys):
    """Runs the command with a mistake; returns its error line."""

    def refused(*words: object) -> str:
        code, errors = main([str(word) for word in words]), capsys.readouterr().err
        assert code == 2 and errors.startswith("genreclf: ") and errors.count("\n") == 1, errors
        return errors

    return refused


def test_predictions_equal_the_predictors(evaluated, run, datamodule):
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


def test_scores_match_the_written_predictions(evaluated):
    metrics = json.loads((evaluated / "metrics.json").read_text())
    table = pandas.read_parquet(evaluated / "predictions.parquet")
    for tta, rows in table.groupby("tta"):
        clip = metrics["tta"][tta]["clip"]
        assert clip["macro_accuracy"] == pytest.approx(
            sklearn.metrics.balanced_accuracy_score(rows.true, rows.predicted)
        )
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


def test_report_card_scores_and_plots_are_written(evaluated, run, bundle):
    assert all((evaluated / plot).stat().st_size > 5_000 for plot in PLOTS)
    metrics = json.loads((evaluated / "metrics.json").read_text())
    clip = metrics["tta"]["none"]["clip"]
    assert f"{100 * clip['accuracy']:.1f}" in (evaluated / "report.html").read_text()
    assert f"{100 * clip['accuracy']:.1f}" in (run / "bundle" / "README.md").read_text()
    scores = json.loads((run / "bundle" / "scores.json").read_text())
    assert (scores["accuracy"], scores["interval"]) == (clip["accuracy"], clip["intervals"]["accuracy"]["shown"])
    parameters = sum(parameter.numel() for parameter in bundle.net.parameters())
    assert scores["split"] == "test" and scores["parameters"] == metrics["parameters"] == parameters
    assert metrics["command"] == [str(run), "clips=test", "tta=flip"]


def test_the_card_has_both_splits_and_leaves_out_metrics_that_were_edited_or_of_earlier_versions(
    run, evaluated, tmp_path, capsys
):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    assert main([str(copy), "clips=val", "tta=none"]) == 0
    card = (copy / "bundle" / "README.md").read_text()
    assert len(re.findall(r"^\| none \|", card, re.MULTILINE)) == 2
    assert json.loads((copy / "bundle" / "scores.json").read_text())["split"] == "test"
    metrics = json.loads((copy / "evaluation" / "val" / "metrics.json").read_text())
    for content in ('{"tta": {}}', "", "[]", json.dumps({**metrics, "tta": {"none": {"clip": {"n": "x"}}}})):
        (copy / "evaluation" / "test" / "metrics.json").write_text(content)
        capsys.readouterr()
        write_card(copy, metrics)
        assert "clips=test again" in capsys.readouterr().err
        assert json.loads((copy / "bundle" / "scores.json").read_text())["split"] == "val"


def test_the_table_shows_all_scores_and_where_they_are(printed, evaluated, run):
    assert all(word in printed for word in ("none", "flip", "accuracy", "ECE", "audit:"))
    assert str(evaluated / "report.html") in printed and str(run / "bundle" / "README.md") in printed


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
def test_invalid_values_are_refused(run, message, words, parts):
    text = message(run, *words)
    assert all(part in text for part in parts)


def test_only_a_run_has_data(run, tmp_path, message):
    assert all(part in message("a") for part in ("a:", "pretrained", "./a", "run", "data.path=DIR"))
    assert all(part in message(run / "bundle") for part in (str(run / "bundle"), "record.json", "run", "data.path=DIR"))
    assert str(tmp_path) in message(tmp_path)
    assert "RUN" in message()


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


@pytest.mark.parametrize(
    "changes", [{"name": "demo", "demo_clips_per_style": 2, "demo_seconds": 1.0}, {"fetch": "gtzan"}]
)
def test_a_mistyped_place_of_demo_music_or_of_a_public_set_stays_empty(run, config, changes, tmp_path, message):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "config.yaml").write_text(yaml.safe_dump({**config, "data": {**config["data"], **changes}}))
    before = set(tmp_path.rglob("*"))
    mistyped = tmp_path / "mistyped"
    assert all(part in message(copy, f"data.path={mistyped}") for part in (f"data.path={mistyped}", "give the folder"))
    assert set(tmp_path.rglob("*")) == before


def test_slices_are_scored_and_shown(run, tiny_folder, tmp_path, capsys):
    copy, table = tmp_path / "run", tmp_path / "clips.csv"
    shutil.copytree(run, copy)
    paths = sorted(path.relative_to(tiny_folder).as_posix() for path in tiny_folder.rglob("*.*"))
    source_of = {path: "" if path.startswith("tone") else "<b>radio|tv" for path in paths}
    rows = "".join(f"{path},{path.split('/')[0]},{source_of[path]},3\n" for path in paths)
    table.write_text(f"path,genre,Source,tempo\n{rows}")
    assert main([str(copy), "tta=none", f"data.table={table}", "slices=[source,genre]"]) == 0
    output, errors = capsys.readouterr()
    assert "ignores 'tempo'\n" in errors and "Source" not in errors
    metrics = json.loads((copy / "evaluation" / "test" / "metrics.json").read_text())
    scored = pandas.read_parquet(copy / "evaluation" / "test" / "predictions.parquet")
    slices = metrics["tta"]["none"]["clip"]["slices"]
    assert {one["value"] for one in slices["source"]["values"]} == {"", "<b>radio|tv"}
    for one in slices["source"]["values"]:
        clips = scored[scored.path.map(source_of) == one["value"]]
        assert one["n"] == len(clips) and one["accuracy"] == pytest.approx((clips.true == clips.predicted).mean())
    assert {one["value"]: one["n"] for one in slices["genre"]["values"]} == scored.true.value_counts().to_dict()
    assert "(none)" in output and "<b>radio|tv" in output and "by source" in output
    page, card = ((copy / name).read_text() for name in ("evaluation/test/report.html", "bundle/README.md"))
    assert "By source" in page and "&lt;b&gt;radio|tv" in page and "By source" in card and r"\<b\>radio\|tv" in card
    assert "slices=[source,genre]" in metrics["command"]


def test_a_place_that_takes_no_results_is_refused_before_scoring(run, tmp_path, message, monkeypatch):
    monkeypatch.setattr("genreclf.evaluate.score_clip_set", None)
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))
    (copy / "evaluation").touch()
    assert str(copy / "evaluation") in message(copy)


def test_a_slice_needs_a_column(run, tmp_path, message):
    assert all(part in message(run, "slices=[source]") for part in ("slices=[source]", "data.table", "slices=[genre]"))
    (tmp_path / "t.csv").write_text("path,genre\nx.wav,tone\n")
    text = message(run, "slices=source", f"data.table={tmp_path / 't.csv'}")
    assert all(part in text for part in ("slices=[source]", "'path', 'genre'"))


# --- Other music ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def music(tiny_folder, tmp_path_factory) -> Path:
    """Clips of two of the model's classes, one spelled differently, of an unknown class, and out-of-scope clips."""
    folder = tmp_path_factory.mktemp("music")
    names = {"Click!": "click", "noise": "noise", "birds": "tone", "speech": "tone"}
    for number, (name, kind) in enumerate(names.items()):
        (folder / name).mkdir()
        for clip in (0, 1):
            shutil.copy(tiny_folder / kind / f"{kind}.{2 * (number == 3) + clip:05d}.wav", folder / name)
    shutil.copy(tiny_folder / "click" / "click.00006.png", folder / "Click!")
    (folder / "noise" / "broken.wav").write_bytes(b"RIFF is not enough")
    return folder


def test_any_model_is_scored_on_other_music(run, music, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "model"
    shutil.copytree(run / "bundle", model)
    before = {file.name: file.read_bytes() for file in model.iterdir()}
    table = tmp_path / "t.csv"
    paths = sorted(path.relative_to(music).as_posix() for path in music.rglob("*.*"))
    table.write_text("path,artist,place\n" + "".join(f"{path},{path[:8]},home\n" for path in paths))
    words = [f"data.path={music}", "data.none=speech", "tta=none", f"data.table={table}", "slices=place", "out=found"]
    assert main([str(model), *words]) == 0
    output, errors = capsys.readouterr()
    assert "'birds' (2)" in errors and "'Click!' as 'click'" in errors and "found/report.html" in output
    assert {file.name: file.read_bytes() for file in model.iterdir()} == before
    metrics = json.loads((tmp_path / "found" / "metrics.json").read_text())
    clip = metrics["tta"]["none"]["clip"]
    assert metrics["left_out"] == {"unreadable": 1, "other_classes": {"birds": 2}, "seen": 0}
    assert (clip["n"], clip["groups"], metrics["split"]) == (5, 2, "other") and "not known" in metrics["audit"]
    scored = pandas.read_parquet(tmp_path / "found" / "predictions.parquet").set_index("path")
    predictor = Predictor(TorchModel(load_bundle(model), "cpu"))
    for path, row in scored.iterrows():
        expected = predictor.predict_file(music / path).probabilities  # also of pictures, with the model's seconds
        assert row[["p_click", "p_noise", "p_tone"]].tolist() == pytest.approx(expected, abs=1e-6)
        assert row.true == ("click" if path.startswith("Click!") else "noise")
    none = [max(predictor.predict_file(path).probabilities) for path in (music / "speech").iterdir()]
    known = scored[["p_click", "p_noise", "p_tone"]].max(axis=1).tolist()
    area = sklearn.metrics.roc_auc_score([1] * 5 + [0] * 2, known + none)
    assert (clip["none"]["n"], clip["none"]["auroc"]) == (2, pytest.approx(area))
    (place,) = clip["none"]["slices"]["place"]["values"]
    assert (place["known"], place["none"], place["auroc"]) == (5, 2, pytest.approx(area))
    page = (tmp_path / "found" / "report.html").read_text()
    assert "birds" in page and "of none of the genres" in page


def test_clips_of_the_training_are_left_out_of_other_music(run, tiny_folder, datamodule, tmp_path, capsys):
    seen = {datamodule.store.rows[clip].digest for name in ("train", "val") for clip in datamodule.clips[name]}
    new = {row.path for row in datamodule.store.rows if row.columns and row.digest not in seen}
    for number, words in enumerate(([run, "data=folder"], [run / "bundle"])):
        out = tmp_path / str(number)
        assert main([*map(str, words), f"data.path={tiny_folder}", "tta=none", f"out={out}"]) == 0
        assert "left out" in capsys.readouterr().err or number
        metrics = json.loads((out / "metrics.json").read_text())
        assert set(pandas.read_parquet(out / "predictions.parquet").path) == new
        assert metrics["left_out"]["seen"] == sum(bool(row.columns) for row in datamodule.store.rows) - len(new)
        assert metrics["training_known"] and metrics["trained_with"] == ["model=a"]


def test_mistakes_with_other_music_are_one_line(run, music, tmp_path, message):
    assert all(part in message(run, "data.none=x") for part in ("data.none", "data=folder"))
    assert "data.path" in message(run, "data=folder")
    assert all(part in message(run, "out=x") for part in ("out=x", "leave it out"))
    other = [run / "bundle", f"data.path={music}"]
    assert all(part in message(*other, "clips=val") for part in ("clips=val", "no splits"))
    assert "data.nothing" in message(*other, "data.nothing=1")
    assert all(part in message(*other, "data.none=spech") for part in ("data.none=spech", "'speech'"))
    (tmp_path / "wrong" / "birds").mkdir(parents=True)
    (tmp_path / "wrong" / "bees").mkdir()
    for path in (tmp_path / "wrong").iterdir():
        shutil.copy(music / "birds" / "tone.00001.wav", path)
    text = message(run / "bundle", f"data.path={tmp_path / 'wrong'}")
    assert all(part in text for part in ("data.path=", "'bees', 'birds'", "'click', 'noise', 'tone'"))


def test_a_split_that_changed_is_refused(run, config, tmp_path, message):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "config.yaml").write_text(yaml.safe_dump({**config, "split": {**config["split"], "salt": "other"}}))
    assert all(part in message(copy) for part in (str(copy), "split", "restore"))


def test_a_damaged_run_folder_is_named(run, config, tmp_path, message):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for change, part in (({"view": {**config["view"], "x": 1}}, "view.x"), ({"view": 3}, "damaged (view)")):
        (copy / "config.yaml").write_text(yaml.safe_dump({**config, **change}))
        assert all(word in message(copy) for word in (str(copy / "config.yaml"), part))
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    record = json.loads((copy / "record.json").read_text())
    (copy / "record.json").write_text(json.dumps({**record, "weights": {}}))
    assert all(
        part in message(copy) for part in (str(copy / "record.json"), "weights.pretrained", "copy the run again")
    )
    (copy / "record.json").write_text(json.dumps({key: value for key, value in record.items() if key != "weights"}))
    for other in ([], [f"data.path={config['data']['path']}", "data=folder"]):
        text = message(copy, *other)
        assert all(part in text for part in (str(copy / "record.json"), "weights", "copy the run again"))

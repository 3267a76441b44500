"""`genreclf convert`: checkpoints become bundles."""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml
from bundles import random_bundle

from genreclf.convert import main
from genreclf.exporters import bundle as bundles
from genreclf.exporters.bundle import Bundle, load_bundle, weights_sha256
from genreclf.inference.run_folder import MODEL_ONNX


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    made = random_bundle("a", channels=[8, 8, 16, 16], lstm_units=[8], statistics_units=0)
    classes = len(made.info.classes)
    return replace(made, info=replace(made.info, shares=(1 / classes,) * classes))


@pytest.fixture
def run(bundle, tmp_path) -> Path:
    """The folder of an interrupted run, with only the files that `convert` reads."""
    info, folder = bundle.info, tmp_path / "run"
    folder.mkdir()
    config = {"model": {"name": "a"}, "view": asdict(info.view), "data": {"picture_seconds": info.picture_seconds}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "record.json").write_text(
        json.dumps({"overrides": [], "data": {"frames_per_column": info.frames_per_column}})
    )
    weights = {f"net.{name}": value for name, value in bundle.net.state_dict().items()}
    hyper_parameters = {"net": asdict(bundle.net.config), "classes": list(info.classes)}
    hyper_parameters |= {"optim": {"prior_power": info.prior_power}, "shares": info.shares}
    torch.save(
        {"hyper_parameters": hyper_parameters, "state_dict": {**weights, "other": torch.zeros(1)}}, folder / "last.ckpt"
    )
    return folder


def test_a_checkpoint_becomes_a_bundle(run, bundle, capsys, monkeypatch):
    translated = []  # instead of writing ONNX files, which other tests do
    monkeypatch.setattr(bundles, "bundle_onnx", lambda net, digest: translated.append(net) or digest.encode())
    assert main([str(run / "last.ckpt"), "--temperature", "1.75"]) == 0
    assert str(run / "last") in capsys.readouterr().out
    made = load_bundle(run / "last")
    assert made.info == bundle.info and weights_sha256(made) == weights_sha256(bundle)
    assert (run / "last" / MODEL_ONNX).read_text() == weights_sha256(bundle)
    (net,) = translated
    assert all(torch.equal(value, bundle.net.state_dict()[name]) for name, value in net.net.state_dict().items())


def test_a_multilabel_checkpoint_becomes_a_multilabel_bundle(run, bundle, monkeypatch):
    monkeypatch.setattr(bundles, "bundle_onnx", lambda net, digest: b"")
    saved = torch.load(run / "last.ckpt", weights_only=True)
    saved["hyper_parameters"]["task"] = "multilabel"
    torch.save(saved, run / "last.ckpt")
    assert main([str(run / "last.ckpt")]) == 0
    info = load_bundle(run / "last").info
    assert info.task == "multilabel" and info.thresholds == (0.5,) * len(bundle.info.classes) and info.shares is None


def refusal(capsys, *words: object) -> str:
    """Returns the error line of a call that must fail."""
    assert main([str(word) for word in words]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.startswith("genreclf: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize("missing", ["config.yaml", "record.json"])
def test_a_checkpoint_without_the_other_files_of_its_run_is_refused(run, capsys, missing):
    content = (run / missing).read_text()
    for damaged in (content.replace("data", "dta"), content[:20], "[]"):
        (run / missing).write_text(damaged)
        assert f"{run / missing}: " in (message := refusal(capsys, run / "last.ckpt")) and "copy the run" in message
    (run / missing).unlink()
    assert f"{run / missing}: " in (message := refusal(capsys, run / "last.ckpt")) and "copy the run" in message


def test_other_files_are_refused_and_run_no_code(run, capsys, tmp_path):
    file = run / "other.ckpt"
    for content in (b"", b"no weights", pickle.dumps(print)):
        file.write_bytes(content)
        assert f"{file}: " in (message := refusal(capsys, file)) and "last.ckpt" in message
    for values in (
        [1],
        {"state_dict": {}},
        {"hyper_parameters": {}, "state_dict": [1]},
        {"hyper_parameters": {"net": {}, "classes": ["x"]}, "state_dict": {}},
    ):
        torch.save(values, file)
        assert f"{file}: " in (message := refusal(capsys, file)) and "last.ckpt" in message
    saved = torch.load(run / "last.ckpt", weights_only=True)
    for name, value in {"net.head.0.bias": torch.zeros(4), "net.extra": torch.zeros(1)}.items():
        torch.save({**saved, "state_dict": {**saved["state_dict"], name: value}}, file)
        assert f"{file}: " in (message := refusal(capsys, file)) and name.removeprefix("net.") in message
    file.write_bytes((run / "last.ckpt").read_bytes()[:-1000])
    assert f"{file}: not a checkpoint" in refusal(capsys, file)
    saved["state_dict"]["net.head.0.bias"][0] = torch.nan
    torch.save(saved, file)
    assert f"{file}: damaged: tensor 'head.0.bias'" in refusal(capsys, file)
    for missing in (tmp_path / "nothing", tmp_path, Path("/dev/zero")):
        assert f"{missing}: " in (message := refusal(capsys, missing)) and "last.ckpt" in message


def test_wrong_options_are_refused(run, capsys):
    for word in ("0", "nan", "hot"):
        assert f"--temperature: {word}: expected a number, 0.04 or more" in refusal(
            capsys, run / "last.ckpt", "--temperature", word
        )
    (run / "file").touch()
    assert f"{run / 'file'}: " in refusal(capsys, run / "last.ckpt", "--out", run / "file")

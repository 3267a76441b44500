"""`genreclf convert`: checkpoints and bundles of format 6 become bundles."""

import json
import pickle
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml
from bundles import random_bundle

from genreclf.convert import main
from genreclf.exporters.bundle import Bundle, load_bundle, weights_sha256
from genreclf.inference.predictor import load_predictor
from genreclf.inference.run_folder import find_bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle("a")


@pytest.fixture
def run(bundle, tmp_path) -> Path:
    """The folder of an interrupted training: what of it `convert` reads."""
    info, folder = bundle.info, tmp_path / "run"
    folder.mkdir()
    config = {"model": {"name": "a"}, "view": asdict(info.view), "data": {"picture_seconds": info.picture_seconds}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "record.json").write_text(json.dumps({"data": {"frames_per_column": info.frames_per_column}}))
    weights = {f"net.{name}": value for name, value in bundle.net.state_dict().items()}
    hyper_parameters = {"net": asdict(bundle.net.config), "classes": list(info.classes)}
    torch.save(
        {"hyper_parameters": hyper_parameters, "state_dict": {**weights, "other": torch.zeros(1)}}, folder / "last.ckpt"
    )
    return folder


def test_a_checkpoint_becomes_a_bundle(run, bundle, capsys):
    assert main([str(run / "last.ckpt"), "--temperature", "1.75"]) == 0
    assert str(run / "last") in capsys.readouterr().out
    made = load_bundle(run / "last")
    assert made.info == bundle.info and weights_sha256(made) == weights_sha256(bundle)
    assert load_predictor(run / "last").info == bundle.info


def refusal(capsys, *words: object) -> str:
    """The one line of a call that must fail."""
    assert main([str(word) for word in words]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.startswith("genreclf: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize("missing", ["config.yaml", "record.json"])
def test_a_checkpoint_outside_its_run_is_refused(run, capsys, missing):
    (run / missing).unlink()
    message = refusal(capsys, run / "last.ckpt")
    assert str(run / missing) in message and "run folder" in message


def test_files_that_are_no_checkpoints_are_refused_and_run_no_code(run, capsys, tmp_path):
    file = run / "other.ckpt"
    for content in (b"", b"no weights", pickle.dumps(print)):
        file.write_bytes(content)
        assert f"{file}: " in (message := refusal(capsys, file)) and "last.ckpt" in message
    for values in ([1], {"state_dict": {}}, {"hyper_parameters": {"net": {}, "classes": ["x"]}, "state_dict": {}}):
        torch.save(values, file)
        assert f"{file}: " in (message := refusal(capsys, file)) and "last.ckpt" in message
    assert f"{tmp_path / 'nothing'}: " in refusal(capsys, tmp_path / "nothing")


def test_wrong_options_are_refused(run, capsys):
    assert "--temperature" in refusal(capsys, run / "last.ckpt", "--temperature", "0")
    (run / "file").touch()
    assert "--out" in refusal(capsys, run / "last.ckpt", "--out", run / "file")


@pytest.fixture
def old(tmp_path) -> Path:
    """The pretrained Model A as a bundle of format 6."""
    folder, new = tmp_path / "old", find_bundle("a")
    folder.mkdir()
    shutil.copyfile(new / "model.safetensors", folder / "model.safetensors")
    (folder / "README.md").write_text("the card")
    config = json.loads((new / "config.json").read_text())
    del config["weights_sha256"]
    config["net"]["own_scale"] = config["net"].pop("standardize")
    config |= {"format": 6, "view": {**config["view"], "name": "excerpt"}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_bundle_of_format_6_is_converted_bit_by_bit(old, tmp_path, capsys):
    new = tmp_path / "new"
    assert str(old) in refusal(capsys, old)  # without --out
    assert main([str(old), "--out", str(new)]) == 0
    for name in ("model.safetensors", "config.json"):
        assert (new / name).read_bytes() == (find_bundle("a") / name).read_bytes()
    assert (new / "README.md").read_text() == "the card"
    assert load_predictor(new).info == load_predictor("a").info


def test_other_bundles_are_refused(old, tmp_path, capsys):
    path, out = old / "config.json", ("--out", tmp_path / "new")
    config = json.loads(path.read_text())
    for wrong in ({"format": 5}, {"kind": "committee"}, {"format": 7}, {"net": {}}, {"classes": 3}):
        path.write_text(json.dumps({**config, **wrong}))
        assert f"{path}: " in refusal(capsys, old, *out)
    path.write_text(json.dumps(config))
    (old / "model.safetensors").write_bytes(b"damaged")
    assert f"{old / 'model.safetensors'}: " in refusal(capsys, old, *out)
    (old / "model.safetensors").unlink()
    assert f"{old / 'model.safetensors'}: " in refusal(capsys, old, *out)
    assert not (tmp_path / "new").exists()

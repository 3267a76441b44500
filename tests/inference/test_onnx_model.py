"""A bundle's model.onnx: equal to the net in torch, and refused if it does not belong to the bundle."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from bundles import quick_bundle

from genreclf.errors import GenreclfError
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import load_bundle, save_bundle
from genreclf.inference.onnx_model import OnnxModel
from genreclf.inference.predictor import Predictor
from genreclf.inference.run_folder import MODEL_CONFIG, MODEL_ONNX, PRETRAINED


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """The bundle of a multi-label support vector machine."""
    folder = tmp_path_factory.mktemp("svm")
    save_bundle(folder, quick_bundle(task="multilabel", thresholds=(0.2, 0.5, 0.6)))
    return folder


@pytest.fixture
def bundle(saved, tmp_path) -> Path:
    """A bundle to damage."""
    return shutil.copytree(saved, tmp_path / "bundle")


def refused(folder: Path, file: str, device: str = "cpu") -> str:
    with pytest.raises(GenreclfError) as caught:
        OnnxModel(folder, device)
    assert str(caught.value).startswith(file) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a", "b"])
def test_pretrained_models_equal_their_nets_in_torch(name):
    with_onnx, with_torch = OnnxModel(PRETRAINED / name, "cpu"), TorchModel(load_bundle(PRETRAINED / name), "cpu")
    assert with_onnx.info == with_torch.info and with_onnx.weights_sha256 == with_torch.weights_sha256
    rng = np.random.default_rng(1)
    for count in (1, 2, 5):
        segments = rng.integers(0, 256, (count, 128, 256), dtype=np.uint8)
        for ours, theirs in zip(with_onnx.predict_proba(segments), with_torch.predict_proba(segments), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_bundle_of_an_svm_equals_its_net_in_torch_and_contains_sigmoids(saved):
    levels = np.random.default_rng(2).integers(0, 256, (4, 128, 256), dtype=np.uint8)
    segments = levels // np.array([[[1]], [[2]], [[3]], [[4]]], np.uint8)
    bundle = load_bundle(saved)
    found = OnnxModel(saved, "cpu").predict_proba(segments)
    for ours, theirs in zip(found, TorchModel(bundle, "cpu").predict_proba(segments), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    logits, _ = bundle.net(torch.from_numpy(segments)[:, None].expand(-1, 3, -1, -1))
    np.testing.assert_allclose(found.probabilities, logits.double().sigmoid().numpy(), atol=1e-5)
    assert np.ptp(found.probabilities, axis=0).min() > 1e-3
    assert json.loads((saved / MODEL_CONFIG).read_text())["format"] == 8


def test_real_music_is_predicted_as_in_torch(gtzan):
    with_onnx = Predictor(OnnxModel(PRETRAINED / "a", "cpu"))
    with_torch = Predictor(TorchModel(load_bundle(PRETRAINED / "a"), "cpu"))
    for song in sorted(gtzan.rglob("*.flac"))[::25]:
        ours, theirs = with_onnx.predict_file(song), with_torch.predict_file(song)
        assert ours.genre == theirs.genre
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-4)


def test_a_missing_file_is_named(bundle):
    (bundle / MODEL_ONNX).unlink()
    assert "cannot be read" in refused(bundle, str(bundle / MODEL_ONNX))


@pytest.mark.parametrize("size", [0, 10, 5_000])
def test_a_damaged_file_is_named(bundle, size):
    content = (bundle / MODEL_ONNX).read_bytes()
    (bundle / MODEL_ONNX).write_bytes(content[:size])
    refused(bundle, str(bundle / MODEL_ONNX))


def test_another_models_file_is_refused(bundle):
    model = onnx.load(bundle / MODEL_ONNX)
    model.metadata_props[0].value = "0" * 64
    onnx.save(model, bundle / MODEL_ONNX)
    assert "other weights" in refused(bundle, str(bundle / MODEL_ONNX))


def test_a_file_for_other_classes_is_refused(bundle):
    config = json.loads((bundle / MODEL_CONFIG).read_text())
    (bundle / MODEL_CONFIG).write_text(json.dumps({**config, "classes": ["ska", "dub"], "thresholds": [0.2, 0.5]}))
    assert "for 3 classes, config.json has 2" in refused(bundle, str(bundle / MODEL_ONNX))


def test_an_unavailable_device_is_refused(bundle):
    assert "onnxruntime-gpu" in refused(bundle, "device=cuda", "cuda")
    assert "auto, cpu, cuda" in refused(bundle, "device=tpu", "tpu")


def test_the_file_contains_no_local_path(saved):
    content = (saved / MODEL_ONNX).read_bytes()
    assert b"site-packages" not in content and b"genreclf/" not in content

"""Few songs: training only the output layer of a trained model, on the command line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import random_bundle
from command_line import NO_EXTRAS, command
from tiny_pictures import tiny_picture

from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters import bundle as bundles
from genreclf.exporters.bundle import load_bundle, save_bundle
from genreclf.frontend.picture import write_picture
from genreclf.inference.predictor import Predictor

NET = {"channels": [8, 8, 16, 16], "lstm_units": [8], "statistics_units": 4}
QUICK = [f"model.net.{key}={str(value).replace(' ', '')}" for key, value in NET.items()] + ["view=crop", "logger=none"]


@pytest.fixture
def initial(tmp_path, monkeypatch) -> Path:
    """A model for ska, dub and raï."""
    monkeypatch.setattr(bundles, "bundle_onnx", lambda net, digest: b"")  # slow
    save_bundle(tmp_path / "initial", random_bundle("a", **NET))
    return tmp_path / "initial"


@pytest.fixture
def music(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for genre in ("Dub", "Polka"):
        (tmp_path / "music" / genre).mkdir(parents=True)
        for number in range(3):
            write_picture(tmp_path / "music" / genre / f"{number}.png", tiny_picture(260, rng))
    return tmp_path / "music"


def test_zero_epochs_fit_only_the_output_layer(initial, music, cache, tmp_path):
    words = [*QUICK, "data=folder", f"data.path={music}", "data.picture_seconds=6", "split=all", "trainer.max_epochs=0"]
    words += [f"init={initial}", f"run={tmp_path / 'run'}"]
    result = command("train", *words, cache=cache, before=NO_EXTRAS)
    assert result.returncode == 0, result.stderr
    before, after = (load_bundle(folder) for folder in (initial, tmp_path / "run" / "bundle"))
    assert after.info.classes == ("Dub", "Polka") and after.info.temperature == 1
    found = after.net.state_dict()
    for name, value in before.net.state_dict().items():
        if not name.startswith(("head.", "statistics.head.")):
            assert torch.equal(found[name], value), name
    dub = before.info.classes.index("dub")
    assert torch.equal(found["statistics.head.weight"][0], before.net.state_dict()["statistics.head.weight"][dub])
    assert not found["statistics.head.weight"][1].any() and found["head.0.weight"][1].any()
    predictor = Predictor(TorchModel(after, "cpu"))
    for song in sorted((music / "Dub").iterdir()):
        assert sum(predictor.predict_file(song).probabilities) == pytest.approx(1)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["split=all", "temperature=1", "trainer.max_epochs=0"], "init=MODEL"),
        (["init=nothing"], "genreclf: init=nothing: "),
    ],
)
def test_a_missing_initial_model_is_reported_before_the_music_is_read(words, part, cache, tmp_path):
    words = [*QUICK, "data=folder", f"data.path={tmp_path / 'absent'}", *words]
    result = command("train", *words, f"run={tmp_path / 'run'}", cache=cache)
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 2 and last.startswith("genreclf: ") and part in last, result.stderr

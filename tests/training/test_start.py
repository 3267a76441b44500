from pathlib import Path

import pytest
import torch
from bundles import CLASSES, random_bundle
from data_config import of_yaml

from genreclf.config import build
from genreclf.errors import GenreclfError
from genreclf.exporters import bundle as bundles
from genreclf.exporters.bundle import save_bundle
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig
from genreclf.training.start import RANDOM, start


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Writes the bundle of an untrained model without its ONNX file, which is slow, and returns its folder."""
    monkeypatch.setattr(bundles, "bundle_onnx", lambda net, digest: b"")

    def save(name: str) -> Path:
        save_bundle(tmp_path / name, random_bundle(name))
        return tmp_path / name

    return save


def new_net(classes: int, **changes) -> GenreClassifier:
    torch.manual_seed(1)
    values = {**of_yaml("model", "a")["net"], "num_classes": classes, **changes}
    return GenreClassifier(build(ModelConfig, values, "model.net"))


def test_a_net_with_the_same_classes_predicts_like_its_initial_net(saved):
    net = new_net(len(CLASSES))
    found = start(net, "none", str(saved("a")), CLASSES)
    assert found == {"asked": str(saved("a")), "pretrained": True, "source": "model a", "new_classes": False}
    levels = torch.randint(0, 256, (2, 3, 128, 256), dtype=torch.uint8)
    trained = random_bundle("a").net
    with torch.no_grad():
        for ours, theirs in zip(net.eval().outputs(levels), trained.outputs(levels), strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "classes", [("ska", "dub"), ("dub", "ska", "raï"), ("a", "b", "c", "d"), ("Dub", "polka", "Rai", "SKA")]
)
def test_known_classes_keep_their_outputs_and_others_start_at_zero(classes, saved, capsys):
    """Classes may be spelled differently and in any order; the rest of the net is copied."""
    net, trained = new_net(len(classes)), random_bundle("a").net.state_dict()
    source = {"ska": 0, "SKA": 0, "dub": 1, "Dub": 1, "raï": 2, "Rai": 2}
    assert start(net, "none", str(saved("a")), classes)["new_classes"] == any(one not in source for one in classes)
    for name, value in net.state_dict().items():
        if not name.startswith(("head.", "statistics.head.")):
            assert torch.equal(value, trained[name]), name
            continue
        for row, label in enumerate(classes):
            expected = trained[name][source[label]] if label in source else 0 * value[row]
            assert torch.equal(value[row], expected), (name, label)
    errors = capsys.readouterr().err
    assert all((repr(label) in errors) == (label not in source) for label in classes)


def test_an_initial_model_that_does_not_fit_is_refused(saved):
    with pytest.raises(GenreclfError, match=r"init=.*bands=80.*96"):
        start(new_net(3, bands=96), "none", str(saved("a")), CLASSES)
    with pytest.raises(GenreclfError, match=r"init=.*model=b"):
        start(new_net(3), "none", str(saved("b")), CLASSES)
    with pytest.raises(GenreclfError, match=r"init=.*baseline"):
        start(new_net(3), "none", str(saved("svm")), CLASSES)
    with pytest.raises(GenreclfError, match=r"nothing-here: "):
        start(new_net(3), "none", "nothing-here", CLASSES)
    with pytest.raises(GenreclfError, match=r"model.weights=imagenet: "):
        start(new_net(3), "imagenet", None, CLASSES)


def test_without_init_a_net_without_pretrained_layers_is_random():
    net = new_net(3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert start(net, "none", None, CLASSES) == RANDOM
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())

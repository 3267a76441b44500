import copy

import numpy as np
import pytest
import torch
from data_config import data_config, of_yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from tiny_pictures import tiny_picture
from torch.nn.functional import cross_entropy

from genreclf.config import build
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.split import SplitConfig
from genreclf.frontend.picture import write_picture
from genreclf.frontend.segments import ViewConfig
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig
from genreclf.training.output_layer import _PENALTY, fit_output_layer, fitted


def problem(seed: int, classes: int = 3, n: int = 60, d: int = 5) -> tuple[torch.Tensor, ...]:
    """Returns inputs of different scales, other logits, classes, and initial weights."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    target = torch.arange(n) % classes
    inputs = (normal(n, d) + normal(classes, d)[target]) * torch.logspace(-2, 2, d, dtype=torch.float64) + 3
    return inputs, normal(n, classes), target, normal(classes, d), normal(classes)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_layer_from_zero_is_scikit_learns_regression(classes):
    inputs, others, target, weight, bias = problem(classes, classes)
    found, shift = fitted(inputs, 0 * others, target, 0 * weight, 0 * bias)
    scaled = (inputs - inputs.mean(0)) / inputs.std(0, unbiased=False)
    # With two classes, scikit-learn penalizes the difference of the two rows, which is twice each row.
    reference = LogisticRegression(C=(1 if classes > 2 else 2) / _PENALTY, max_iter=1_000, tol=1e-8).fit(scaled, target)
    expected = torch.from_numpy(reference.predict_proba(scaled))
    torch.testing.assert_close((inputs @ found.t() + shift).softmax(1), expected, rtol=0, atol=1e-4)


def test_a_layer_for_several_genres_is_scikit_learns_regression_of_each():
    inputs, others, classes, weight, bias = problem(0)
    target = torch.stack([classes == genre for genre in range(3)], 1) | (others > 1)
    found, shift = fitted(inputs, 0 * others, target.float(), 0 * weight, 0 * bias)
    scaled = (inputs - inputs.mean(0)) / inputs.std(0, unbiased=False)
    for genre, predicted in enumerate((inputs @ found.t() + shift).sigmoid().T):
        reference = LogisticRegression(C=1 / _PENALTY, max_iter=1_000, tol=1e-8).fit(scaled, target[:, genre])
        expected = torch.from_numpy(reference.predict_proba(scaled)[:, 1])
        torch.testing.assert_close(predicted, expected, rtol=0, atol=1e-4)


@settings(max_examples=10)
@given(st.integers(0, 1_000))
def test_no_nearby_layer_is_better(seed):
    inputs, others, target, weight, bias = problem(seed)
    scale = inputs.std(0, unbiased=False)

    def loss(one: torch.Tensor, shift: torch.Tensor) -> float:
        errors = cross_entropy(others + inputs @ one.t() + shift, target, reduction="sum")
        return float(errors + _PENALTY / 2 * ((one - weight) * scale).square().sum())

    found, shift = fitted(inputs, others, target, weight, bias)
    best = loss(found, shift)
    assert best <= loss(weight, bias)
    for draw in range(10):
        _, change, _, step, move = problem(seed + draw + 1)
        assert best <= loss(found + 1e-2 * step / scale, shift + 1e-2 * move) + 1e-6, change


@pytest.fixture
def datamodule(tmp_path) -> SpectrogramDataModule:
    """Two classes of four pictures, which differ in the position of a bright band."""
    rng = np.random.default_rng(0)
    for position, genre in enumerate(("low", "high")):
        (tmp_path / "music" / genre).mkdir(parents=True)
        for number in range(4):
            levels = tiny_picture(260, rng)
            levels[20 + 60 * position :][:20] += 40
            write_picture(tmp_path / "music" / genre / f"{number}.png", levels)
    data = data_config(path=tmp_path / "music", cache=tmp_path / "cache", picture_seconds=6)
    split = build(SplitConfig, {**of_yaml("split", "all")}, "split")
    view = build(ViewConfig, of_yaml("view", "crop"), "view")
    module = SpectrogramDataModule(data, split, view, None, batch_size=4, workers=0, seed=0)
    module.prepare_data()
    module.setup()
    return module


def test_only_the_last_layer_changes_and_it_separates_the_classes(datamodule):
    torch.manual_seed(0)
    narrow = {"channels": [8, 8, 16, 16], "lstm_units": [8, 8], "statistics_units": 8, "num_classes": 2}
    net = GenreClassifier(build(ModelConfig, {**of_yaml("model", "a")["net"], **narrow}, "model.net"))
    before = copy.deepcopy(net.state_dict())
    for temperature in (1.0, 0.5):
        net.load_state_dict(before)
        fit_output_layer(net, datamodule, torch.zeros(2), temperature)
        changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == {"head.0.weight", "head.0.bias"} and net.training
        clips = datamodule.dataset("train")
        batch = next(iter(datamodule.loader(clips, len(clips))))
        images = batch["segments"].transpose(1, 2)[:, None].expand(-1, 3, -1, -1)
        with torch.no_grad():
            errors = [
                cross_entropy(one.eval()(images)[0] / temperature, batch["target"]) for one in (net, _of(net, before))
            ]
        assert errors[0] < errors[1]
        net.train()


def _of(net: GenreClassifier, state: dict[str, torch.Tensor]) -> GenreClassifier:
    other = copy.deepcopy(net)
    other.load_state_dict(state)
    return other

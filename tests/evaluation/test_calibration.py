import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from genreclf.evaluation.calibration import (
    BINS,
    apply_temperature,
    calibration,
    calibration_error,
    cross_fitted,
    fit_temperature,
)


def answers(seed: int, n: int, sharpness: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, 5) probabilities, calibrated at a `sharpness` of 1 and too sure above, and (n,) targets drawn from them."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, 5, generator=generator, dtype=torch.float64)
    return (sharpness * logits).softmax(1), torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_tempering_is_dividing_the_logits(seed, temperature):
    logits = 3 * torch.randn(4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = (logits / temperature).softmax(1)
    torch.testing.assert_close(apply_temperature(logits.softmax(1), temperature), expected, rtol=1e-6, atol=1e-9)


def test_certain_answers_are_tempered_without_nan():
    certain = torch.eye(3)
    assert (
        torch.isfinite(apply_temperature(certain, 0.05)).all()
        and torch.isfinite(apply_temperature(certain, 20.0)).all()
    )
    assert torch.equal(apply_temperature(certain, 20.0).argmax(1), torch.arange(3))


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_the_temperature_undoes_what_made_the_answers_too_sure(sharpness):
    probabilities, target = answers(0, 20_000, sharpness)
    assert fit_temperature(probabilities, target) == pytest.approx(sharpness, rel=0.04)
    assert calibration_error(apply_temperature(probabilities, sharpness).numpy(), target.numpy()) < 0.015


@given(st.integers(0, 10_000), st.integers(5, 60))
def test_no_other_temperature_has_a_smaller_loss(seed, n):
    probabilities, target = answers(seed, n, 1.7)

    def loss(temperature: float) -> float:
        own = (probabilities.log() / temperature).log_softmax(1)[torch.arange(n), target]
        return float(-own.sum()) + np.log(temperature) ** 2 / 2

    found = fit_temperature(probabilities, target)
    assert loss(found) <= min(loss(float(other)) for other in np.geomspace(0.06, 18, 200)) + 1e-6


def test_each_fold_is_tempered_by_what_fits_the_others():
    probabilities, target = answers(1, 600, 2.5)
    fold = np.arange(600) % 3
    found = cross_fitted(probabilities, target, fold)
    for number in range(3):
        own, others = fold == number, fold != number
        expected = apply_temperature(probabilities[own], fit_temperature(probabilities[others], target[others]))
        torch.testing.assert_close(found[own], expected, rtol=0, atol=0)


def test_a_clips_own_label_has_no_part_in_its_temperature():
    probabilities, target = answers(2, 90, 2.5)
    fold, changed = np.arange(90) // 30, target.clone()
    changed[:30] = (changed[:30] + 1) % 5
    before, after = (cross_fitted(probabilities, labels, fold) for labels in (target, changed))
    assert torch.equal(before[:30], after[:30]) and not torch.equal(before[30:], after[30:])


def test_the_temperature_stays_in_bounds_where_all_are_right():
    assert 0.05 <= fit_temperature(torch.eye(4) * 0.6 + 0.1, torch.arange(4)) < 1


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_the_calibration_error_is_that_of_torchmetrics(seed, n):
    probabilities, target = answers(seed, n, 1.5)
    reference = multiclass_calibration_error(probabilities, target, num_classes=5, n_bins=BINS)
    assert calibration_error(probabilities.numpy(), target.numpy()) == pytest.approx(float(reference), abs=1e-6)


def test_the_bins_hold_all_clips_and_make_up_the_error():
    probabilities, target = (part.numpy() for part in answers(4, 200, 2.0))
    found = calibration(probabilities, target)
    assert sum(one["n"] for one in found["bins"]) == 200
    assert all(one["low"] < one["confidence"] <= one["high"] for one in found["bins"])
    error = sum(one["n"] * abs(one["confidence"] - one["accuracy"]) for one in found["bins"]) / 200
    assert found["ece"] == pytest.approx(error)
    right = (probabilities.argmax(1) == target).mean()
    assert sum(one["n"] * one["accuracy"] for one in found["bins"]) / 200 == pytest.approx(right)


def test_chance_explains_the_error_of_calibrated_answers_but_not_of_others():
    beyond = {}
    for sharpness in (1.0, 3.0):
        found = [calibration(*(part.numpy() for part in answers(seed, 150, sharpness))) for seed in range(40)]
        beyond[sharpness] = sum(one["ece"] > one["ece_by_chance"]["p95"] for one in found)
        if sharpness == 1.0:
            means = [np.mean([one["ece"] for one in found]), np.mean([one["ece_by_chance"]["mean"] for one in found])]
            assert means[0] == pytest.approx(means[1], rel=0.15)
    assert beyond[1.0] <= 6 and beyond[3.0] == 40

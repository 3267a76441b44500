"""Calibration, against torch's softmax, torchmetrics and simulation."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from torchmetrics.functional.classification import multiclass_calibration_error

from genreclf.evaluation.calibration import (
    BINS,
    apply_temperature,
    calibration,
    calibration_error,
    cross_calibrate,
    fit_temperature,
    reliability,
)
from genreclf.inference.reliability import bin_of, read_bins


def predictions(seed: int, n: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Returns (n, 5) probabilities, calibrated if `sharpness` is 1 and overconfident above 1, and (n,) targets."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, 5))
    target = (softmax(logits, 1).cumsum(1) > rng.random((n, 1))).argmax(1)
    return softmax(sharpness * logits, 1), target


@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_temperature_divides_the_logits(seed, temperature):
    logits = np.random.default_rng(seed).normal(0, 3, (4, 6))
    expected = (torch.from_numpy(logits) / temperature).softmax(1).numpy()
    assert apply_temperature(softmax(logits, 1), temperature) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_probabilities_of_zero_and_one_stay_finite():
    certain = np.eye(3)
    for temperature in (0.05, 20.0):
        calibrated = apply_temperature(certain, temperature)
        assert np.isfinite(calibrated).all() and (calibrated.argmax(1) == np.arange(3)).all()


@given(st.integers(0, 10_000), st.integers(5, 60))
def test_no_other_temperature_has_a_smaller_loss(seed, n):
    probabilities, target = predictions(seed, n, 1.7)

    def loss(temperature: float) -> float:
        log = (torch.from_numpy(probabilities).log() / temperature).log_softmax(1)[torch.arange(n), target]
        return float(-log.sum()) + np.log(temperature) ** 2 / 2

    found = fit_temperature(probabilities, target)
    assert loss(found) <= min(loss(float(other)) for other in np.geomspace(0.06, 18, 200)) + 1e-6


def test_each_fold_has_the_temperature_of_the_others():
    probabilities, target = predictions(1, 600, 2.5)
    fold = np.arange(600) % 3
    found = cross_calibrate(probabilities, target, fold)
    for number in range(3):
        inside, outside = fold == number, fold != number
        temperature = fit_temperature(probabilities[outside], target[outside])
        assert (found[inside] == apply_temperature(probabilities[inside], temperature)).all()


def test_the_temperature_is_bounded_if_all_are_correct():
    assert 0.05 <= fit_temperature(np.eye(4) * 0.6 + 0.1, np.arange(4)) < 1


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_the_calibration_error_is_that_of_torchmetrics(seed, n):
    probabilities, target = predictions(seed, n, 1.5)
    tensors = torch.from_numpy(probabilities), torch.from_numpy(target)
    reference = multiclass_calibration_error(*tensors, num_classes=5, n_bins=BINS)
    assert calibration_error(probabilities, target) == pytest.approx(float(reference), abs=1e-6)


def test_the_bins_hold_all_clips_and_add_up_to_the_error():
    probabilities, target = predictions(4, 200, 2.0)
    found = calibration(probabilities, target)
    assert sum(one["n"] for one in found["bins"]) == 200
    assert all(one["low"] < one["confidence"] <= one["high"] for one in found["bins"])
    error = sum(one["n"] * abs(one["confidence"] - one["accuracy"]) for one in found["bins"]) / 200
    assert found["ece"] == pytest.approx(error)
    accuracy = (probabilities.argmax(1) == target).mean()
    assert sum(one["n"] * one["accuracy"] for one in found["bins"]) / 200 == pytest.approx(accuracy)


def test_the_error_of_calibrated_predictions_is_as_expected_and_that_of_others_is_not():
    beyond = {}
    for sharpness in (1.0, 3.0):
        found = [calibration(*predictions(seed, 150, sharpness)) for seed in range(40)]
        beyond[sharpness] = sum(one["ece"] > one["ece_if_calibrated"]["p95"] for one in found)
        if sharpness == 1.0:
            expected = np.mean([one["ece_if_calibrated"]["mean"] for one in found])
            assert np.mean([one["ece"] for one in found]) == pytest.approx(expected, rel=0.15)
    assert beyond[1.0] <= 6 and beyond[3.0] == 40


@given(st.integers(0, 10_000), st.integers(1, 300), st.floats(0.3, 4))
def test_the_bins_of_reliability_count_each_clip_once(seed, n, sharpness):
    probabilities, target = predictions(seed, n, sharpness)
    right = probabilities.argmax(axis=1) == target
    bins = read_bins(reliability(probabilities.max(axis=1), right))
    assert min(one.clips for one in bins) >= min(n, 20) and bins[-1].high == 1
    assert all(left.high == right.low for left, right in itertools.pairwise(bins))
    found = [bin_of(bins, confidence) for confidence in probabilities.max(axis=1)]
    for one in bins:
        inside = np.array([other is one for other in found])
        assert inside.sum() == one.clips and right[inside].mean() == pytest.approx(one.accuracy)


def test_certain_predictions_have_a_bin():
    assert reliability(np.ones(3), np.array([True, True, False])) == [
        {"low": 0.95, "high": 1, "clips": 3, "accuracy": 2 / 3}
    ]

import numpy as np
import pytest
from scipy.optimize import minimize

from genreclf.evaluation.known_fit import fit_known


def answers(rng, count, classes, sharpness):
    logits = sharpness * rng.normal(size=(count, classes))
    powers = np.exp(logits)
    return powers / powers.sum(1, keepdims=True)


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    probabilities = answers(rng, 400, 5, 3.0)
    target = np.where(rng.random(400) < 0.8, probabilities.argmax(1), rng.integers(0, 5, 400))
    return probabilities, target, answers(rng, 150, 5, 1.0)


def test_it_is_the_logistic_regression_in_which_both_kinds_weigh_the_same(clips):
    probabilities, target, none = clips
    known = fit_known(*clips)
    highest = np.concatenate([probabilities, none]).max(1)
    x, y = np.log(highest / (1 - highest)), np.arange(550) < 400
    weight = np.where(y, 1 / 400, 1 / 150)

    def loss(parameters):
        return (weight * np.logaddexp(0, np.where(y, -1, 1) * (parameters[0] + parameters[1] * x))).sum()

    offset, slope = minimize(loss, [0.0, 1.0]).x
    assert (known.offset, known.slope) == pytest.approx((offset, slope), abs=2e-3)
    scores = np.array([known.probability(each) for each in probabilities])
    correct = probabilities.argmax(1) == target
    assert (scores[correct] < known.threshold).mean() == pytest.approx(0.05, abs=0.005)
    assert scores.mean() > np.mean([known.probability(each) for each in none]) + 0.1


def test_without_enough_clips_or_a_difference_nothing_is_told(clips):
    probabilities, target, none = clips
    assert fit_known(probabilities, target, none[:9]) is None
    assert fit_known(probabilities, (probabilities.argmax(1) + 1) % 5, none) is None
    assert fit_known(none, none.argmax(1), probabilities) is None

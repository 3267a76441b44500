import numpy as np
import pytest
import sklearn.metrics
from scipy.optimize import minimize

from genreclf.evaluation.known_fit import fit_known


def random_probabilities(rng, count, classes, sharpness):
    logits = sharpness * rng.normal(size=(count, classes))
    powers = np.exp(logits)
    return powers / powers.sum(1, keepdims=True)


def biased_probabilities(rng, count, classes, sharpness):
    """Returns probabilities in which the first class is rare."""
    probabilities = random_probabilities(rng, count, classes, sharpness) * np.r_[0.2, np.ones(classes - 1)]
    return probabilities / probabilities.sum(1, keepdims=True)


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    probabilities = biased_probabilities(rng, 400, 5, 3.0)
    target = np.where(rng.random(400) < 0.8, probabilities.argmax(1), rng.integers(0, 5, 400))
    return probabilities, target, random_probabilities(rng, 150, 5, 1.0)


def test_it_is_a_penalized_logistic_regression_with_balanced_kinds_and_classes(clips):
    probabilities, target, none = clips
    known = fit_known(*clips)
    x, y = np.log(np.concatenate([probabilities, none]).clip(0.02)), np.arange(550) < 400
    standard = (x - x.mean(0)) / x.std(0)
    of_class = [550 / 2 / 5 / (target == one).sum() for one in target]
    weight = np.r_[of_class, np.full(150, 550 / 2 / 150)]

    def loss(parameters):
        score = parameters[0] + standard @ parameters[1:]
        fit = (weight * np.logaddexp(0, np.where(y, -1, 1) * score)).sum()
        return 0.1 * fit + (parameters[1:] ** 2).sum() / 2

    offset, *slopes = minimize(loss, np.zeros(6)).x
    expected = 1 / (1 + np.exp(-offset - standard @ slopes))
    scores = known.probability(np.concatenate([probabilities, none]))
    np.testing.assert_allclose(scores, expected, atol=2e-3)
    assert sklearn.metrics.roc_auc_score(y, scores) > 0.7


def test_a_rare_class_is_not_withheld_because_it_is_rare():
    """Uses classes whose probabilities differ only by chance, but one class has few clips."""
    rng = np.random.default_rng(2)
    target = rng.choice(5, 600, p=[0.02, 0.245, 0.245, 0.245, 0.245])
    probabilities = np.full((600, 5), 0.025)
    probabilities[np.arange(600), target] = 0.9
    probabilities = probabilities ** rng.uniform(0.5, 1.5, (600, 1))
    probabilities /= probabilities.sum(1, keepdims=True)
    none = random_probabilities(rng, 150, 5, 1.0)
    known = fit_known(probabilities, target, none)
    withheld = known.probability(probabilities) < known.threshold
    assert withheld[target == 0].mean() < 0.2 and withheld.mean() < 0.1


def test_its_threshold_withholds_5_percent_of_correct_predictions_for_other_clips(clips):
    rng, refused = np.random.default_rng(1), []
    for _ in range(20):
        probabilities, none = biased_probabilities(rng, 200, 5, 3.0), random_probabilities(rng, 60, 5, 1.0)
        known = fit_known(probabilities, probabilities.argmax(1), none)
        refused.append((known.probability(biased_probabilities(rng, 4_000, 5, 3.0)) < known.threshold).mean())
    assert np.mean(refused) == pytest.approx(0.05, abs=0.01)


def test_nothing_is_fitted_without_enough_clips_or_a_difference(clips):
    probabilities, target, none = clips
    assert fit_known(probabilities, target, none[:9]) is None
    assert fit_known(probabilities, (probabilities.argmax(1) + 1) % 5, none) is None
    assert fit_known(none[:75], none[:75].argmax(1), none[75:]) is None

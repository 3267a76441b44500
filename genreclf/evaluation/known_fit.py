"""Fits the detector of out-of-scope music (music of none of a model's genres)."""

import numpy as np
from scipy.stats import mannwhitneyu
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genreclf.inference.known import Known, log_probabilities

WITHHELD = 0.05  # the share of correct predictions that are withheld
MIN_CLIPS = 10  # of each kind; from fewer, 5 % cannot be estimated
FOLDS = 5
CHANCE = 0.05  # the significance level: the probability that a useless rule is kept
PENALTY = 0.1  # scikit-learn's C: values from 0.01 to 1 were equally good


def fit_known(probabilities: np.ndarray, target: np.ndarray, none: np.ndarray) -> Known | None:
    """Fits a penalized logistic regression that separates clips of the classes from out-of-scope clips.

    `probabilities` are calibrated: (N, classes) of clips with the (N,) classes `target`. `none` are (M, classes) of
    out-of-scope clips. Both kinds have the same weight, and so have the classes; otherwise most clips of a rare class
    would be withheld. The threshold comes from cross-fitted scores, because a rule withholds fewer of the clips that it
    was fitted on. Returns None for fewer than 10 clips of a kind, or if the cross-fitted scores do not separate the
    kinds (one-sided Mann-Whitney test).
    """
    correct = probabilities.argmax(1) == target
    if min(correct.sum(), len(none)) < MIN_CLIPS:
        return None
    logs = log_probabilities(np.concatenate([probabilities, none]))
    is_known = np.arange(len(logs)) < len(probabilities)
    weights = {"logisticregression__sample_weight": _weights(target, len(none))}
    rule = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1_000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(rule, logs, is_known, cv=folds, method="decision_function", params=weights)
    if mannwhitneyu(scores[is_known], scores[~is_known], alternative="greater").pvalue > CHANCE:
        return None
    lowest = np.quantile(scores[is_known][correct], WITHHELD)
    scaler, regression = rule.fit(logs, is_known, **weights)
    slopes = regression.coef_[0] / scaler.scale_
    offset = regression.intercept_[0] - slopes @ scaler.mean_
    threshold = 1 / (1 + np.exp(-lowest))
    return Known(round(float(offset), 4), tuple(np.round(slopes, 4).tolist()), round(float(threshold), 4))


def _weights(target: np.ndarray, none: int) -> np.ndarray:
    """Returns (N + M,) weights with mean 1."""
    _, number, count = np.unique(target, return_inverse=True, return_counts=True)
    weights = np.concatenate([1 / count[number] / len(count), np.full(none, 1 / none)])
    return weights * (len(weights) / weights.sum())

"""Fits how a model tells clips of none of its genres."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from genreclf.inference.known import Known, confidence

REFUSED = 0.05  # of the correct answers
MIN_CLIPS = 10  # of each kind: fewer say nothing about 5 %


def fit_known(probabilities: np.ndarray, target: np.ndarray, none: np.ndarray) -> Known | None:
    """(N, classes) calibrated probabilities of clips, their (N,) classes, and (M, classes) of clips of no class.

    A logistic regression on the log-odds of the highest probability, both kinds weighing the same. None for fewer than
    10 clips of a kind, or if the clips of no class are answered with more certainty than the others.
    """
    correct = probabilities.argmax(1) == target
    if min(correct.sum(), len(none)) < MIN_CLIPS:
        return None
    sure = confidence(np.concatenate([probabilities, none]))[:, None]
    is_known = np.arange(len(sure)) < len(probabilities)
    fitted = LogisticRegression(C=np.inf, class_weight="balanced").fit(sure, is_known)
    offset, slope = float(fitted.intercept_[0]), float(fitted.coef_[0, 0])
    if slope <= 0:
        return None
    of_correct = fitted.predict_proba(confidence(probabilities[correct])[:, None])[:, 1]
    return Known(round(offset, 4), round(slope, 4), round(float(np.quantile(of_correct, REFUSED)), 4))

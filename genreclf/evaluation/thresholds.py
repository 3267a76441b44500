"""Fits the thresholds of multi-label models on validation clips."""

import numpy as np

MIN_CLIPS = 5  # of a genre; a threshold from fewer would fit these clips rather than the genre


def fit_thresholds(probabilities: np.ndarray, target: np.ndarray) -> tuple[float, ...]:
    """Returns the threshold in [0, 1] with the highest F1 for each genre.

    `probabilities`, calibrated, and `target`, bool, are (N, classes). Genres with fewer than 5 clips share a threshold:
    the one with the highest F1 over all pairs of a clip and a genre. A threshold lies halfway between two
    probabilities. Of equally good thresholds, the highest is chosen.
    """
    common = best_threshold(probabilities.ravel(), target.ravel())
    by_genre = zip(probabilities.T, target.T, strict=True)
    return tuple(best_threshold(*pair) if pair[1].sum() >= MIN_CLIPS else common for pair in by_genre)


def best_threshold(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Returns the threshold with the highest F1 for (N,) probabilities and bool, at least one of which is true."""
    order = np.argsort(-probabilities, kind="stable")
    ranked, hits = probabilities[order], np.cumsum(target[order])
    ends = np.flatnonzero(np.append(ranked[:-1] > ranked[1:], True))  # the last of each run of equal probabilities
    f1 = 2 * hits[ends] / (ends + 1 + hits[-1])
    end = ends[int(np.argmax(f1))]
    below = ranked[end + 1] if end + 1 < len(ranked) else 0.0
    middle = (ranked[end] + below) / 2
    return float(middle if middle > below else ranked[end])  # there is no float between two adjacent ones

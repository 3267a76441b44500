"""From which probability on a clip is of a genre, for multi-label models: chosen on validation clips."""

import numpy as np

MIN_CLIPS = 5  # of a genre: with fewer, its own threshold would say more about them than about the genre


def fit_thresholds(probabilities: np.ndarray, target: np.ndarray) -> tuple[float, ...]:
    """(N, classes) calibrated probabilities and bool -> for each genre the threshold in [0, 1] of the highest F1.

    Genres with fewer than 5 clips have a common one, that of the highest F1 over all pairs of a clip and a genre. A
    threshold lies halfway between two probabilities; of equally good ones it is the highest.
    """
    common = best_threshold(probabilities.ravel(), target.ravel())
    by_genre = zip(probabilities.T, target.T, strict=True)
    return tuple(best_threshold(*pair) if pair[1].sum() >= MIN_CLIPS else common for pair in by_genre)


def best_threshold(probabilities: np.ndarray, target: np.ndarray) -> float:
    """(N,) probabilities and bool, of which one at least is true -> the threshold of the highest F1."""
    order = np.argsort(-probabilities, kind="stable")
    ranked, hits = probabilities[order], np.cumsum(target[order])
    ends = np.flatnonzero(np.append(ranked[:-1] > ranked[1:], True))  # the last of each run of equal probabilities
    f1 = 2 * hits[ends] / (ends + 1 + hits[-1])
    end = ends[int(np.argmax(f1))]
    below = ranked[end + 1] if end + 1 < len(ranked) else 0.0
    middle = (ranked[end] + below) / 2
    return float(middle if middle > below else ranked[end])  # no number lies between two neighbouring floats

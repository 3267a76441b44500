"""Compares systems on the same clips: pure functions from predictions to JSON-like data."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import binomtest, norm

from genreclf.errors import GenreclfError
from genreclf.evaluation.calibration import calibration_error, cross_calibrate, fit_temperature
from genreclf.evaluation.intervals import (
    bootstrap,
    mean_interval,
    mean_per_clip,
    percentile_interval,
    shown_interval,
    sum_by_group,
    wilson,
)
from genreclf.evaluation.multilabel_scores import finite_or_none
from genreclf.evaluation.predictions import Predictions
from genreclf.evaluation.scores import scores
from genreclf.evaluation.slices import Columns, by_value, scores_of

LEVEL = 0.05
MCNEMAR = "McNemar test"
# A true difference of this many standard errors is significant at LEVEL in 80 % of test sets.
DETECTABLE_ERRORS = float(norm.ppf(1 - LEVEL / 2) + norm.ppf(0.8))


@dataclass(frozen=True)
class System:
    """One configuration, trained with one or more seeds on one or more folds."""

    label: str
    runs: tuple[str, ...]
    predictions: dict[int, Predictions]  # by seed, pooled over the folds, all in the same order of clips
    fold: np.ndarray  # (N,) the fold in which each clip was scored
    temperature: float | None = None  # fitted by `calibrate`

    @property
    def correct(self) -> np.ndarray:
        """(seeds, N) bool."""
        return np.stack([predictions.correct for predictions in self.predictions.values()])

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each clip."""
        return next(iter(self.predictions.values())).groups

    def subset(self, clips: Sequence[int]) -> "System":
        """Returns the system with only the clips at these indices."""
        chosen = {seed: predictions.subset(clips) for seed, predictions in self.predictions.items()}
        return replace(self, predictions=chosen, fold=self.fold[list(clips)])


def calibrate(system: System) -> System:
    """Returns the system with each fold calibrated by a temperature fitted on the other folds.

    Its `temperature` is fitted on all folds; for several seeds, it is their geometric mean. Raises GenreclfError for a
    single fold.
    """
    if len(np.unique(system.fold)) < 2:
        remedy = "give the runs of all folds, each calibrated on the others"
        raise GenreclfError(f"--calibrate: {system.label} has one fold; {remedy}")
    calibrated, fitted = {}, []
    for seed, predictions in system.predictions.items():
        probabilities, target = predictions.probabilities, predictions.target
        fitted.append(fit_temperature(probabilities, target))
        calibrated[seed] = replace(predictions, probabilities=cross_calibrate(probabilities, target, system.fold))
    return replace(system, predictions=calibrated, temperature=float(np.exp(np.mean(np.log(fitted)))))


def compare(systems: Sequence[System], columns: Columns | None = None) -> dict[str, Any]:
    """Returns scores of all systems, the most accurate first, all pairs, and scores by the values of `columns`.

    The systems must have the same clips in the same order, which is also the order of the cells in `columns`.
    """
    ranked = sorted(systems, key=lambda system: -system.correct.mean())
    pairs = [compare_pair(*two) for two in itertools.combinations(ranked, 2)]
    return compared("accuracy", ranked, list(map(describe, ranked)), pairs, _of_slice, columns)


def compared(
    score: str,
    ranked: Sequence[System],
    described: Sequence[dict[str, Any]],
    pairs: Sequence[dict[str, Any]],
    of_slice: Callable[[Sequence[System]], list[dict[str, Any]]],
    columns: Columns | None,
    test: str = MCNEMAR,
) -> dict[str, Any]:
    """Makes a comparison by one score, for any task. Corrects the p values of the pairs for multiple comparisons.

    `of_slice` scores the systems on some clips; `test` names the test of the p values.
    """

    def sliced(clips: Sequence[int]) -> dict[str, Any]:
        systems = [system.subset(clips) for system in ranked]
        groups = len(set(systems[0].groups))
        return {"clips": len(clips), "groups": groups, "systems": of_slice(systems)}

    clips, groups = len(ranked[0].groups), len(set(ranked[0].groups))
    for pair, corrected in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_holm"] = corrected
        pair["verdict"] = verdict(pair, clips, groups, test)
    counts = {"score": score, "clips": clips, "groups": groups}
    return {**counts, "systems": described, "pairs": pairs, "slices": by_value(columns or {}, sliced)}


def _of_slice(systems: Sequence[System]) -> list[dict[str, Any]]:
    """Returns the scores of the systems on some clips.

    `behind_first` is the accuracy of the first system minus the accuracy of this one, with its paired interval. It has
    no p value because, among many slices, some differ by chance.
    """
    found = []
    for system in systems:
        pair = None if system is systems[0] else compare_pair(systems[0], system)
        behind = None if pair is None else {key: pair[key] for key in ("difference", "clustered")}
        by_seed = list(system.predictions.values())
        found.append({"label": system.label, **scores_of(by_seed), "behind_first": behind})
    return found


def describe(system: System) -> dict[str, Any]:
    """Returns the scores of a system: means over seeds, deviations over seeds and folds, 95 % intervals."""
    all_predictions = list(system.predictions.values())
    by_seed = [scores(one.probabilities, one.target, one.classes) for one in all_predictions]
    correct = system.correct
    by_fold = [float(correct[:, system.fold == number].mean()) for number in np.unique(system.fold)]
    interval = mean_interval(correct.mean(axis=0), system.groups)
    independent = wilson(int(correct.sum()), correct.size) if len(correct) == 1 else None
    return {
        **summary(system, "accuracy", correct.mean(axis=1).tolist(), by_fold),
        **{"clustered": interval, "wilson": independent, "shown": shown_interval(interval, independent)},
        **_over_seeds("macro_accuracy", by_seed),
        "macro_accuracy_shown": scores_of(all_predictions)["intervals"]["macro_accuracy"],
        **_over_seeds("macro_f1", by_seed),
        **_over_seeds("log_loss", by_seed),
    }


def summary(system: System, score: str, by_seed: Sequence[float], by_fold: Sequence[float]) -> dict[str, Any]:
    """Describes a system by one score in [0, 1], for any task. NaN, for an undefined score, becomes None."""
    errors = [calibration_error(one.probabilities, one.target) for one in system.predictions.values()]
    return {
        "label": system.label,
        "runs": list(system.runs),
        "seeds": list(system.predictions),
        "temperature": system.temperature,
        score: finite_or_none(np.mean(by_seed)),
        f"{score}_by_seed": list(map(finite_or_none, by_seed)),
        f"{score}_by_fold": list(map(finite_or_none, by_fold)),
        "deviation_over_seeds": deviation(by_seed),
        "deviation_over_folds": deviation(by_fold),
        "ece": float(np.mean(errors)),
    }


def _over_seeds(name: str, by_seed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values = [one[name] for one in by_seed]
    return {name: np.mean(values).item(), f"{name}_by_seed": values, f"{name}_deviation_over_seeds": deviation(values)}


def deviation(values: Sequence[float]) -> float | None:
    """Returns the sample standard deviation; None for a single value, and if one is NaN."""
    return finite_or_none(np.std(values, ddof=1)) if len(values) > 1 else None


def compare_pair(better: System, other: System) -> dict[str, Any]:
    """Returns the difference of two systems' accuracies on the same clips, and its significance.

    `p` comes from the exact McNemar test. With several seeds it is twice the median over all pairs of seeds, which is
    valid for any dependence between them (DiCiccio, DiCiccio and Romano 2020). `only_..._correct` are means over these
    pairs. `detectable` is the true difference that is significant at the 5 % level in 80 % of such test sets (Connor
    1987), or None if all bootstrap draws are equal.
    """
    first, second = better.correct, other.correct
    seed_pairs = list(itertools.product(first, second))
    p_values = [mcnemar(*pair) for pair in seed_pairs]
    # (N,) whole numbers instead of means: with thirds, rounding could move an interval's end from 0 to just above 0.
    gain = len(second) * first.sum(axis=0) - len(first) * second.sum(axis=0)
    sums = sum_by_group(np.column_stack([np.full(len(gain), len(seed_pairs)), gain]), better.groups)
    draws = bootstrap(sums, mean_per_clip) if len(sums) > 1 else None
    error = 0.0 if draws is None else float(draws.std())
    return {
        "better": better.label,
        "other": other.label,
        "difference": float(gain.mean() / len(seed_pairs)),
        "clustered": None if draws is None else percentile_interval(draws),
        "detectable": DETECTABLE_ERRORS * error if error else None,
        "only_better_correct": float(np.mean([(one & ~two).sum() for one, two in seed_pairs])),
        "only_other_correct": float(np.mean([(two & ~one).sum() for one, two in seed_pairs])),
        "p": p_values[0] if len(p_values) == 1 else min(1.0, 2 * float(np.median(p_values))),
    }


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the two-sided p value of the exact McNemar test (McNemar 1947).

    `first` and `second` are (N,) bool: whether each clip is classified correctly. The test is the binomial test on the
    clips that only one of the two classifies correctly.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p values for multiple comparisons (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    multiplied = np.arange(len(p_values), 0, -1) * np.array(p_values)[order]
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(np.minimum(multiplied, 1))
    return corrected.tolist()


def verdict(pair: dict[str, Any], clips: int, groups: int, test: str = MCNEMAR) -> str:
    """Describes the result of a pair in one or two sentences; `test` names the test of its p value."""
    better, other, interval = pair["better"], pair["other"], pair["clustered"]
    p = f"p {format_p(pair['p_holm'])}"
    if interval is None:
        return f"{better} and {other} cannot be compared: all clips belong to one group."
    low, high = (100 * end for end in interval)
    points = 100 * pair["difference"]
    difference = f"{points:.1f} points (95 % interval {low:.1f} to {high:.1f}; {p})"
    by_test, by_interval = pair["p_holm"] < LEVEL, low > 0
    if by_test and by_interval:
        return f"{better} is better than {other} by {difference}."
    if by_test or by_interval:
        yes, no = (test, "clustered interval") if by_test else ("clustered interval", test)
        return f"{better} may be better than {other} by {difference}: significant by the {yes}, not by the {no}."
    where = f"{count(clips, 'clip')} in {count(groups, 'group')}"
    without = f"No significant difference between {better} and {other} on {where}"
    if pair["detectable"] is None:
        return f"{without}: their scores are equal in every group ({p})."
    return f"{without}: {difference}. The detectable difference is {100 * pair['detectable']:.1f} points."


def count(number: int, noun: str) -> str:
    """Returns a number with its noun in the singular or plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_p(value: float) -> str:
    """Formats a p value with its relation: = 0.01, or < 0.0001."""
    return "< 0.0001" if value < 1e-4 else f"= {value:.2g}"

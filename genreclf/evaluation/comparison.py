"""What the same clips can tell of several models: pure functions from their answers to plain data."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest

from genreclf.errors import GenreclfError
from genreclf.evaluation.calibration import calibration_error, cross_fitted, fit_temperature
from genreclf.evaluation.intervals import COVERAGE_Z, Interval, by_group, clustered, resampled, wilson
from genreclf.evaluation.predictions import Predictions
from genreclf.evaluation.scores import scores

POWER_Z = 0.8416212335729143  # 80 % of a normal distribution lie below so many deviations
LEVEL = 0.05


@dataclass(frozen=True)
class System:
    """One configuration. `answers` are by seed, each pooled over the folds, in one order of clips.

    `fold` is (N,) the number of the fold in which each clip was scored. `temperature` is what fits the answers that
    `calibrated` was given.
    """

    label: str
    runs: tuple[str, ...]
    answers: dict[int, Predictions]
    fold: np.ndarray
    temperature: float | None = None

    @property
    def right(self) -> np.ndarray:
        """(seeds, N) bool."""
        return np.stack([own.probabilities.argmax(1) == own.target for own in self.answers.values()])


def calibrated(system: System) -> System:
    """The same with each fold's answers apply_temperature by what fits the other folds, and the temperature that fits all.

    Over several seeds that is their geometric mean. Raises GenreclfError for a single fold.
    """
    if len(np.unique(system.fold)) < 2:
        raise GenreclfError(f"--calibrate: {system.label} has one fold; a temperature is fitted on the other folds")
    answers, fitted = {}, []
    for seed, own in system.answers.items():
        probabilities, target = torch.from_numpy(own.probabilities), torch.from_numpy(own.target)
        fitted.append(fit_temperature(probabilities, target))
        answers[seed] = replace(own, probabilities=cross_fitted(probabilities, target, system.fold).numpy())
    return replace(system, answers=answers, temperature=float(np.exp(np.mean(np.log(fitted)))))


def compare(systems: Sequence[System]) -> dict[str, Any]:
    """All systems and all pairs of them, the best first. Their clips must be the same, in the same order."""
    ranked = sorted(systems, key=lambda system: -system.right.mean())
    groups = next(iter(ranked[0].answers.values())).groups
    pairs = [pair(*two, groups) for two in itertools.combinations(ranked, 2)]
    for one, corrected in zip(pairs, holm([one["p"] for one in pairs]), strict=True):
        one["p_holm"] = corrected
        one["verdict"] = verdict(one, len(groups), len(set(groups)))
    return {
        "clips": len(groups),
        "groups": len(set(groups)),
        "systems": [described(system, groups) for system in ranked],
        "pairs": pairs,
    }


def described(system: System, groups: Sequence[str]) -> dict[str, Any]:
    """Its scores: means over the seeds, with deviations over seeds and folds, and 95 % intervals over clips."""
    each = [scores(own.probabilities, own.target, own.classes) for own in system.answers.values()]
    right = system.right
    accuracy = right.mean(axis=1)  # (seeds,)
    folds = [right[:, system.fold == number].mean() for number in np.unique(system.fold)]
    return {
        "label": system.label,
        "runs": list(system.runs),
        "seeds": list(system.answers),
        "temperature": system.temperature,
        "accuracy": float(accuracy.mean()),
        "accuracy_by_seed": accuracy.tolist(),
        "accuracy_by_fold": [float(share) for share in folds],
        "deviation_over_seeds": deviation(accuracy),
        "deviation_over_folds": deviation(folds),
        "clustered": _mean_interval(right.mean(axis=0), groups),
        "wilson": wilson(int(right.sum()), right.size) if len(right) == 1 else None,
        **_over_seeds("macro_f1", each),
        **_over_seeds("log_loss", each),
        "ece": float(np.mean([calibration_error(own.probabilities, own.target) for own in system.answers.values()])),
    }


def _over_seeds(name: str, each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A score's mean, its value of each seed, and their deviation."""
    values = [one[name] for one in each]
    return {
        name: float(np.mean(values)),
        f"{name}_by_seed": values,
        f"{name}_deviation_over_seeds": deviation(values),
    }


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation; None of a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _mean_interval(per_clip: np.ndarray, groups: Sequence[str]) -> Interval | None:
    return clustered(by_group(np.column_stack([np.ones(len(per_clip)), per_clip]), groups), _mean)


def _mean(drawn: np.ndarray) -> np.ndarray:
    return drawn[:, 1] / drawn[:, 0]


def pair(better: System, other: System, groups: Sequence[str]) -> dict[str, Any]:
    """Two systems on the same clips in `groups`, (N,): the difference of their mean accuracies, and what speaks for it.

    `p` is exact McNemar's; where there are several seeds, twice the median over all pairs of them, which holds however
    they depend on each other (DiCiccio, DiCiccio and Romano 2020). `only_..._right` are means over them. `detectable`
    is the true difference that 80 % of such test sets would show at the 5 % level: 2.8 standard errors (Connor 1987);
    None where all draws are alike.
    """
    first, second = better.right, other.right
    seeds = list(itertools.product(first, second))
    own = [mcnemar(*both) for both in seeds]
    # (N,) counts, not means: of thirds, an interval's end that is 0 comes out a hair above it, as if it excluded 0.
    gain = len(second) * first.sum(axis=0) - len(first) * second.sum(axis=0)
    sums = by_group(np.column_stack([np.full(len(gain), len(first) * len(second)), gain]), groups)
    spread = float(resampled(sums, _mean).std()) if len(sums) > 1 else 0.0
    return {
        "better": better.label,
        "other": other.label,
        "difference": float(gain.mean() / (len(first) * len(second))),
        "clustered": clustered(sums, _mean),
        "detectable": (COVERAGE_Z + POWER_Z) * spread if spread else None,
        "only_better_right": float(np.mean([(one & ~two).sum() for one, two in seeds])),
        "only_other_right": float(np.mean([(two & ~one).sum() for one, two in seeds])),
        "p": own[0] if len(own) == 1 else min(1.0, 2 * float(np.median(own))),
    }


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """(N,) bool whether right, twice -> the exact two-sided p of no difference (McNemar 1947).

    Only the clips on which one of the two is right tell anything: by chance, each of these is either's with equal odds.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    return float(binomtest(only_first, differing).pvalue) if differing else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values, corrected for their number (Holm 1979): none below its own, none above 1, their order kept."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.array(p_values, dtype=float)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected.tolist()


def verdict(found: dict[str, Any], clips: int, groups: int) -> str:
    """What a pair of systems comes to, in a sentence or two."""
    better, other, interval = found["better"], found["other"], found["clustered"]
    p = f"p {shown_p(found['p_holm'])}"
    if interval is None:
        return f"{better} and {other}: all clips are of one group, from which nothing can be told."
    low, high = (100 * end for end in interval)
    points = 100 * found["difference"]
    by_test, by_interval = found["p_holm"] < LEVEL, low > 0
    if by_test and by_interval:
        return f"{better} is better than {other}, by {points:.1f} points (95 %: {low:.1f} to {high:.1f}; {p})."
    if by_test or by_interval:
        says, doubts = (
            ("clip by clip", "with groups drawn together") if by_test else ("by the interval", "by the exact test")
        )
        return (
            f"{better} may be better than {other}: {says} it is, {doubts} it is not certain ({points:.1f} points, "
            f"95 %: {low:.1f} to {high:.1f}; {p})."
        )
    apart = f"{better} and {other} cannot be told apart by these {counted(clips, 'clip')} in {counted(groups, 'group')}"
    if found["detectable"] is None:
        return f"{apart}: in each group they are right equally often ({p})."
    return (
        f"{apart}: the difference of {points:.1f} points may be anything from {low:.1f} to {high:.1f} ({p}). "
        f"They could show one of {100 * found['detectable']:.1f} points or more."
    )


def counted(number: int, what: str) -> str:
    """The number with its noun."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def shown_p(value: float) -> str:
    """With its sign of equality, or as too small to tell."""
    return "< 0.0001" if value < 1e-4 else f"= {value:.2g}"

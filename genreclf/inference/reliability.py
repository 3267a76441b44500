"""A model's accuracy on held-out clips by the probability of the predicted genre, from scores.json."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple


class ReliabilityBin(NamedTuple):
    """The held-out clips whose prediction had a probability in [low, high); the last bin of a model includes 1."""

    low: float
    high: float
    clips: int
    accuracy: float  # the share of these clips whose genre was correct, in [0, 1]


class Measured(NamedTuple):
    """Measurements on predictions with at least a certain probability."""

    least: float  # this probability, where a bin begins
    clips: int  # with a prediction of at least this probability
    of_clips: int  # all held-out clips
    accuracy: float  # of `clips`


def read_bins(values: Any) -> tuple[ReliabilityBin, ...]:
    """Reads the bins of a scores.json, from low to high; empty if it has none, as in earlier versions, or damaged ones.

    Bins are valid if they are in order, each with clips and an accuracy from 0 to 1.
    """
    try:
        bins = tuple(
            ReliabilityBin(float(one["low"]), float(one["high"]), int(one["clips"]), float(one["accuracy"]))
            for one in values or ()
        )
    except (TypeError, KeyError, ValueError, OverflowError):
        return ()
    in_order = all(left.low < right.low for left, right in itertools.pairwise(bins))
    valid = in_order and all(one.low < one.high and one.clips > 0 and 0 <= one.accuracy <= 1 for one in bins)
    return bins if valid else ()


def bin_of(bins: Sequence[ReliabilityBin], probability: float) -> ReliabilityBin | None:
    """Returns the bin of a prediction with this probability; None if that was not measured."""
    for one in bins:
        if one.low <= probability < one.high or probability == one.high == bins[-1].high:
            return one
    return None


def at_least(bins: Sequence[ReliabilityBin], least: float) -> Measured | None:
    """Returns the measurements on predictions with a probability of `least` or more; None if there are none.

    If `least` is inside a bin, the measurements begin at the next bin, because a bin cannot be divided.
    """
    above = [one for one in bins if one.low >= least - 1e-9]
    if not above:
        return None
    clips = sum(one.clips for one in above)
    right = sum(one.clips * one.accuracy for one in above)
    return Measured(above[0].low, clips, sum(one.clips for one in bins), right / clips)

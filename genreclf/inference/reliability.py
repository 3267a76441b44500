"""A model's accuracy on held-out clips, by the probability of the predicted genre: what scores.json says of it."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from genreclf.errors import GenreclfError


class ReliabilityBin(NamedTuple):
    """The held-out clips whose answer had a probability in [low, high); the last bin of a model includes 1."""

    low: float
    high: float
    clips: int
    accuracy: float  # the share of these clips whose genre was correct, in [0, 1]


class Measured(NamedTuple):
    """What was measured of the answers from a probability on."""

    least: float  # the probability; a bin begins there
    clips: int  # with an answer of at least this probability
    of_clips: int  # all held-out clips
    accuracy: float  # of `clips`


def read_bins(values: Any) -> tuple[ReliabilityBin, ...]:
    """The bins in a scores.json, from low to high; none of one that has none. Raises GenreclfError for other values."""
    try:
        bins = tuple(
            ReliabilityBin(float(one["low"]), float(one["high"]), int(one["clips"]), float(one["accuracy"]))
            for one in values or ()
        )
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise GenreclfError(f"reliability: expected bins of low, high, clips and accuracy ({error!r})") from error
    in_order = all(left.low < right.low for left, right in itertools.pairwise(bins))
    if not in_order or not all(one.low < one.high and one.clips > 0 and 0 <= one.accuracy <= 1 for one in bins):
        raise GenreclfError("reliability: expected bins in order, each with clips and an accuracy from 0 to 1")
    return bins


def bin_of(bins: Sequence[ReliabilityBin], probability: float) -> ReliabilityBin | None:
    """The bin of an answer with this probability; None where that was not measured."""
    for one in bins:
        if one.low <= probability < one.high or probability == one.high == bins[-1].high:
            return one
    return None


def at_least(bins: Sequence[ReliabilityBin], least: float) -> Measured | None:
    """What was measured of answers with a probability of `least` or more; None if that was not measured.

    Within a bin nothing is known of its parts: then the measured part begins at the next bin.
    """
    above = [one for one in bins if one.low >= least - 1e-9]
    if not above:
        return None
    clips = sum(one.clips for one in above)
    right = sum(one.clips * one.accuracy for one in above)
    return Measured(above[0].low, clips, sum(one.clips for one in bins), right / clips)

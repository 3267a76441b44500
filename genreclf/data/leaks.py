"""What validation and test clips share with training: the same recording, artist or title. Pure: no I/O."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genreclf.data.groups import normal_name
from genreclf.data.split import SPLITS, listed
from genreclf.data.table import ClipMetadata

# What two clips may share, strongest first.
SHARED = ("recording", "artist", "title")
HELD_OUT = SPLITS[1:]
RANDOM_SEEDS = 20


@dataclass(frozen=True)
class Leak:
    """`clips` of the `of` clips whose recording (artist, title) is known have it in training, too.

    Both are means where they come from several splits. `share` is None where none is known.
    """

    clips: float
    of: float

    @property
    def share(self) -> float | None:
        """Of the clips for which it is known."""
        return self.clips / self.of if self.of else None


# By what is shared, and before that by the held-out split.
Leaks = dict[str, Leak]
HeldOut = dict[str, Leaks]
# A key for each clip, by what is shared: equal where it is the same, None where it is not known.
Keys = dict[str, list[str | None]]


@dataclass(frozen=True)
class LeakingClip:
    """A validation or test clip, and what of it is in training, too: words of SHARED, each with a clip there."""

    path: str
    split: str
    training: dict[str, str]


def compared_leaks(paths: Sequence[str], splits: Sequence[str | None], keys: Keys) -> dict[str, HeldOut]:
    """The leaks of the chosen split, of random ones, and of the published one where the names are GTZAN's."""
    compared = {
        "chosen": {part: leaks(splits, keys, part) for part in HELD_OUT},
        "random": {part: random_leaks(splits, keys, part) for part in HELD_OUT},
    }
    published = listed(paths)
    if any(published):
        compared["published"] = {part: leaks(published, keys, part) for part in HELD_OUT}
    return compared


def shared_keys(recordings: Sequence[str], facts: Sequence[ClipMetadata]) -> Keys:
    """By the words of SHARED; a title counts with its artist only: different artists have songs of one title."""
    return {
        "recording": list(recordings),
        "artist": [normal_name(fact.artist) or None for fact in facts],
        "title": [_title_key(fact) for fact in facts],
    }


def _title_key(fact: ClipMetadata) -> str | None:
    artist, title = normal_name(fact.artist), normal_name(fact.title)
    return f"{artist}\0{title}" if artist and title else None


def leaks(splits: Sequence[str | None], keys: Keys, part: str) -> Leaks:
    """How many clips of one split share what with training."""
    return {shared: _leak(splits, column, part) for shared, column in keys.items()}


def _leak(splits: Sequence[str | None], column: Sequence[str | None], part: str) -> Leak:
    training = {key for key, split in zip(column, splits, strict=True) if split == "train"}
    known = [key for key, split in zip(column, splits, strict=True) if split == part and key is not None]
    return Leak(sum(key in training for key in known), len(known))


def random_leaks(splits: Sequence[str | None], keys: Keys, part: str) -> Leaks:
    """The same for a split of equally many clips drawn one by one, as is often done: means over RANDOM_SEEDS draws."""
    drawn = [leaks(_shuffled(splits, seed), keys, part) for seed in range(RANDOM_SEEDS)]
    return {
        shared: Leak(
            sum(one[shared].clips for one in drawn) / RANDOM_SEEDS, sum(one[shared].of for one in drawn) / RANDOM_SEEDS
        )
        for shared in keys
    }


def _shuffled(splits: Sequence[str | None], seed: int) -> list[str | None]:
    """The assignments dealt out anew among the clips that have one."""
    places = [clip for clip, split in enumerate(splits) if split]
    dealt: list[str | None] = [None] * len(splits)
    for place, other in zip(places, np.random.default_rng(seed).permutation(len(places)), strict=True):
        dealt[place] = splits[places[other]]
    return dealt


def leaking_clips(paths: Sequence[str], splits: Sequence[str | None], keys: Keys) -> list[LeakingClip]:
    """The validation and test clips that share something with training, and with which clip there."""
    found = []
    in_training = {
        shared: {key: path for key, path, split in zip(column, paths, splits, strict=True) if key and split == "train"}
        for shared, column in keys.items()
    }
    for clip, (path, split) in enumerate(zip(paths, splits, strict=True)):
        own = {shared: in_training[shared].get(column[clip]) for shared, column in keys.items()}
        training = {shared: other for shared, other in own.items() if other is not None}
        if split in HELD_OUT and training:
            found.append(LeakingClip(path, split, training))
    return found


def has_leak(held_out: HeldOut) -> bool:
    """Whether any held-out clip has its recording or its artist in training. A title is its artist's."""
    return any(own[shared].clips > 0 for own, shared in itertools.product(held_out.values(), ("recording", "artist")))


def leak_line(found: Leaks, part: str) -> str:
    """One line on a held-out split, to stand beside an accuracy."""
    named = {"val": "validation", "test": "test"}[part]
    recording, artist = found["recording"], found["artist"]
    artists = f"whose artist is: {artist.clips:g} of {artist.of:g} known" if artist.of else "artists unknown"
    return f"{named} clips whose recording is in training, too: {recording.clips:g} of {recording.of:g}; {artists}"

"""What validation and test clips share with training: recording, artist, title or declared group. Pure: no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genreclf.data.membership import normalize_name
from genreclf.data.split import SPLITS, listed
from genreclf.data.table import ClipMetadata

# What two clips may share: a recording (found by sound), and cells of data.table. A shared title implies an artist.
SHARED = ("recording", "artist", "title", "group")
LEAKS = ("recording", "artist", "group")
HELD_OUT = SPLITS[1:]
PART_NAMES = {"val": "validation", "test": "test"}
RANDOM_SEEDS = 20


@dataclass(frozen=True)
class Leak:
    """How many held-out clips share one thing with training. Means, if computed over several splits."""

    clips: float
    of: float  # clips for which it is known

    @property
    def share(self) -> float | None:
        """`clips` / `of`; None where it is known for no clip."""
        return self.clips / self.of if self.of else None


Leaks = dict[str, Leak]  # by what is shared
HeldOut = dict[str, Leaks]  # by held-out split
Keys = dict[str, list[str | None]]  # by what is shared: a key per clip, equal where it is the same, None if unknown


@dataclass(frozen=True)
class LeakingClip:
    """A validation or test clip that shares something with training."""

    path: str
    split: str
    training: dict[str, str]  # by what is shared: the path of a training clip


def shared_keys(recordings: Sequence[str], metadata: Sequence[ClipMetadata]) -> Keys:
    """A key per clip for each of SHARED. Titles are compared together with their artists."""
    artists = [normalize_name(one.artist) for one in metadata]
    titles = zip(artists, (normalize_name(one.title) for one in metadata), strict=True)
    return {
        "recording": list(recordings),
        "artist": [artist or None for artist in artists],
        "title": [f"{artist}\0{title}" if artist and title else None for artist, title in titles],
        "group": [one.group or None for one in metadata],
    }


def held_out_leaks(splits: Sequence[str | None], keys: Keys) -> HeldOut:
    """The leaks of the validation and test clips."""
    return {part: leaks(splits, keys, part) for part in HELD_OUT}


def leaks(splits: Sequence[str | None], keys: Keys, part: str) -> Leaks:
    """How many clips of the split `part` share what with training."""
    found = {}
    for shared, column in keys.items():
        clips = list(zip(column, splits, strict=True))
        training = {key for key, split in clips if split == "train"}
        known = [key for key, split in clips if split == part and key is not None]
        found[shared] = Leak(sum(key in training for key in known), len(known))
    return found


def compared_leaks(paths: Sequence[str], splits: Sequence[str | None], keys: Keys) -> dict[str, HeldOut]:
    """For comparison with a chosen split: random splits and, if file names are GTZAN's, the published one."""
    compared = {"random": {part: random_leaks(splits, keys, part) for part in HELD_OUT}}
    published = listed(paths)
    if any(published):
        compared["published"] = held_out_leaks(published, keys)
    return compared


def random_leaks(splits: Sequence[str | None], keys: Keys, part: str) -> Leaks:
    """The leaks if the clips were assigned one by one at random, in equal numbers: means over RANDOM_SEEDS splits."""
    assigned = [clip for clip, split in enumerate(splits) if split]
    drawn = []
    for seed in range(RANDOM_SEEDS):
        shuffled: list[str | None] = [None] * len(splits)
        for clip, other in zip(assigned, np.random.default_rng(seed).permutation(assigned), strict=True):
            shuffled[clip] = splits[other]
        drawn.append(leaks(shuffled, keys, part))
    clips = {shared: sum(one[shared].clips for one in drawn) / RANDOM_SEEDS for shared in keys}
    return {shared: Leak(clips[shared], sum(one[shared].of for one in drawn) / RANDOM_SEEDS) for shared in keys}


def leaking_clips(paths: Sequence[str], splits: Sequence[str | None], keys: Keys) -> list[LeakingClip]:
    """The validation and test clips that share something with training, each with a training clip for each thing."""
    found = []
    in_training: dict[str, dict[str | None, str]] = {
        shared: {key: path for key, path, split in zip(column, paths, splits, strict=True) if key and split == "train"}
        for shared, column in keys.items()
    }
    for clip, (path, split) in enumerate(zip(paths, splits, strict=True)):
        if split not in HELD_OUT:
            continue
        others = {shared: in_training[shared].get(column[clip]) for shared, column in keys.items()}
        training = {shared: other for shared, other in others.items() if other is not None}
        if training:
            found.append(LeakingClip(path, split, training))
    return found


def has_leak(held_out: HeldOut) -> bool:
    """Whether any held-out clip shares its recording, artist or declared group with training."""
    return any(found[shared].clips > 0 for found in held_out.values() for shared in LEAKS)


def leak_line(found: Leaks, part: str) -> str:
    """One line about a held-out split, printed next to an accuracy."""
    recording, artist, group = (found[shared] for shared in LEAKS)
    line = f"{PART_NAMES[part]} clips that share a recording with training: {recording.clips:g} of {recording.of:g}"
    line += f"; an artist: {artist.clips:g} of {artist.of:g} known" if artist.of else "; artists unknown"
    return line + (f"; a declared group: {group.clips:g} of {group.of:g} in groups" if group.of else "")

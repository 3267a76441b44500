"""Finds leaks: validation and test clips that share a recording, artist, title or declared group with training clips.

Pure: no I/O.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from genreclf.data.artists import artist_key
from genreclf.data.fingerprint import MIN_OVERLAP_FRAMES
from genreclf.data.groups import title_keys
from genreclf.data.gtzan_lists import listed
from genreclf.data.split import SPLITS
from genreclf.data.store import Row
from genreclf.data.table import ClipMetadata
from genreclf.text import first_names

# What two clips may share: a recording (found by sound), or cells of data.table.
SHARED = ("recording", "artist", "title", "group")
HELD_OUT = SPLITS[1:]
PART_NAMES = {"train": "training", "val": "validation", "test": "test"}
RANDOM_SEEDS = 20
# Worst first. "none found so far": some clips could not be compared. "unknown": on one side at least, none could, or
# there are pieces of one clip on both sides.
VERDICTS = ("leaks", "unknown", "none found so far", "none found")


@dataclass(frozen=True)
class Leak:
    """The number of held-out clips that share something with training; means over several splits are not whole."""

    clips: float
    of: float  # number of clips for which it is known
    unknown: float = 0.0  # number of the others

    @property
    def share(self) -> float | None:
        """`clips` / `of`, or None if it is not known for any clip."""
        return self.clips / self.of if self.of else None


@dataclass(frozen=True)
class Column:
    """A property that clips may share, with an item per clip."""

    keys: Sequence[str | None]  # equal for clips that share it
    known: Sequence[bool]  # False if the clip might share it with more clips


Leaks = dict[str, Leak]  # by what is shared
HeldOut = dict[str, Leaks]  # by held-out split
Keys = dict[str, Column]  # by what is shared


@dataclass(frozen=True)
class LeakingClip:
    """A validation or test clip that shares something with training."""

    path: str
    split: str
    training: dict[str, str]  # the path of a training clip, by what is shared


def compared(row: Row) -> bool:
    """Returns whether a clip can be compared by sound: at least 4 s, not uniform. Others are compared byte for byte."""
    return row.tokens > 0 and row.frames >= MIN_OVERLAP_FRAMES


def not_compared(rows: Sequence[Row], split_of: Mapping[int, str | None]) -> dict[str, list[str]]:
    """Returns the readable clips that cannot be compared by sound, as paths by split, or "none" for no split.

    The keys of `split_of` are clip numbers in `rows`.
    """
    found: dict[str, list[str]] = {part: [] for part in (*SPLITS, "none")}
    for clip, row in enumerate(rows):
        if row.columns and not compared(row):
            found[split_of.get(clip) or "none"].append(row.path)
    return found


def shared_keys(rows: Sequence[Row], metadata: Sequence[ClipMetadata]) -> Keys:
    """Returns the column of each of SHARED for these clips. Titles are compared together with their artists."""
    declared = {
        "artist": [artist_key(one.artist) or None for one in metadata],
        "title": title_keys(metadata),
        "group": [one.group or None for one in metadata],
    }
    recordings = Column([row.group for row in rows], [compared(row) for row in rows])
    columns = {shared: Column(keys, [key is not None for key in keys]) for shared, keys in declared.items()}
    return {"recording": recordings, **columns}


def held_out_leaks(splits: Sequence[str | None], keys: Keys) -> HeldOut:
    """Returns the leaks of the validation and test clips."""
    return {part: leaks(splits, keys, part) for part in HELD_OUT}


def leaks(splits: Sequence[str | None], keys: Keys, part: str) -> Leaks:
    """Counts the clips of the split `part` that share something with training, by what they share."""
    found = {}
    for shared, column in keys.items():
        clips = list(zip(column.keys, column.known, splits, strict=True))
        training = {key for key, _, split in clips if split == "train" and key is not None}
        held_out = [(key in training, known) for key, known, split in clips if split == part]
        of = sum(leak or known for leak, known in held_out)
        found[shared] = Leak(sum(leak for leak, _ in held_out), of, len(held_out) - of)
    return found


def compared_leaks(
    paths: Sequence[str], splits: Sequence[str | None], keys: Keys, published: Sequence[str | None] = ()
) -> dict[str, HeldOut]:
    """Returns the leaks of other splits for comparison: random ones, and `published` or, by file names, GTZAN's."""
    compared = {"random": {part: random_leaks(splits, keys, part) for part in HELD_OUT}}
    published = published or listed(paths)
    if any(published):
        compared["published"] = held_out_leaks(published, keys)
    return compared


def random_leaks(splits: Sequence[str | None], keys: Keys, part: str) -> Leaks:
    """Returns the mean leaks of RANDOM_SEEDS splits that assign single clips randomly, in the same numbers."""
    assigned = [clip for clip, split in enumerate(splits) if split]
    drawn = []
    for seed in range(RANDOM_SEEDS):
        shuffled: list[str | None] = [None] * len(splits)
        for clip, other in zip(assigned, np.random.default_rng(seed).permutation(assigned), strict=True):
            shuffled[clip] = splits[other]
        drawn.append(leaks(shuffled, keys, part))
    means = {shared: np.mean([astuple(one[shared]) for one in drawn], axis=0).tolist() for shared in keys}
    return {shared: Leak(*mean) for shared, mean in means.items()}


def leaking_clips(paths: Sequence[str], splits: Sequence[str | None], keys: Keys) -> list[LeakingClip]:
    """Returns the validation and test clips that share something with training, each with a training clip."""
    found = []
    in_training: dict[str, dict[str | None, str]] = {
        shared: {
            key: path for key, path, split in zip(column.keys, paths, splits, strict=True) if key and split == "train"
        }
        for shared, column in keys.items()
    }
    for clip, (path, split) in enumerate(zip(paths, splits, strict=True)):
        if split not in HELD_OUT:
            continue
        others = {shared: in_training[shared].get(column.keys[clip]) for shared, column in keys.items()}
        training = {shared: other for shared, other in others.items() if other is not None}
        if training:
            found.append(LeakingClip(path, split, training))
    return found


def divided_pieces(
    paths: Sequence[str], splits: Sequence[str | None], wholes: Sequence[str], parts: Sequence[str] = HELD_OUT
) -> list[str]:
    """Returns clips of the splits `parts` that seem to be pieces of the same clips as training clips.

    `wholes` is that of a Membership.
    """
    training = {whole for whole, split in zip(wholes, splits, strict=False) if whole and split == "train"}
    clips = zip(paths, splits, wholes, strict=False)  # there may be no `wholes`
    return [path for path, split, whole in clips if split in parts and whole in training]


def has_leak(held_out: HeldOut) -> bool:
    """Returns whether any held-out clip shares its recording, artist, title or declared group with training."""
    return any(leak.clips > 0 for found in held_out.values() for leak in found.values())


def verdict(held_out: HeldOut, divided: Sequence[str], absent: Mapping[str, Sequence[str]], training_clips: int) -> str:
    """Returns one of VERDICTS on held-out splits. `divided` is from `divided_pieces`.

    `absent` is from `not_compared`, for training and these splits.
    """
    if has_leak(held_out):
        return "leaks"
    if divided:
        return "unknown"
    if not any(absent.values()):
        return "none found"
    in_groups = not any(found["group"].unknown for found in held_out.values())
    compared = any(found["recording"].of for found in held_out.values()) and training_clips > len(absent["train"])
    return "none found so far" if in_groups or compared else "unknown"


def leak_line(found: Leaks, part: str, absent: Mapping[str, Sequence[str]], divided: Sequence[str] = ()) -> str:
    """Returns one line on a held-out split, to print next to an accuracy.

    `absent` is from `not_compared`, `divided` from `divided_pieces`.
    """
    recording, artist, title, group = (found[shared] for shared in SHARED)
    line = f"{PART_NAMES[part]} clips that share a recording with training: {recording.clips:g} of {recording.of:g}"
    unseen = {name: absent[name] for name in (part, "train")}
    if any(unseen.values()):
        line += f" that could be compared by sound; {not_compared_line(unseen)}"
    line += f"; an artist: {artist.clips:g} of {artist.of:g} known" if artist.of else "; artists unknown"
    line += f"; a title: {title.clips:g} of {title.of:g} known" if title.clips else ""
    line += f"; a declared group: {group.clips:g} of {group.of:g} in groups" if group.of else ""
    return line + (f"; {pieces_line(divided)}" if divided else "")


def pieces_line(divided: Sequence[str]) -> str:
    """Describes the clips that `divided_pieces` has found, with the first names."""
    seem = f"{len(divided)} held-out clips seem to be other pieces of training clips ({first_names(divided)})"
    return f"{seem}: data.group=stem keeps them together"


def not_compared_line(absent: Mapping[str, Sequence[str]]) -> str:
    """Describes how many clips of each split cannot be compared by sound, with the first names."""
    counts = ", ".join(f"{len(paths)} {PART_NAMES[part]}" for part, paths in absent.items() if paths)
    paths = [path for paths in absent.values() for path in paths]
    return f"not compared by sound, as they are shorter than 4 s or uniform: {counts} clips ({first_names(paths)})"

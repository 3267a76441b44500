"""Which clip belongs to which split. Pure: no I/O, no randomness, and the only file that decides membership."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from genreclf.errors import GenreclfError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class SplitConfig:
    """`name` is hashed, folds, published, table or all; `salt` is not the seed of a training; `fold` counts from 0.

    Without `validation` its clips train.
    """

    name: str
    salt: str
    shares: tuple[float, ...]
    folds: int
    fold: int
    validation: bool


NAMES = ("hashed", "folds", "published", "table", "all")


def assign(
    config: SplitConfig,
    names: Sequence[str],
    labels: Sequence[str],
    digests: Sequence[str],
    groups: Sequence[str],
    given_folds: Sequence[str],
) -> list[str | None]:
    """The split of each clip, None for one that the lists or the table leave out. All sequences have one entry a clip.

    `given_folds` are what a table calls each clip's fold, empty for none. Raises GenreclfError where the settings make
    no sense.
    """
    if config.name not in NAMES:
        raise GenreclfError(f"split.name={config.name!r}: unknown; known: {', '.join(NAMES)}")
    if config.name == "published":
        splits = published(names)
    elif config.name == "table":
        splits = from_table(given_folds, config.fold)
    elif config.name == "all":
        splits = ["train"] * len(names)
    else:
        splits = _ranked(config, labels, digests, groups)
    return splits if config.validation else ["train" if split == "val" else split for split in splits]


def _ranked(
    config: SplitConfig, labels: Sequence[str], digests: Sequence[str], groups: Sequence[str]
) -> list[str | None]:
    """`hashed` and `folds`: cuts of one rank."""
    if config.name == "hashed":
        if len(config.shares) != 3 or min(config.shares) <= 0 or not abs(sum(config.shares) - 1) <= 1e-6:
            raise GenreclfError(f"split.shares={list(config.shares)}: give three positive shares that sum to 1")
        rank = rank_in_class(labels, digests, groups, config.salt, min(config.shares[1:]))
        return [hashed(position, config.shares) for position in rank]
    if config.folds < 3 or not 0 <= config.fold < config.folds:
        raise GenreclfError(f"split.fold={config.fold}, split.folds={config.folds}: want 0 <= fold < folds >= 3")
    rank = rank_in_class(labels, digests, groups, config.salt, 1 / config.folds)
    return [fold_split(int(position * config.folds), config.fold, config.folds) for position in rank]


def rank_in_class(
    labels: Sequence[str], digests: Sequence[str], groups: Sequence[str], salt: str, smallest: float
) -> list[float]:
    """Each clip's place in [0, 1) in its class, clips of a group sharing theirs.

    Groups are ordered by a hash of the salt and their content, so that neither names, nor order, nor machine matter.
    A group's place is its midpoint: a cut at share s then lies at the group border nearest to s. Groups that hold more
    of their class than the `smallest` share stand first, where training is: an artist with a third of the clips, at
    the end, would leave nothing else for the test.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for clip, group in enumerate(groups):
        members[group].append(clip)
    by_class: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
    for clips in members.values():
        content = min(digests[clip] for clip in clips)
        key = hashlib.sha256(f"{salt}\0{content}".encode()).hexdigest()
        by_class[group_label([labels[clip] for clip in clips])].append((key, clips))
    place = [0.0] * len(groups)
    for ranked in by_class.values():
        total, before = sum(len(clips) for _, clips in ranked), 0
        for _, clips in sorted(ranked, key=lambda group: (len(group[1]) <= smallest * total, group[0])):
            for clip in clips:
                place[clip] = (before + len(clips) / 2) / total
            before += len(clips)
    return place


def group_label(labels: Sequence[str]) -> str:
    """The class that a group is counted in: its most frequent, the first by name where two are."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


def hashed(position: float, shares: Sequence[float]) -> str:
    """The split at a place in [0, 1) when classes are cut at `shares`."""
    if position < shares[0]:
        return "train"
    return "val" if position < shares[0] + shares[1] else "test"


def fold_split(own: int, fold: int, folds: int) -> str:
    """Fold `fold` is test, the next one val, the others train."""
    return {fold: "test", (fold + 1) % folds: "val"}.get(own, "train")


def from_table(given_folds: Sequence[str], fold: int) -> list[str | None]:
    """The same by folds that somebody else has cut, in the order of their numbers or names; None for a clip of none."""
    known = sorted({own for own in given_folds if own}, key=lambda own: (int(own) if own.isdecimal() else 0, own))
    if len(known) < 3 or not 0 <= fold < len(known):
        raise GenreclfError(
            f"split=table, split.fold={fold}: the column fold of data.table has {len(known)} folds; "
            "give a table with at least 3, and a split.fold from 0 to below their number"
        )
    return [fold_split(known.index(own), fold, len(known)) if own else None for own in given_folds]


def published(names: Sequence[str]) -> list[str | None]:
    """Membership in GTZAN's fault-filtered lists (Kereliuk et al. 2015), as torchaudio carries them.

    Takes the usual spellings of a clip's name: blues.00000.wav, blues00000.png. Raises GenreclfError if none is listed.
    """
    found = listed(names)
    if not any(found):
        raise GenreclfError(f"split=published: no clip is on GTZAN's lists (first: {names[0]}); use split=hashed")
    return found


def listed(names: Sequence[str]) -> list[str | None]:
    """The same for clips of any data set: None for each that is on none of GTZAN's lists."""
    split_of = {name: split for split, members in _published_lists().items() for name in members}
    return [split_of.get(gtzan_name(name)) for name in names]


def published_missing(names: Sequence[str]) -> dict[str, list[str]]:
    """The clips of each of GTZAN's fault-filtered lists that are not among `names`, however these spell them."""
    have = {gtzan_name(name) for name in names}
    return {split: [name for name in members if name not in have] for split, members in _published_lists().items()}


def _published_lists() -> dict[str, list[str]]:
    # Imported here: nothing else in the split needs torchaudio.
    from torchaudio.datasets import gtzan

    return {"train": gtzan.filtered_train, "val": gtzan.filtered_valid, "test": gtzan.filtered_test}


def gtzan_name(path: str) -> str:
    """`.../blues00000.png` -> `blues.00000`; other names come back without folder and suffix."""
    stem = re.split(r"[/\\]", path)[-1]
    match = re.match(r"([a-z]+)\.?(\d{5})(\.[A-Za-z0-9]+)?$", stem)
    return f"{match[1]}.{match[2]}" if match else stem


def refusals(
    config: SplitConfig, splits: Sequence[str | None], labels: Sequence[str], groups: Sequence[str]
) -> list[str]:
    """Why no training can use this split, a line each: fewer than two classes, or one that a needed split lacks."""
    # The published test list may be withheld: training needs only the other two.
    unneeded = {"published": {"test"}, "all": {"val", "test"}}.get(config.name, set())
    needed = [split for split in SPLITS if split not in unneeded and (split != "val" or config.validation)]
    have, classes = set(zip(splits, labels, strict=True)), sorted(set(labels))
    reasons = []
    if len(classes) < 2:
        reasons.append(
            f"fewer than two classes have clips that can be used ({', '.join(classes) or 'none'}); "
            "mend the files that cannot be read, or add others"
        )
    for label in classes:
        missing = [split for split in needed if (split, label) not in have]
        if missing:
            own = [group for group, other in zip(groups, labels, strict=True) if other == label]
            in_groups = f", in {len(set(own))} groups," if len(set(own)) < len(own) else ""
            reasons.append(
                f"class {label!r}: none of its {len(own)} clips{in_groups} falls in {missing[0]}; "
                "give it more clips, or change split.shares or split.salt"
            )
    return reasons

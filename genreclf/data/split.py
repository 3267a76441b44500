"""Which clip belongs to which split. Pure: no I/O, no randomness, and the only file that decides membership."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields

from genreclf.errors import GenreclfError

SPLITS = ("train", "val", "test")
# The keys that act in each split, in addition to its name.
KEYS = {
    "hashed": ("salt", "shares", "validation"),
    "folds": ("salt", "folds", "fold", "validation"),
    "published": ("validation",),
    "table": ("fold", "validation"),
    "all": (),
}


@dataclass(frozen=True)
class SplitConfig:
    """One split. A key that does not act in it is None.

    Raises GenreclfError for an unknown name, a key that is missing or does not act, and values out of range.
    """

    name: str  # hashed, folds, published, table or all
    salt: str | None = None  # selects the split of `hashed` and `folds`; independent of the seed of a training
    shares: tuple[float, ...] | None = None  # of training, validation and test; they sum to 1
    folds: int | None = None  # number of folds, at least 3
    fold: int | None = None  # the test fold, counted from 0; the next one is validation
    validation: bool | None = None  # false: validation clips train

    def __post_init__(self) -> None:
        if self.name not in KEYS:
            raise GenreclfError(f"split.name={self.name!r}: unknown; known: {', '.join(KEYS)}")
        for key in (field.name for field in fields(self)[1:]):
            given, acts = getattr(self, key) is not None, key in KEYS[self.name]
            if given != acts:
                fault = "missing; add it" if acts else f"has no effect with split={self.name}; remove it"
                raise GenreclfError(f"split.{key}: {fault}")
        shares = self.shares
        if shares is not None and (len(shares) != 3 or not min(shares) > 0 or not abs(sum(shares) - 1) <= 1e-6):
            raise GenreclfError(f"split.shares={list(shares)}: give three positive shares that sum to 1")
        if self.fold is not None and self.fold < 0:
            raise GenreclfError(f"split.fold={self.fold}: must be at least 0")
        if self.fold is not None and self.folds is not None and not 3 <= self.folds > self.fold:
            raise GenreclfError(f"split.fold={self.fold}, split.folds={self.folds}: need fold < folds, and folds >= 3")


def assign(
    config: SplitConfig,
    names: Sequence[str],
    labels: Sequence[str],
    digests: Sequence[str],
    groups: Sequence[str],
    table_folds: Sequence[str],
) -> list[str | None]:
    """The split of each clip, None for a clip that the lists or the table leave out. Sequences have an item per clip.

    `hashed` and `folds` keep each of `groups` in one split; the lists of `published` and `table` may divide a group.
    `table_folds` are the table's names of folds, empty for none. Raises GenreclfError for unusable lists or tables.
    """
    splits: list[str | None]
    salt, fold = config.salt or "", config.fold or 0
    if config.name == "published":
        splits = published(names)
    elif config.name == "table":
        splits = from_table(table_folds, fold)
    elif config.shares is not None:
        train, val, test = config.shares
        ranks = rank_in_class(labels, digests, groups, salt, min(val, test))
        splits = ["train" if rank < train else "val" if rank < train + val else "test" for rank in ranks]
    elif config.folds is not None:
        ranks = rank_in_class(labels, digests, groups, salt, 1 / config.folds)
        splits = [fold_split(int(rank * config.folds), fold, config.folds) for rank in ranks]
    else:
        splits = ["train"] * len(names)
    return ["train" if split == "val" else split for split in splits] if config.validation is False else splits


def rank_in_class(
    labels: Sequence[str], digests: Sequence[str], groups: Sequence[str], salt: str, smallest: float
) -> list[float]:
    """Each clip's rank in its class, in [0, 1); clips of a group share theirs.

    Groups are ordered by a hash of the salt and their content, independent of names and order. A group's rank is its
    midpoint: a cut at share s then lies at the group border nearest to s. Groups that hold more of their class than the
    share `smallest` come first, in training: otherwise one artist could fill a whole test class.
    """
    by_class: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
    for clips in members(groups):
        content = min(digests[clip] for clip in clips)
        key = hashlib.sha256(f"{salt}\0{content}".encode()).hexdigest()
        counts = Counter(labels[clip] for clip in clips)
        # The most frequent class, the first by name in a tie.
        by_class[max(sorted(counts), key=counts.__getitem__)].append((key, clips))
    ranks = [0.0] * len(groups)
    for ranked in by_class.values():
        total, before = sum(len(clips) for _, clips in ranked), 0
        for _, clips in sorted(ranked, key=lambda group: (len(group[1]) <= smallest * total, group[0])):
            for clip in clips:
                ranks[clip] = (before + len(clips) / 2) / total
            before += len(clips)
    return ranks


def members(groups: Sequence[str]) -> list[list[int]]:
    """The clip numbers of each group, in the order of their first clips."""
    clips_of: dict[str, list[int]] = defaultdict(list)
    for clip, group in enumerate(groups):
        clips_of[group].append(clip)
    return list(clips_of.values())


def fold_split(number: int, fold: int, folds: int) -> str:
    """The split of the clips in fold `number`: fold `fold` is test, the next one val, the others train."""
    return {fold: "test", (fold + 1) % folds: "val"}.get(number, "train")


def from_table(table_folds: Sequence[str], fold: int) -> list[str | None]:
    """Splits by the folds of a table, which are ordered by number or name; None for a clip without a fold."""
    names = {name for name in table_folds if name}
    known = sorted(names, key=lambda name: (int(name) if name.isdecimal() else 0, name))
    if len(known) < 3 or not 0 <= fold < len(known):
        raise GenreclfError(
            f"split=table, split.fold={fold}: the column fold of data.table has {len(known)} folds; "
            "give a table with at least 3, and a split.fold from 0 to below their number"
        )
    return [fold_split(known.index(name), fold, len(known)) if name else None for name in table_folds]


def published(names: Sequence[str]) -> list[str | None]:
    """Membership in GTZAN's fault-filtered lists (Kereliuk et al. 2015), which divide artists, as torchaudio has them.

    Accepts the usual spellings: blues.00000.wav, blues00000.png. Raises GenreclfError if no clip is listed.
    """
    found = listed(names)
    if not any(found):
        raise GenreclfError(f"split=published: no clip is on GTZAN's lists (first: {names[0]}); use split=hashed")
    return found


def listed(names: Sequence[str]) -> list[str | None]:
    """The same for the clips of any data set: None for each clip that is on none of GTZAN's lists."""
    split_of = {name: split for split, members in _published_lists().items() for name in members}
    return [split_of.get(gtzan_name(name)) for name in names]


def published_missing(names: Sequence[str]) -> dict[str, list[str]]:
    """By split, the clips of GTZAN's fault-filtered lists that are not among `names`."""
    present = {gtzan_name(name) for name in names}
    return {split: [name for name in members if name not in present] for split, members in _published_lists().items()}


def _published_lists() -> dict[str, list[str]]:
    from torchaudio.datasets import gtzan  # imported here: nothing else in the split needs torchaudio

    return {"train": gtzan.filtered_train, "val": gtzan.filtered_valid, "test": gtzan.filtered_test}


def gtzan_name(path: str) -> str:
    """`.../blues00000.png` -> `blues.00000`; other names are returned without folder and suffix."""
    stem = re.split(r"[/\\]", path)[-1]
    match = re.match(r"([a-z]+)\.?(\d{5})(\.[A-Za-z0-9]+)?$", stem)
    return f"{match[1]}.{match[2]}" if match else stem


def refusals(
    config: SplitConfig, splits: Sequence[str | None], labels: Sequence[str], groups: Sequence[str]
) -> list[str]:
    """Why no training can use this split, a line each: fewer than two classes, or one that a needed split lacks."""
    # The published test list may be withheld: training needs only the other two.
    optional = {"published": {"test"}, "all": {"val", "test"}}.get(config.name, set())
    needed = [split for split in SPLITS if split not in optional and (split != "val" or config.validation)]
    have, classes = set(zip(splits, labels, strict=True)), sorted(set(labels))
    reasons = []
    if len(classes) < 2:
        remedy = "repair the files that cannot be read, or add others"
        reasons.append(f"fewer than two classes have usable clips ({', '.join(classes) or 'none'}); {remedy}")
    remedy = "give it more clips" + (", or change split.shares or split.salt" if config.name == "hashed" else "")
    for label in classes:
        missing = [split for split in needed if (split, label) not in have]
        if missing:
            of_class = [group for group, other in zip(groups, labels, strict=True) if other == label]
            in_groups = f", in {len(set(of_class))} groups," if len(set(of_class)) < len(of_class) else ""
            where = f"none of its {len(of_class)} clips{in_groups} is in {missing[0]}"
            reasons.append(f"class {label!r}: {where}; {remedy}")
    return reasons


def divided_groups(paths: Sequence[str], groups: Sequence[str], table_folds: Sequence[str]) -> list[str]:
    """Why a table's folds cannot be used, a line for each group of its column `group` that has clips in two folds.

    For every `split.fold`, as two training folds of one run are training and test of another. An item of `groups` or
    `table_folds` is empty where the table gives none.
    """
    first: dict[str, tuple[str, str]] = {}
    reasons: dict[str, str] = {}
    for path, group, fold in zip(paths, groups, table_folds, strict=True):
        other, other_fold = first.setdefault(group, (path, fold)) if group and fold else (path, fold)
        if fold != other_fold:
            where = f"{other!r} is in fold {other_fold!r}, {path!r} in fold {fold!r}"
            remedy = "put its clips in one fold, or remove the column group from data.table"
            reasons.setdefault(group, f"split=table: group {group!r} is divided: {where}; {remedy}")
    return list(reasons.values())

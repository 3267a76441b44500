"""Assigns clips to splits. Pure: no I/O, no randomness, and the only file that decides membership."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated

from genreclf.config import FROM_0, check_fields
from genreclf.data.gtzan_lists import published
from genreclf.errors import GenreclfError
from genreclf.grouping import grouped
from genreclf.text import normalize_name

SPLITS = ("train", "val", "test")
GIVEN = ("published", "table", "folders")  # made by others
# Names of each split in tables and folders, without case, spaces, punctuation and "set"
WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "evaluation"), "test"),  # "eval" may also mean validation
}
_NUMBER = re.compile(r"\d+")
# The keys that have an effect in each split, in addition to its name.
KEYS = {
    "hashed": ("salt", "shares", "validation"),
    "folds": ("salt", "folds", "fold", "validation"),
    "published": ("validation",),
    "table": ("fold", "validation"),
    "folders": ("validation",),
    "all": (),
}
OPTIONAL = {"published": ("fold",)}  # these may be None even if they have an effect


@dataclass(frozen=True)
class SplitConfig:
    """Settings of a split. A key that has no effect in it is None.

    Raises GenreclfError for an unknown name, a key that is missing or has no effect, and values out of range.
    """

    name: Annotated[str, tuple(KEYS)]
    salt: str | None = None  # selects the split of `hashed` and `folds`, independently of the seed of a run
    shares: tuple[float, ...] | None = None  # of training, validation and test; they sum to 1
    folds: int | None = None  # number of folds, at least 3
    fold: Annotated[int | None, FROM_0] = None  # the test fold, or the number of a published split, counted from 0
    validation: bool | None = None  # false: validation clips are used for training

    def __post_init__(self) -> None:
        check_fields(self, "split")
        for key in (field.name for field in fields(self)[1:]):
            given, acts = getattr(self, key) is not None, key in KEYS[self.name]
            if given != acts and key not in OPTIONAL.get(self.name, ()):
                fault = "missing; add it" if acts else f"has no effect with split={self.name}; remove it"
                raise GenreclfError(f"split.{key}: {fault}")
        shares = self.shares
        if shares is not None and (len(shares) != 3 or not min(shares) > 0 or not abs(sum(shares) - 1) <= 1e-6):
            raise GenreclfError(f"split.shares={list(shares)}: give three positive shares that sum to 1")
        if self.fold is not None and self.folds is not None and not 3 <= self.folds > self.fold:
            raise GenreclfError(f"split.fold={self.fold}, split.folds={self.folds}: need fold < folds, and folds >= 3")


def assign(
    config: SplitConfig,
    names: Sequence[str],
    labels: Sequence[str],
    digests: Sequence[str],
    groups: Sequence[str],
    table_folds: Sequence[str],
    official: Sequence[str] | None = None,
) -> list[str | None]:
    """Returns the split of each clip, None for a clip that the lists or the table leave out. All arguments except
    `config` have an item per clip.

    `hashed` and `folds` keep each group in one split; splits made by others (GIVEN) may divide groups. `names` are
    paths, `table_folds` the names of folds in a table, or "". `official` names the splits in the data set's own tables;
    without it, `published` uses GTZAN's lists. Raises GenreclfError if the lists, table or folders cannot be used.
    """
    splits: list[str | None]
    salt, fold = config.salt or "", config.fold or 0
    if config.name == "published":
        splits = published(names, config.fold) if official is None else list(map(split_word, official))
        if not any(splits):
            raise GenreclfError("split=published: this data set has no published split; use split=hashed")
    elif config.name == "table":
        splits = from_table(table_folds, fold)
    elif config.name == "folders":
        splits = folder_splits(names)
        if not any(splits):
            raise GenreclfError(f"split=folders: no clip is in a folder train, val or test (first: {names[0]})")
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
    """Returns each clip's rank in its class, in [0, 1). The clips of a group have the same rank.

    Groups are ordered by a hash of the salt and their content, independent of names and order. A group's rank is its
    midpoint, so that a cut at share s lies at the group border nearest to s. Groups with more than the share `smallest`
    of their class come first, in training, because otherwise one artist could fill a class of the test set.
    """
    by_class: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
    for clips in members(groups):
        content = min(digests[clip] for clip in clips)
        key = hashlib.sha256(f"{salt}\0{content}".encode()).hexdigest()
        counts = Counter(labels[clip] for clip in clips)
        # The most frequent class, or the first by name if there is a tie.
        by_class[max(sorted(counts), key=counts.__getitem__)].append((key, clips))
    ranks = [0.0] * len(groups)
    for ranked in by_class.values():
        total, before = sum(len(clips) for _, clips in ranked), 0
        for _, clips in sorted(ranked, key=lambda group: (len(group[1]) <= smallest * total, group[0])):
            for clip in clips:
                ranks[clip] = (before + len(clips) / 2) / total
            before += len(clips)
    return ranks


def rarest(genres: Sequence[Sequence[str]]) -> list[str]:
    """Returns the rarest genre of each clip, or the first by name if there is a tie.

    A split with these as classes keeps rare genres in all of its parts (Sechidis et al. 2011 also begin with them).
    """
    counts = Counter(genre for each in genres for genre in each)
    return [min(each, key=lambda genre: (counts[genre], genre)) for each in genres]


def members(groups: Sequence[str]) -> list[list[int]]:
    """Returns the clip numbers of each group, in the order of the groups' first clips."""
    return list(grouped((group, clip) for clip, group in enumerate(groups)).values())


def fold_split(number: int, fold: int, folds: int) -> str:
    """Returns the split of the clips in fold `number`: fold `fold` is test, the next one val, and the others train."""
    return {fold: "test", (fold + 1) % folds: "val"}.get(number, "train")


def from_table(table_folds: Sequence[str], fold: int) -> list[str | None]:
    """Returns splits by the folds of a table, ordered by name with numbers by size; None for a clip without a fold.

    Folds that are named like splits (`train`, `validation`) are these splits.
    """
    known = sorted(
        set(filter(None, table_folds)), key=lambda name: (_NUMBER.sub(lambda digits: digits[0].zfill(20), name), name)
    )
    words = {name: split_word(name) for name in known}
    column = f"split=table: the column fold of data.table names {', '.join(map(repr, known)) or 'none'}"
    if known and all(words.values()):
        if fold:
            raise GenreclfError(f"{column}, not numbered folds; remove split.fold={fold}")
        return [words[name] if name else None for name in table_folds]
    if any(words.values()):
        raise GenreclfError(f"{column}; name either splits (train, val, test) or folds")
    if len(known) < 3 or not 0 <= fold < len(known):
        raise GenreclfError(
            f"{column}: {len(known)} folds; give a table with at least 3, or with train, val and test; "
            f"split.fold={fold} must be from 0 to below their number"
        )
    return [fold_split(known.index(name), fold, len(known)) if name else None for name in table_folds]


def split_word(name: str) -> str | None:
    """Returns the split that a fold or a folder is named after, or None: `Training set` -> `train`."""
    plain = normalize_name(name)
    return WORDS.get(plain) or WORDS.get(plain.removesuffix("set"))


def folder_splits(paths: Sequence[str]) -> list[str | None]:
    """Returns the split that each path's top folder, or in all paths the next one, is named after; None if none is."""
    top, below = ([_folder_split(path, level) for path in paths] for level in (0, 1))
    return below if all(below) and not any(top) else top


def _folder_split(path: str, level: int) -> str | None:
    folders = path.split("/")[:-1]
    return split_word(folders[level]) if level < len(folders) else None

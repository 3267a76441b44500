"""Selects the clips of a store that are used, and assigns them to splits and groups."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeVar

from genreclf.data.data_config import DataConfig
from genreclf.data.groups import conflicts, groups_of, merge_groups
from genreclf.data.gtzan_lists import published_missing
from genreclf.data.labels import genres_of
from genreclf.data.layouts import named_splits
from genreclf.data.notices import print_once
from genreclf.data.pieces import whole_clips
from genreclf.data.public_sets import PublicRows
from genreclf.data.sources import clip_rows
from genreclf.data.split import SplitConfig, assign, folder_splits, rarest, split_word
from genreclf.data.split_refusals import divided_groups, rare_classes, refusals
from genreclf.data.store import Row
from genreclf.data.table import ClipMetadata
from genreclf.errors import GenreclfError
from genreclf.text import first_names

T = TypeVar("T")


@dataclass(frozen=True)
class Membership:
    """The assignment of a store's clips. `splits` to `genres` have an item for each of `clips`."""

    clips: tuple[int, ...]  # numbers in the store of the readable clips, without those dropped by data.* keys
    splits: tuple[str | None, ...]  # None: in no split
    groups: tuple[str, ...]  # equal for clips of one recording, artist, title or declared group, transitively
    metadata: tuple[ClipMetadata, ...]
    genres: tuple[tuple[str, ...], ...]  # one per clip, or with task=multilabel one or more
    conflicts: tuple[tuple[int, ...], ...]  # the clips of each recording that is in several classes
    refusals: tuple[str, ...]  # reasons why the split cannot be used for training, a line each
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by published split: clips that were not found
    published: tuple[str | None, ...] = ()  # each clip's split in the tables of a public data set
    wholes: tuple[str, ...] = ()  # the longer clip of each clip that seems to be a piece, or ""; empty if grouped


def membership(rows: Sequence[Row], data: DataConfig, split: SplitConfig) -> Membership:
    """Assigns the clips in a store's table. Raises GenreclfError if the split or a table (CSV) cannot be used.

    Prints on standard error which classes are left out, which clips are in no split or seem to be pieces of one clip,
    and whether there is a split that is not used.
    """
    clips, conflicting = _usable(rows, data)
    used = [rows[clip] for clip in clips]
    # All clips are read, because a table's names are matched as a whole.
    number = (split.fold or 0) if split.name == "published" else 0
    found = clip_rows(data, [row.path for row in rows], number) if used else PublicRows([], [], [], {})
    metadata = _with_pieces(used, data, [found.metadata[clip] for clip in clips])
    official = [found.splits[clip] for clip in clips] if data.public else None
    folds, digests = [one.fold for one in metadata], [row.digest for row in used]
    _report_unused_split(found, folds, data, split)
    groups = groups_of(used, metadata, _unknown_artists(data))
    paths = [row.path for row in used]
    _check_folders(paths, data, split)
    genres = [genres_of(row.label, data.task) for row in used]
    splits = assign(split, paths, rarest(genres), digests, groups, folds, official) if used else []
    wholes = _wholes(used, groups, data)
    _report_lost(rows, used, splits, data, split)
    # Two training folds of one run are training and test data of another.
    parts = folds if split.name == "table" and not any(map(split_word, folds)) else splits
    reasons = divided_groups(split.name, paths, [one.group for one in metadata], parts)
    genres = _without_rare(genres, splits, data, split)
    kept = [number for number, each in enumerate(genres) if each]  # the others have only rare genres

    def of_kept(items: Sequence[T]) -> tuple[T, ...]:
        return tuple(items[number] for number in kept) if items else ()

    groups_by_genre = [groups[number] for number in kept for _ in genres[number]]
    reasons += refusals(split, *_by_genre(genres, splits), groups_by_genre, _remedies(rows, len(clips)))
    missing: Mapping[str, Sequence[str]] = {}
    if split.name == "published":
        missing = found.missing if data.public else published_missing(of_kept(paths))
    return Membership(
        clips=of_kept(clips),
        splits=of_kept(splits),
        groups=of_kept(groups),
        metadata=of_kept(metadata),
        genres=of_kept(genres),
        conflicts=conflicting,
        refusals=tuple(reasons),
        missing=missing,
        published=of_kept(list(map(split_word, official or ()))),
        wholes=of_kept(wholes),
    )


def _unknown_artists(data: DataConfig) -> str:
    """Returns `data.unknown_artists`, or "single" if no artists are given, which it prints on standard error."""
    if data.names_artists or data.unknown_artists == "single":
        return data.unknown_artists
    why = "no artists are given; give them in data.table, or data=tags"
    print_once(f"data.unknown_artists={data.unknown_artists}: without effect: {why}")
    return "single"


def _usable(rows: Sequence[Row], data: DataConfig) -> tuple[list[int], tuple[tuple[int, ...], ...]]:
    """Returns the readable clips that `data.label_conflicts` keeps, and the clips of each recording in two classes.

    Prints on standard error which clips it drops.
    """
    readable = [clip for clip, row in enumerate(rows) if row.columns]
    found = conflicts([rows[clip].group for clip in readable], [rows[clip].label for clip in readable])
    conflicting = tuple(tuple(readable[i] for i in clips) for clips in found)
    dropped = set(chain(*conflicting)) if data.label_conflicts == "drop" else set()
    if dropped:
        names = first_names([rows[clip].path for clip in sorted(dropped)])
        why = "as their recordings are in several classes"
        print_once(f"data.label_conflicts=drop: leaves out {len(dropped)} clips, {why} ({names})")
    return [clip for clip in readable if clip not in dropped], conflicting


def _remedies(rows: Sequence[Row], usable: int) -> list[str]:
    """Returns how to use the clips that are not among the `usable` ones; empty if all are."""
    unreadable = [row.path for row in rows if not row.columns]
    found = [f"repair the files that cannot be used ({first_names(unreadable)})"] if unreadable else []
    dropped = len(rows) - len(unreadable) - usable
    return [*found, f"keep the {dropped} clips that data.label_conflicts=drop leaves out"] if dropped else found


def _by_genre(genres: Sequence[Sequence[str]], splits: Sequence[str | None]) -> tuple[list[str | None], list[str]]:
    """Returns the split and the genre for each genre of each clip."""
    pairs = [(split, genre) for split, each in zip(splits, genres, strict=True) for genre in each]
    return [split for split, _ in pairs], [genre for _, genre in pairs]


def _without_rare(
    genres: Sequence[tuple[str, ...]], splits: Sequence[str | None], data: DataConfig, split: SplitConfig
) -> list[tuple[str, ...]]:
    """Returns each clip's genres without those that `data.rare_classes` drops, which it prints on standard error."""
    counted = _by_genre(genres, splits)
    rare = rare_classes(split, *counted) if data.rare_classes == "drop" else {}
    of_genre = Counter(counted[1])
    if not rare or len(of_genre) - len(rare) < 2:  # too few classes would be left, so the refusals name them
        return list(genres)
    counts = ", ".join(f"{genre!r} ({of_genre[genre]} clips)" for genre in rare)
    print_once(f"data.rare_classes=drop: leaves out {len(rare)} classes, too small for split={split.name}: {counts}")
    return [tuple(genre for genre in each if genre not in rare) for each in genres]


def _with_pieces(used: Sequence[Row], data: DataConfig, metadata: list[ClipMetadata]) -> list[ClipMetadata]:
    """Returns each clip's metadata. With data.group=stem, pieces of one clip are also a group."""
    if data.group is None or not used:
        return metadata
    paths = [row.path for row in used]
    wholes = whole_clips(paths, [row.label for row in used], evident=False)
    if not any(wholes):
        remedy = "give the groups in data.table, or data.group=null"
        raise GenreclfError(f"data.group=stem: no names are those of pieces (first: {first_names(paths)}); {remedy}")
    declared = [one.group for one in metadata]
    if any(declared):
        both = merge_groups(paths, [group or None for group in declared], [whole or None for whole in wholes])
        wholes = [name if group or whole else "" for name, group, whole in zip(both, declared, wholes, strict=True)]
    return [replace(one, group=whole) for one, whole in zip(metadata, wholes, strict=True)]


def _check_folders(paths: Sequence[str], data: DataConfig, split: SplitConfig) -> None:
    """Raises GenreclfError for the default split if the folders give another one."""
    found = folder_splits(paths)
    if split.name == "hashed" and not data.public and all(found) and len(set(found)) > 1:
        named, remedy = ", ".join(named_splits(paths)), "give split=folders, or split=folds to divide all clips anew"
        raise GenreclfError(f"data.path={data.path}: its folders {named} are a split; {remedy}")


def _report_lost(
    rows: Sequence[Row], used: Sequence[Row], splits: Sequence[str | None], data: DataConfig, split: SplitConfig
) -> None:
    """Prints which classes have no usable clip, and which clips are in no split."""
    of_class = Counter(genre for row in rows for genre in genres_of(row.label, data.task))
    usable = {genre for row in used for genre in genres_of(row.label, data.task)}
    lost = [f"{genre!r} ({of_class[genre]} clips)" for genre in sorted(of_class.keys() - usable)]
    if lost and used:
        print_once(f"data.path={data.path}: no clip of {len(lost)} classes can be used: {', '.join(lost)}")
    if unused := [row.path for row, part in zip(used, splits, strict=True) if part is None]:
        print_once(f"split={split.name}: {len(unused)} clips are in no split ({first_names(unused)})")


def _report_unused_split(found: PublicRows, folds: Sequence[str], data: DataConfig, split: SplitConfig) -> None:
    if split.name != "published" and len(set(filter(None, found.splits))) > 1:
        print_once(f"data={data.name}: has a published split: split=published uses it")
    words = {split_word(fold) for fold in folds if fold}
    if split.name != "table" and words and None not in words:
        print_once(f"data.table={data.table}: its split is not used; split=table uses it")


def _wholes(used: Sequence[Row], groups: Sequence[str], data: DataConfig) -> list[str]:
    """Returns `Membership.wholes`, empty if all pieces of each clip are in one group.

    Prints on standard error which clips seem to be pieces.
    """
    if data.group is not None:
        return []
    paths = [row.path for row in used]
    wholes = whole_clips(paths, [row.label for row in used], evident=True)
    pieces = [i for i, whole in enumerate(wholes) if whole]
    songs = {wholes[i] for i in pieces}
    if len({(wholes[i], groups[i]) for i in pieces}) == len(songs):
        return []
    counts = f"{len(pieces)} clips seem to be pieces of {len(songs)} longer ones"
    names = first_names([paths[i] for i in pieces])
    print_once(f"data.path={data.path}: {counts} ({names}); data.group=stem keeps the pieces of each together")
    return wholes

"""Selects the clips of a store that are used, and assigns them to splits and groups."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from genreclf.data.data_config import DataConfig
from genreclf.data.groups import conflicts, groups_of, merge_groups
from genreclf.data.gtzan_lists import published_missing
from genreclf.data.labels import genres_of
from genreclf.data.layouts import named_splits
from genreclf.data.notices import tell_once
from genreclf.data.pieces import whole_clips
from genreclf.data.public_sets import PublicRows
from genreclf.data.sources import clip_rows
from genreclf.data.split import SplitConfig, assign, folder_splits, rarest, split_word
from genreclf.data.split_refusals import divided_groups, rare_classes, refusals
from genreclf.data.store import Row
from genreclf.data.table import ClipMetadata
from genreclf.errors import GenreclfError
from genreclf.text import first_names


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
    # All clips are read, because a table's names are matched as a whole.
    paths = [row.path for row in rows] if clips else []
    found = clip_rows(data, paths, _published_number(split)) if paths else PublicRows([], [], [], {})
    used, metadata = [rows[clip] for clip in clips], [found.metadata[clip] for clip in clips]
    official = [found.splits[clip] for clip in clips] if data.public else None
    _tell_unused_split(found, [one.fold for one in metadata], data, split)
    member = _assigned(clips, used, _with_pieces(used, data, metadata), official, data, split)
    _tell_lost(rows, member, data, split)
    genres = _without_rare(member.genres, member.splits, data, split)
    reasons = _divided_groups(used, member, split)
    member = _with_genres(member, genres)
    groups = [group for group, each in zip(member.groups, member.genres, strict=True) for _ in each]
    reasons += refusals(split, *_by_genre(member.genres, member.splits), groups)
    missing: Mapping[str, Sequence[str]] = {}
    if split.name == "published":
        missing = found.missing if data.public else published_missing([rows[clip].path for clip in member.clips])
    return replace(member, conflicts=conflicting, refusals=tuple(reasons), missing=missing)


def _published_number(split: SplitConfig) -> int:
    return (split.fold or 0) if split.name == "published" else 0


def _assigned(
    clips: Sequence[int],
    used: Sequence[Row],
    metadata: Sequence[ClipMetadata],
    official: Sequence[str] | None,
    data: DataConfig,
    split: SplitConfig,
) -> Membership:
    """Returns the groups and splits of the clips `used`; `official` are the names of a public data set's splits."""
    paths, genres = [row.path for row in used], [genres_of(row.label, data.task) for row in used]
    unknown_artists = data.unknown_artists if data.names_artists else "single"
    if unknown_artists != data.unknown_artists:
        why = "no artists are given; give them in data.table, or data=tags"
        tell_once(f"data.unknown_artists={data.unknown_artists}: without effect: {why}")
    groups = groups_of(used, metadata, unknown_artists)
    _check_folders(paths, data, split)
    folds, digests = [one.fold for one in metadata], [row.digest for row in used]
    splits = assign(split, paths, rarest(genres), digests, groups, folds, official) if used else []
    return Membership(
        clips=tuple(clips),
        splits=tuple(splits),
        groups=tuple(groups),
        metadata=tuple(metadata),
        genres=tuple(genres),
        conflicts=(),
        refusals=(),
        published=tuple(map(split_word, official or ())),
        wholes=tuple(_wholes(used, groups, data)),
    )


def _with_genres(member: Membership, genres: Sequence[tuple[str, ...]]) -> Membership:
    """Replaces the genres of a membership, and leaves out clips without any."""
    kept = [number for number, each in enumerate(genres) if each]
    names = ("clips", "splits", "groups", "metadata", "published", "wholes")
    lists = {**{name: getattr(member, name) for name in names}, "genres": genres}
    chosen: dict[str, Any] = {name: tuple(items[i] for i in kept) for name, items in lists.items() if items}
    return replace(member, **chosen)


def _divided_groups(used: Sequence[Row], member: Membership, split: SplitConfig) -> list[str]:
    # Two training folds of one run are training and test data of another.
    folds = [one.fold for one in member.metadata]
    parts = folds if split.name == "table" and not any(map(split_word, folds)) else member.splits
    return divided_groups(split.name, [row.path for row in used], [one.group for one in member.metadata], parts)


def _usable(rows: Sequence[Row], data: DataConfig) -> tuple[list[int], tuple[tuple[int, ...], ...]]:
    """Returns the readable clips that `data.label_conflicts` keeps, and the clips of each recording in two classes."""
    readable = [clip for clip, row in enumerate(rows) if row.columns]
    found = conflicts([rows[clip].group for clip in readable], [rows[clip].label for clip in readable])
    conflicting = tuple(tuple(readable[i] for i in clips) for clips in found)
    dropped = set(chain(*conflicting)) if data.label_conflicts == "drop" else set()
    return [clip for clip in readable if clip not in dropped], conflicting


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
    tell_once(f"data.rare_classes=drop: leaves out {len(rare)} classes, too small for split={split.name}: {counts}")
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


def _tell_lost(rows: Sequence[Row], member: Membership, data: DataConfig, split: SplitConfig) -> None:
    """Prints which classes have no usable clip, and which clips are in no split."""
    of_class = Counter(genre for row in rows for genre in genres_of(row.label, data.task))
    used = set(chain(*member.genres))
    lost = [f"{genre!r} ({of_class[genre]} clips)" for genre in sorted(of_class.keys() - used)]
    if lost and used:
        tell_once(f"data.path={data.path}: no clip of {len(lost)} classes can be used: {', '.join(lost)}")
    unused = [rows[clip].path for clip, part in zip(member.clips, member.splits, strict=True) if part is None]
    if unused:
        tell_once(f"split={split.name}: {len(unused)} clips are in no split ({first_names(unused)})")


def _tell_unused_split(found: PublicRows, folds: Sequence[str], data: DataConfig, split: SplitConfig) -> None:
    if split.name != "published" and len(set(filter(None, found.splits))) > 1:
        tell_once(f"data={data.name}: has a published split: split=published uses it")
    words = {split_word(fold) for fold in folds if fold}
    if split.name != "table" and words and None not in words:
        tell_once(f"data.table={data.table}: its split is not used; split=table uses it")


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
    tell_once(f"data.path={data.path}: {counts} ({names}); data.group=stem keeps the pieces of each together")
    return wholes

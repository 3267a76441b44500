"""Which clips of a store are used, in which split each is, and which clips must stay together."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from genreclf.data.artists import artist_key
from genreclf.data.labels import genres_of
from genreclf.data.layouts import named_splits
from genreclf.data.notices import tell_once
from genreclf.data.pieces import whole_clips
from genreclf.data.sources import DataConfig, data_folder, on_disk, rows_of_public
from genreclf.data.split import (
    SplitConfig,
    assign,
    divided_groups,
    folder_splits,
    members,
    published_missing,
    rare_classes,
    rarest,
    refusals,
    split_word,
)
from genreclf.data.store import Row
from genreclf.data.table import ClipMetadata, read_table
from genreclf.data.tag_rows import tag_rows
from genreclf.errors import GenreclfError
from genreclf.text import first_names, normalize_name

_COMMON_TITLE = r"(unknown|unknowntitle|untitled|notitle|na|nan|nil|none|null|title|track|audiotrack|intro|outro)?\d*"


@dataclass(frozen=True)
class Membership:
    """The assignment of a store's clips. `splits` to `genres` have an item for each of `clips`."""

    clips: tuple[int, ...]  # numbers in the store: readable ones, without what the data.* keys drop
    splits: tuple[str | None, ...]  # None: in no split
    groups: tuple[str, ...]  # equal for clips of one recording, artist, title or declared group, and transitively
    metadata: tuple[ClipMetadata, ...]
    genres: tuple[tuple[str, ...], ...]  # one, or with task=multilabel one or more
    conflicts: tuple[tuple[int, ...], ...]  # the clips of each recording that is in several classes
    refusals: tuple[str, ...]  # why no training can use the split, a line each
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by split: clips of a published one, not found


def membership(rows: Sequence[Row], data: DataConfig, split: SplitConfig) -> Membership:
    """Assigns the clips of a store's table. Raises GenreclfError for a split or a table (CSV) that cannot be used.

    Prints to standard error which classes are left out, which names look like pieces of one clip, and a split in the
    table that is not used.
    """
    readable = [clip for clip, row in enumerate(rows) if row.columns]
    recordings, labels = [rows[clip].group for clip in readable], [rows[clip].label for clip in readable]
    conflicting = tuple(tuple(readable[i] for i in clips) for clips in conflicts(recordings, labels))
    dropped = {clip for clips in conflicting for clip in clips} if data.label_conflicts == "drop" else set()
    clips = [clip for clip in readable if clip not in dropped]
    used = [rows[clip] for clip in clips]
    paths, genres = [row.path for row in used], [genres_of(row.label, data.task) for row in used]
    found = _of_table_and_tags([row.path for row in rows], data, split) if clips else _Found([], None, {})
    metadata = _metadata(rows, clips, data, found.metadata)
    groups = _groups(used, metadata, data)
    folds = [one.fold for one in metadata]
    _check_folders(paths, data, split)
    official = None if found.official is None else [found.official[clip] for clip in clips]
    splits = assign(split, paths, rarest(genres), [row.digest for row in used], groups, folds, official) if used else []
    # Two training folds of one run are training and test of another.
    parts = folds if split.name == "table" and not any(map(split_word, folds)) else splits
    reasons = divided_groups(split.name, paths, [one.group for one in metadata], parts)
    counted = _by_genre(genres, splits)
    rare = rare_classes(split, *counted) if data.rare_classes == "drop" else {}
    if len(set(counted[1]) - set(rare)) < 2:
        rare = {}  # nothing could be trained without them: the refusals name them
    _tell(paths, [row.label for row in used], groups, folds, data, split)
    _tell_rare(rare, counted[1], split)
    genres = [tuple(genre for genre in each if genre not in rare) for each in genres]
    kept = [i for i, each in enumerate(genres) if each]
    genres, groups, assigned = [genres[i] for i in kept], [groups[i] for i in kept], [splits[i] for i in kept]
    of_genre = [group for group, each in zip(groups, genres, strict=True) for _ in each]
    reasons += refusals(split, *_by_genre(genres, assigned), of_genre)
    clips, metadata = [clips[i] for i in kept], [metadata[i] for i in kept]
    missing = found.missing
    if split.name == "published" and found.official is None:
        missing = published_missing([rows[clip].path for clip in clips])
    return Membership(
        clips=tuple(clips),
        splits=tuple(assigned),
        groups=tuple(groups),
        metadata=tuple(metadata),
        genres=tuple(genres),
        conflicts=conflicting,
        refusals=tuple(reasons),
        missing=missing,
    )


def _by_genre(genres: Sequence[Sequence[str]], splits: Sequence[str | None]) -> tuple[list[str | None], list[str]]:
    """For each genre of each clip, the clip's split and the genre."""
    pairs = [(split, genre) for split, each in zip(splits, genres, strict=True) for genre in each]
    return [split for split, _ in pairs], [genre for _, genre in pairs]


@dataclass(frozen=True)
class _Found:
    """What table, tags and a public data set say of all clips of a store."""

    metadata: Sequence[ClipMetadata]
    official: Sequence[str] | None  # the published splits by name, empty for none; None: there are none to read
    missing: Mapping[str, Sequence[str]]


def _metadata(
    rows: Sequence[Row], clips: Sequence[int], data: DataConfig, of_all: Sequence[ClipMetadata]
) -> list[ClipMetadata]:
    """What table and tags say of each of `clips`; with data.group=stem, pieces of one clip are a group, too."""
    metadata = [of_all[clip] for clip in clips]
    if data.group is None or not clips:
        return metadata
    paths, labels = [rows[clip].path for clip in clips], [rows[clip].label for clip in clips]
    wholes = whole_clips(paths, labels, evident=False)
    if not any(wholes):
        remedy = "give the groups in data.table, or data.group=null"
        raise GenreclfError(f"data.group=stem: no names are those of pieces (first: {first_names(paths)}); {remedy}")
    declared = [one.group for one in metadata]
    if any(declared):
        both = merge_groups(paths, [group or None for group in declared], [whole or None for whole in wholes])
        wholes = [name if group or whole else "" for name, group, whole in zip(both, declared, wholes, strict=True)]
    return [replace(one, group=whole) for one, whole in zip(metadata, wholes, strict=True)]


def _of_table_and_tags(paths: Sequence[str], data: DataConfig, split: SplitConfig) -> _Found:
    """For each clip of a store, left out ones too: a table's names are compared as a whole."""
    if data.public:
        return _of_public(paths, data, split)
    given = None if data.table is None else read_table(data.table, paths, data.task)
    if data.tag_genres is not None:
        return _Found(tag_rows(on_disk(data_folder(data)), paths, data.tag_genres, given).metadata, None, {})
    return _Found(given or [ClipMetadata() for _ in paths], None, {})


def _of_public(paths: Sequence[str], data: DataConfig, split: SplitConfig) -> _Found:
    """Its published split is taken by split=published alone."""
    published = split.name == "published"
    found = rows_of_public(data, paths, (split.fold or 0) if published else 0)
    if published:
        return _Found(found.metadata, found.splits, found.missing)
    if len(set(filter(None, found.splits))) > 1:
        tell_once(f"data={data.name}: has a published split: split=published uses it")
    return _Found(found.metadata, None, {})


def _groups(used: Sequence[Row], metadata: Sequence[ClipMetadata], data: DataConfig) -> list[str]:
    paths, labels, recordings = ([getattr(row, name) for row in used] for name in ("path", "label", "group"))
    artists = artist_keys(metadata, labels, data.unknown_artists) if data.names_artists else []
    declared = [one.group or None for one in metadata]
    return merge_groups(paths, recordings, artists, title_keys(metadata), declared)


def _check_folders(paths: Sequence[str], data: DataConfig, split: SplitConfig) -> None:
    """Refuses the default split where the folders give another."""
    found = folder_splits(paths)
    if split.name == "hashed" and not data.public and all(found) and len(set(found)) > 1:
        named, remedy = ", ".join(named_splits(paths)), "give split=folders, or split=folds to divide all clips anew"
        raise GenreclfError(f"data.path={data.path}: its folders {named} are a split; {remedy}")


def _tell(
    paths: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[str],
    folds: Sequence[str],
    data: DataConfig,
    split: SplitConfig,
) -> None:
    """What a user should know of the assignment, on standard error."""
    words = {split_word(fold) for fold in folds if fold}
    if split.name != "table" and words and None not in words:
        tell_once(f"data.table={data.table}: its split is not used; split=table uses it")
    wholes = whole_clips(paths, labels, evident=True) if data.group is None else []
    pieces = [i for i, whole in enumerate(wholes) if whole]
    if len({(wholes[i], groups[i]) for i in pieces}) > len({wholes[i] for i in pieces}):  # some are not in one group
        counts = f"{len(pieces)} clips seem to be pieces of {len({wholes[i] for i in pieces})}"
        names = first_names([paths[i] for i in pieces])
        tell_once(f"data.path={data.path}: {counts} ({names}); data.group=stem keeps the pieces of each together")


def _tell_rare(rare: Mapping[str, Sequence[str]], genres: Sequence[str], split: SplitConfig) -> None:
    """Which genres are left out; `genres` are those of all clips."""
    if rare:
        of_genre = Counter(genres)
        counts = ", ".join(f"{genre!r} ({of_genre[genre]} clips)" for genre in rare)
        tell_once(f"data.rare_classes=drop: leaves out {len(rare)} classes, too small for split={split.name}: {counts}")


def merge_groups(names: Sequence[str], *keys: Sequence[str | None], pairs: Iterable[tuple[int, int]] = ()) -> list[str]:
    """The group of each clip: clips that share a key in any of `keys`, or are a pair, are together, transitively.

    A group is named after its first member in `names`. None is no key.
    """
    parent = list(range(len(names)))

    def root(clip: int) -> int:
        while parent[clip] != clip:
            parent[clip] = parent[parent[clip]]
            clip = parent[clip]
        return clip

    shared = []
    for column in keys:
        first: dict[str, int] = {}
        shared += [(clip, first.setdefault(key, clip)) for clip, key in enumerate(column) if key is not None]
    for one, other in itertools.chain(shared, pairs):
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [names[root(clip)] for clip in range(len(names))]


def artist_keys(metadata: Sequence[ClipMetadata], labels: Sequence[str], unknown: str) -> list[str | None]:
    """One `artist_key` per artist; for an unknown one, none ("single") or one per class ("together").

    The latter is the cautious choice, as any two of these clips may be by the same artist.
    """
    unknowns = [f"unknown {label}" if unknown == "together" else None for label in labels]
    return [artist_key(one.artist) or key for one, key in zip(metadata, unknowns, strict=True)]


def title_keys(metadata: Sequence[ClipMetadata]) -> list[str | None]:
    """One key per title and artist; None without a title.

    Clips without an artist share a title too, unless it is a number or a word that many songs have.
    """
    names = [(artist_key(one.artist), normalize_name(one.title)) for one in metadata]
    return [
        f"{artist}\0{title}" if title and (artist or not re.fullmatch(_COMMON_TITLE, title)) else None
        for artist, title in names
    ]


def conflicts(groups: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """The groups of duplicate recordings whose clips are in several classes, as clip numbers."""
    return [clips for clips in members(groups) if len({labels[clip] for clip in clips}) > 1]

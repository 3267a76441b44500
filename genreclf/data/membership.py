"""Which clips of a store are used, in which split each is, and which clips must stay together."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from genreclf.data.sources import DataConfig
from genreclf.data.split import SplitConfig, assign, divided_groups, members, refusals
from genreclf.data.store import Row
from genreclf.data.table import ClipMetadata, read_table

_COMMON_TITLE = r"(unknown|unknowntitle|untitled|notitle|na|none|title|track|audiotrack|intro|outro)?\d*"


@dataclass(frozen=True)
class Membership:
    """The assignment of a store's clips. `splits`, `groups` and `metadata` have an item for each of `clips`."""

    clips: tuple[int, ...]  # numbers in the store: readable ones, without conflicts if data.label_conflicts=drop
    splits: tuple[str | None, ...]  # None: in no split
    groups: tuple[str, ...]  # equal for clips of one recording, artist, title or declared group, and transitively
    metadata: tuple[ClipMetadata, ...]
    conflicts: tuple[tuple[int, ...], ...]  # the clips of each recording that is in several classes
    refusals: tuple[str, ...]  # why no training can use the split, a line each


def membership(rows: Sequence[Row], data: DataConfig, split: SplitConfig) -> Membership:
    """Assigns the clips of a store's table. Raises GenreclfError for a split or a table (CSV) that cannot be used."""
    readable = [clip for clip, row in enumerate(rows) if row.columns]
    recordings, labels = [rows[clip].group for clip in readable], [rows[clip].label for clip in readable]
    conflicting = tuple(tuple(readable[i] for i in clips) for clips in conflicts(recordings, labels))
    dropped = {clip for clips in conflicting for clip in clips} if data.label_conflicts == "drop" else set()
    clips = tuple(clip for clip in readable if clip not in dropped)
    used = [rows[clip] for clip in clips]
    paths, labels, groups = [row.path for row in used], [row.label for row in used], [row.group for row in used]
    metadata = [ClipMetadata() for _ in used]
    if data.table is not None and used:
        metadata = read_table(data.table, paths)
        artists = artist_keys(metadata, labels, data.unknown_artists)
        groups = merge_groups(paths, groups, artists, title_keys(metadata), [one.group or None for one in metadata])
    folds = [one.fold for one in metadata]
    splits = assign(split, paths, labels, [row.digest for row in used], groups, folds) if used else []
    reasons = refusals(split, splits, labels, groups)
    if split.name == "table":
        reasons = divided_groups(paths, [one.group for one in metadata], folds) + reasons
    return Membership(clips, tuple(splits), tuple(groups), tuple(metadata), conflicting, tuple(reasons))


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
    """One key per artist, by normalized name; for an unknown one, none ("single") or one per class ("together").

    The latter is the cautious choice, as any two of these clips may be by the same artist.
    """
    unknowns = [f"unknown {label}" if unknown == "together" else None for label in labels]
    return [normalize_name(one.artist) or key for one, key in zip(metadata, unknowns, strict=True)]


def title_keys(metadata: Sequence[ClipMetadata]) -> list[str | None]:
    """One key per title and artist, by normalized names; None without a title.

    Clips without an artist share a title too, unless it is a number or a word that many songs have.
    """
    names = [(normalize_name(one.artist), normalize_name(one.title)) for one in metadata]
    return [
        f"{artist}\0{title}" if title and (artist or not re.fullmatch(_COMMON_TITLE, title)) else None
        for artist, title in names
    ]


def normalize_name(name: str) -> str:
    """A name without case, spaces and punctuation. Empty if nothing is left."""
    return "".join(character for character in name.casefold() if character.isalnum())


def conflicts(groups: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """The groups of equal recordings whose clips are in several classes, as clip numbers."""
    return [clips for clips in members(groups) if len({labels[clip] for clip in clips}) > 1]

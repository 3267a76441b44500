"""Which clips must stay together in one split. Pure: keys come in, groups go to the split."""

import itertools
from collections.abc import Iterable, Sequence

from genreclf.data.table import ClipMetadata


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

    firsts: list[dict[str, int]] = [{} for _ in keys]
    shared = (
        (clip, first.setdefault(key, clip))
        for column, first in zip(keys, firsts, strict=True)
        for clip, key in enumerate(column)
        if key is not None
    )
    for one, other in itertools.chain(shared, pairs):
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [names[root(clip)] for clip in range(len(names))]


def artist_keys(metadata: Sequence[ClipMetadata], labels: Sequence[str], unknown: str) -> list[str | None]:
    """One key per artist, by normalized name.

    Clips without an artist have no key if `unknown` is "single", and one key per class if it is "together": the
    cautious choice, as any two of them may be by the same artist.
    """
    keys: list[str | None] = []
    for one, label in zip(metadata, labels, strict=True):
        artist = normalize_name(one.artist)
        keys.append(artist or (f"unknown {label}" if unknown == "together" else None))
    return keys


def normalize_name(name: str) -> str:
    """A name without case, spaces and punctuation. Empty if nothing is left."""
    return "".join(character for character in name.casefold() if character.isalnum())


def conflicts(groups: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """The groups of equal recordings whose clips are in several classes, as clip numbers."""
    members: dict[str, list[int]] = {}
    for clip, group in enumerate(groups):
        members.setdefault(group, []).append(clip)
    return [clips for clips in members.values() if len({labels[clip] for clip in clips}) > 1]

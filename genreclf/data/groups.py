"""Which clips may never be parted. Pure: what they share comes from elsewhere, the groups go to the split."""

import itertools
from collections.abc import Iterable, Sequence

from genreclf.data.table import ClipMetadata


def merge_groups(names: Sequence[str], *keys: Sequence[str | None], pairs: Iterable[tuple[int, int]] = ()) -> list[str]:
    """The group of each clip: clips that share a key in any of `keys`, or are a pair, are together, and so on.

    A group bears the first of its members' `names`. None is no key.
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


def artist_keys(facts: Sequence[ClipMetadata], labels: Sequence[str], unknown: str) -> list[str | None]:
    """One key an artist, whatever the case, spaces and punctuation of the name.

    Clips without an artist have no key where `unknown` is single, and one a class where it is together: the cautious
    choice, as any two of them may be by the same.
    """
    keys: list[str | None] = []
    for fact, label in zip(facts, labels, strict=True):
        artist = normal_name(fact.artist)
        keys.append(artist or (f"unknown {label}" if unknown == "together" else None))
    return keys


def normal_name(name: str) -> str:
    """A name without what people write differently: case, spaces and punctuation. Empty if nothing is left."""
    return "".join(character for character in name.casefold() if character.isalnum())


def conflicts(groups: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """The groups whose clips do not agree in their class, as clip numbers. Of equal recordings, not of an artist's."""
    members: dict[str, list[int]] = {}
    for clip, group in enumerate(groups):
        members.setdefault(group, []).append(clip)
    return [clips for clips in members.values() if len({labels[clip] for clip in clips}) > 1]

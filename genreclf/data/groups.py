"""Which clips may never be parted. Pure: what they share comes from elsewhere, the groups go to the split."""

from collections.abc import Sequence

from genreclf.data.table import Facts


def join(names: Sequence[str], *keys: Sequence[str | None]) -> list[str]:
    """The group of each clip: clips that share a key in any of `keys` are together, and so on along the chain.

    A group bears the first of its members' `names`. None is no key.
    """
    parent = list(range(len(names)))

    def root(clip: int) -> int:
        while parent[clip] != clip:
            parent[clip] = parent[parent[clip]]
            clip = parent[clip]
        return clip

    for column in keys:
        first: dict[str, int] = {}
        for clip, key in enumerate(column):
            if key is not None:
                low, high = sorted((root(clip), root(first.setdefault(key, clip))))
                parent[high] = low
    return [names[root(clip)] for clip in range(len(names))]


def artist_keys(facts: Sequence[Facts], labels: Sequence[str], unknown: str) -> list[str | None]:
    """One key an artist, whatever the case, spaces and punctuation of the name.

    Clips without an artist have no key where `unknown` is single, and one a class where it is together: the cautious
    choice, as any two of them may be by the same.
    """
    keys: list[str | None] = []
    for fact, label in zip(facts, labels, strict=True):
        artist = "".join(character for character in fact.artist.casefold() if character.isalnum())
        keys.append(artist or (f"unknown {label}" if unknown == "together" else None))
    return keys


def conflicts(groups: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """The groups whose clips do not agree in their class, as clip numbers. Of equal recordings, not of an artist's."""
    members: dict[str, list[int]] = {}
    for clip, group in enumerate(groups):
        members.setdefault(group, []).append(clip)
    return [clips for clips in members.values() if len({labels[clip] for clip in clips}) > 1]

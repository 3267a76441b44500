"""Groups clips that must stay together: one recording, file name, artist, title or declared group. Pure: no I/O."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from genreclf.data.artists import UNKNOWN, artist_key
from genreclf.data.clip_name import clip_name
from genreclf.data.fingerprint import Match
from genreclf.data.split import members
from genreclf.data.store import Row
from genreclf.data.table import ClipMetadata
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.text import normalize_name

# Titles that many songs share
_COMMON_TITLE = rf"({'|'.join(UNKNOWN)}|unknowntitle|untitled|notitle|title|track|audiotrack|intro|outro)?\d*"


def groups_of(rows: Sequence[Row], metadata: Sequence[ClipMetadata], unknown_artists: str) -> list[str]:
    """Returns the group of each clip. `unknown_artists` is "single" or "together", see `artist_keys`."""
    paths, labels, recordings = ([getattr(row, name) for row in rows] for name in ("path", "label", "group"))
    # Files of one name in one folder are one clip as audio and as a picture: x.wav and x.png.
    names = [f"{path.rpartition('/')[0]}/{clip_name(path)}" for path in paths]
    artists = artist_keys(metadata, labels, unknown_artists)
    declared = [one.group or None for one in metadata]
    return merge_groups(paths, recordings, names, artists, title_keys(metadata), declared)


def merge_groups(names: Sequence[str], *keys: Sequence[str | None], pairs: Iterable[tuple[int, int]] = ()) -> list[str]:
    """Returns the group of each clip. Clips that share a key in any of `keys`, or are a pair, are grouped transitively.

    A group is named after its first member in `names`. None means no key.
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
    for one, other in chain(shared, pairs):
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [names[root(clip)] for clip in range(len(names))]


def artist_keys(metadata: Sequence[ClipMetadata], labels: Sequence[str], unknown: str) -> list[str | None]:
    """Returns the `artist_key` of each clip; for unknown artists, None ("single") or one key per class ("together").

    The latter is the cautious choice, because any two of these clips may be by the same artist.
    """
    unknowns = [f"unknown {label}" if unknown == "together" else None for label in labels]
    return [artist_key(one.artist) or key for one, key in zip(metadata, unknowns, strict=True)]


def title_keys(metadata: Sequence[ClipMetadata]) -> list[str | None]:
    """Returns one key per title and artist, or None for a clip without a title.

    Clips without an artist also share a title, unless it is a number or a word that is the title of many songs.
    """
    names = [(artist_key(one.artist), normalize_name(one.title)) for one in metadata]
    return [
        f"{artist}\0{title}" if title and (artist or not re.fullmatch(_COMMON_TITLE, title)) else None
        for artist, title in names
    ]


def conflicts(groups: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """Returns the groups of duplicate recordings whose clips are in several classes, as clip numbers."""
    return [clips for clips in members(groups) if len({labels[clip] for clip in clips}) > 1]


def equal_files(rows: Sequence[Row], others: Sequence[Row]) -> Iterator[Match]:
    """Pairs each clip with the first one of `others` of equal content, because short clips have no fingerprint."""
    first: dict[tuple[str, int], int] = {}
    for clip, row in enumerate(others):
        # The number of columns counts too, because equal bytes with another suffix may be decoded differently.
        first.setdefault((row.digest, row.columns), clip)
    for clip, row in enumerate(rows):
        other = first.get((row.digest, row.columns))
        if row.columns and other is not None:
            yield Match(clip, other, 1.0, 0.0, row.frames / FRAME_RATE_HZ)

"""Which of a store's clips take part, in which split, and what they may never be parted from."""

from collections.abc import Sequence
from dataclasses import dataclass

from genreclf.data.groups import artist_keys, conflicts, merge_groups
from genreclf.data.sources import DataConfig
from genreclf.data.split import SplitConfig, assign
from genreclf.data.store import Row
from genreclf.data.table import ClipMetadata, read_table


@dataclass(frozen=True)
class Membership:
    """`clips` are the store's numbers of those that take part: readable ones, and with data.label_conflicts=drop only
    those whose class is not in doubt. `splits` (None: in none), `groups` and `facts` have an entry for each of them.
    `conflicts` are the clips, in the store's numbers, of each recording that has several classes.
    """

    clips: tuple[int, ...]
    splits: tuple[str | None, ...]
    groups: tuple[str, ...]
    facts: tuple[ClipMetadata, ...]
    conflicts: tuple[tuple[int, ...], ...]


def membership(rows: Sequence[Row], data: DataConfig, split: SplitConfig) -> Membership:
    """Assigns the clips of a store's table. Raises GenreclfError for settings or a table (CSV) that cannot serve."""
    readable = [clip for clip, row in enumerate(rows) if row.columns]
    recordings, labels = [rows[clip].group for clip in readable], [rows[clip].label for clip in readable]
    doubtful = tuple(tuple(readable[one] for one in clips) for clips in conflicts(recordings, labels))
    dropped = {clip for clips in doubtful for clip in clips} if data.label_conflicts == "drop" else set()
    clips = tuple(clip for clip in readable if clip not in dropped)
    if not clips:
        return Membership((), (), (), (), doubtful)
    own = [rows[clip] for clip in clips]
    paths, labels = [row.path for row in own], [row.label for row in own]
    recordings, facts = [row.group for row in own], [ClipMetadata() for _ in own]
    groups = recordings
    if data.table is not None:
        facts = read_table(data.table, paths)
        artists = artist_keys(facts, labels, data.unknown_artists)
        groups = merge_groups(paths, recordings, artists, [fact.group or None for fact in facts])
    splits = assign(split, paths, labels, [row.digest for row in own], groups, [fact.fold for fact in facts])
    return Membership(clips, tuple(splits), tuple(groups), tuple(facts), doubtful)

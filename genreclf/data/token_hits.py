"""Equal tokens of two clips: the candidates for a match, see `fingerprint`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# A token that many clips share says little, so each is compared with the next 32 only: this bounds the cost.
_NEIGHBOURS = 32
BATCH = 1 << 14  # hits compared at once: 8 MB of words

Report = Callable[[int, int], None]  # takes how many parts are done, and how many there are


class TokenTable(NamedTuple):
    """The tokens of many clips, one clip after another."""

    tokens: np.ndarray  # (tokens, 2) uint32: a token, whose upper two bits are its region, and its frame
    counts: np.ndarray  # (clips,): how many tokens each clip has


@dataclass(frozen=True)
class _Tokens:
    """The tokens of one region, sorted; equal ones in the order of their clips."""

    token: np.ndarray  # (n,) uint32
    clip: np.ndarray  # (n,) int32
    time: np.ndarray  # (n,) uint32: its frame

    @classmethod
    def of(cls, table: TokenTable, region: int) -> "_Tokens":
        clip_of = np.repeat(np.arange(len(table.counts), dtype=np.int32), table.counts)
        chosen = np.flatnonzero(table.tokens[:, 0] >> 30 == region)
        token = table.tokens[chosen, 0]
        order = np.argsort(token, kind="stable")
        return cls(token[order], clip_of[chosen[order]], table.tokens[chosen[order], 1])


def hits_within(table: TokenTable, regions: int, report: Report) -> Iterator[np.ndarray]:
    """Yields (hits, 4) int64: two clips, and the frame in each of them at which they have a token in common."""
    for region in range(regions):
        report(region, regions)
        tokens = _Tokens.of(table, region)
        for distance in range(1, _NEIGHBOURS + 1):
            same = np.flatnonzero(tokens.token[distance:] == tokens.token[:-distance])
            if not len(same):
                break
            yield from _in_batches(tokens, tokens, same, same + distance)
    report(regions, regions)


def hits_between(one: TokenTable, other: TokenTable, regions: int, report: Report) -> Iterator[np.ndarray]:
    """The same, with the first clip in `one` and the second in `other`."""
    for region in range(regions):
        report(region, regions)
        tokens, others = _Tokens.of(one, region), _Tokens.of(other, region)
        begin = np.searchsorted(others.token, tokens.token)
        count = np.searchsorted(others.token, tokens.token, "right") - begin  # of equal tokens in `other`
        # Each clip, and each of its tokens, begins elsewhere among them, so that together they reach all.
        start = np.arange(len(begin)) + tokens.token
        for distance in range(min(_NEIGHBOURS, count.max(initial=0))):
            same = np.flatnonzero(count > distance)
            yield from _in_batches(tokens, others, same, begin[same] + (start[same] + distance) % count[same])
    report(regions, regions)


def _in_batches(tokens: _Tokens, others: _Tokens, one: np.ndarray, other: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(one), BATCH):
        a, b = one[start : start + BATCH], other[start : start + BATCH]
        yield np.stack([tokens.clip[a], others.clip[b], tokens.time[a], others.time[b]], axis=1).astype(np.int64)

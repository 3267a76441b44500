"""Finds equal tokens of two clips, the candidates for a match (see `fingerprint`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from genreclf.progress import Report

# A token that many clips share has little meaning, so each is compared only with the next 32, which bounds the cost.
_NEIGHBOURS = 32
BATCH = 1 << 14  # hits compared at once: 8 MB of words


class TokenTable(NamedTuple):
    """The tokens of many clips, concatenated."""

    tokens: np.ndarray  # (tokens, 2) uint32: a token, whose upper two bits are its region, and its frame
    counts: np.ndarray  # (clips,): number of tokens of each clip


@dataclass(frozen=True)
class _Tokens:
    """The sorted tokens of one region. Equal tokens are in the order of their clips."""

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
    """Yields (hits, 4) int64: two clips with a token in common, and its frame in each of them."""
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
    """Yields hits as `hits_within`, with the first clip in `one` and the second one in `other`."""
    for region in range(regions):
        report(region, regions)
        tokens, others = _Tokens.of(one, region), _Tokens.of(other, region)
        begin = np.searchsorted(others.token, tokens.token)
        count = np.searchsorted(others.token, tokens.token, "right") - begin  # number of equal tokens in `other`
        # Each clip, and each of its tokens, starts at another one of them, so that together they reach all.
        start = np.arange(len(begin)) + tokens.token
        for distance in range(min(_NEIGHBOURS, count.max(initial=0))):
            same = np.flatnonzero(count > distance)
            yield from _in_batches(tokens, others, same, begin[same] + (start[same] + distance) % count[same])
    report(regions, regions)


def _in_batches(tokens: _Tokens, others: _Tokens, one: np.ndarray, other: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(one), BATCH):
        a, b = one[start : start + BATCH], other[start : start + BATCH]
        yield np.stack([tokens.clip[a], others.clip[b], tokens.time[a], others.time[b]], axis=1).astype(np.int64)

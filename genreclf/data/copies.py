"""Finds copies that a search by fingerprints misses: equal files, and recordings played faster or slower."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np

from genreclf.cores import cores
from genreclf.data.fingerprint import NO_PRINTS, Fingerprint, Fingerprints, Match, find_matches_between, fingerprint
from genreclf.data.store import Row, Store
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.log_mel import FRAME_RATE_HZ, N_BANDS, hertz_of_mel, mel_of_hertz

# Fingerprints match copies that are up to 1.5 % faster or slower, so these speeds find all copies up to 7 %, and 31 of
# 35 at 8 % (all measured on 35 real clips). Nightcore (20 to 35 % faster) would need seven more speeds.
SPEEDS = (1.03, 1.03**2)


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


def with_other_speeds(known: Iterable[Match], one: Store, other: Store) -> list[Match]:
    """Returns the `known` matches between the clips of two stores, or of one, and those at other speeds, in order."""
    found = [match for speed in SPEEDS for match in _matches_at(speed, one, other)]
    by_pair = {(match.first, match.second): match for match in sorted(found, key=lambda match: match.confidence)}
    by_pair |= {(match.first, match.second): match for match in known}
    return [by_pair[pair] for pair in sorted(by_pair)]


def _matches_at(speed: float, one: Store, other: Store) -> list[Match]:
    """Returns the pairs where one clip is about `speed` times as fast as the other."""
    faster = _matches_of_faster(speed, one, other)
    if other is one:
        faster = [match for match in faster if match.first != match.second]
        return [match if match.first < match.second else _turned(match) for match in faster]
    return faster + list(map(_turned, _matches_of_faster(speed, other, one)))


def _matches_of_faster(speed: float, one: Store, other: Store) -> list[Match]:
    """Returns the pairs of a clip of `one` and a clip of `other` that is `speed` times as fast."""
    with ThreadPoolExecutor(cores()) as pool:
        prints = Fingerprints.of(list(pool.map(partial(_faster, one, speed), range(len(one.rows)))))
    found = find_matches_between(prints, other.fingerprints)
    times = ((speed * match.offset_seconds, speed * match.overlap_seconds) for match in found)  # of the first clip
    return [
        replace(match, offset_seconds=offset, overlap_seconds=overlap, speed=speed)
        for match, (offset, overlap) in zip(found, times, strict=True)
    ]


def _faster(store: Store, speed: float, clip: int) -> Fingerprint:
    """Returns the fingerprint of a clip, played `speed` times as fast."""
    row = store.rows[clip]
    return fingerprint(store.spectrogram(clip)[_bands(speed)], round(row.frames / speed)) if row.tokens else NO_PRINTS


def _bands(speed: float) -> np.ndarray:
    """Returns, for each band at another speed, the band that its sound comes from.

    Rounding is off by half a band, 1.3 % of the pitch, which fingerprints tolerate.
    """
    centres = hertz_of_mel(np.linspace(0, mel_of_hertz(SAMPLE_RATE_HZ / 2), N_BANDS + 2))[1:-1]
    return np.rint(np.interp(centres / speed, centres, np.arange(N_BANDS))).astype(int)


def _turned(match: Match) -> Match:
    """Returns the same match with the clips exchanged. Its times are then those of the former second clip."""
    return Match(
        first=match.second,
        second=match.first,
        confidence=match.confidence,
        offset_seconds=-match.offset_seconds / match.speed,
        overlap_seconds=match.overlap_seconds / match.speed,
        speed=1 / match.speed,
    )

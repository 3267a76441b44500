"""Pairs clips whose files have equal content."""

from collections.abc import Iterator, Sequence

from genreclf.data.fingerprint import Match
from genreclf.data.store import Row
from genreclf.frontend.log_mel import FRAME_RATE_HZ


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

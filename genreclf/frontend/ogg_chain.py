"""Decodes chained Ogg files: several files joined into one, such as recordings of internet radio.

libsndfile reads them only if all parts are alike, and ffmpeg stops where the codec, the channels or the rate change.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from io import FileIO
from itertools import chain, pairwise

import numpy as np

from genreclf.frontend.av_audio import AvDecoder
from genreclf.frontend.decoder import Decoder, UndecodableError


class OggChain(Decoder):
    """A `Decoder` of all parts, with `bounds` from `chain_bounds`. Parts that are not audio are left out."""

    def __init__(self, handle: FileIO, bounds: Sequence[int]) -> None:
        self._bounds, self._lost_bytes = bounds, 0.0
        self._decoders = self._opened(handle)
        try:
            self._first = next(self._decoders)
        except StopIteration as error:
            raise UndecodableError("no part of this chained Ogg file can be decoded") from error
        self.rate_hz, self.channels = self._first.rate_hz, self._first.channels

    def blocks(self) -> Iterator[tuple[np.ndarray, int]]:
        """See `Decoder`."""
        for decoder in chain([self._first], self._decoders):
            yield from decoder.blocks()

    def unread_share(self) -> float:
        """See `Decoder`."""
        return self._lost_bytes / self._bounds[-1]

    def close(self) -> None:
        """See `Decoder`."""
        self._decoders.close()

    def _opened(self, handle: FileIO) -> Generator[AvDecoder]:
        for begin, end in pairwise(self._bounds):
            try:
                decoder = AvDecoder(handle, begin, end)
            except UndecodableError:
                self._lost_bytes += end - begin
                continue
            with closing(decoder):
                yield decoder
                self._lost_bytes += decoder.unread_share() * (end - begin)

"""Renders a comparison of collections as one self-contained HTML page, with inline styles and pictures."""

from collections.abc import Sequence

import numpy as np

from genreclf.data.audit_page import MAX_LISTED, PAIRS_DRAWN, PairPicture, draw_pair
from genreclf.data.collections import Collection, Comparison, SharedRecording
from genreclf.page import render

TEMPLATE = "data/collections_page.html.jinja"


def collections_page(found: Comparison, one: Collection, others: Sequence[Collection]) -> str:
    """Returns the page as HTML. `one` and `others` are the collections that were compared."""
    drawn = found.pairs[:PAIRS_DRAWN]
    places = {each.name: (each, _numbers(each)) for each in others}
    own = one, _numbers(one)
    pictures = [_picture(pair, own, places[pair.against]) for pair in drawn]
    return render(
        TEMPLATE,
        found=found,
        contents=[found.collection, *found.others],
        drawn=list(zip(drawn, pictures, strict=True)),
        undrawn=found.pairs[PAIRS_DRAWN:],
        listed=MAX_LISTED,
    )


Place = tuple[Collection, dict[str, int]]  # a collection, and its clips' numbers by path


def _numbers(collection: Collection) -> dict[str, int]:
    return {row.path: clip for clip, row in enumerate(collection.store.rows)}


def _picture(pair: SharedRecording, one: Place, other: Place) -> PairPicture:
    first, second = _drawn(one, pair.path), _drawn(other, pair.other)
    return draw_pair(*first, *second, pair.offset_seconds)


def _drawn(place: Place, path: str) -> tuple[np.ndarray, int]:
    """Returns a clip's spectrogram and its number of frames."""
    collection, numbers = place
    clip = numbers[path]
    return collection.store.spectrogram(clip), collection.store.rows[clip].frames

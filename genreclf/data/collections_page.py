"""Renders a comparison of collections as one self-contained HTML page, with inline styles and pictures."""

from collections.abc import Sequence

from genreclf.data.audit_page import MAX_LISTED, PAIRS_DRAWN, PairPicture, draw_clips
from genreclf.data.collections import Collection, Comparison, SharedRecording
from genreclf.page import render

TEMPLATE = "data/collections_page.html.jinja"


def collections_page(found: Comparison, one: Collection, others: Sequence[Collection]) -> str:
    """Returns the page as HTML. `one` and `others` are the collections that were compared."""
    store_of = {each.name: each.store for each in others}

    def draw(pair: SharedRecording) -> PairPicture:
        return draw_clips(one.store, pair.path, store_of[pair.against], pair.other, pair.offset_seconds)

    return render(
        TEMPLATE,
        found=found,
        contents=[found.collection, *found.others],
        drawn=[(pair, draw(pair)) for pair in found.pairs[:PAIRS_DRAWN]],
        undrawn=found.pairs[PAIRS_DRAWN:],
        listed=MAX_LISTED,
    )

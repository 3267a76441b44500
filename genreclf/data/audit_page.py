"""An audit -> one self-contained HTML page, with its styles and pictures inside."""

from collections.abc import Sequence

from genreclf.data.audit import Audit, Pair
from genreclf.data.findings import FINDINGS
from genreclf.data.leaks import HELD_OUT, SHARED
from genreclf.data.pair_plot import PairPicture, draw_pair
from genreclf.data.store import Store
from genreclf.page import render

TEMPLATE = "data/audit_page.html.jinja"
PAIRS_DRAWN = 50
MAX_LISTED = 200  # longer lists are in the JSON file only


def audit_page(found: Audit, store: Store, about: dict[str, str]) -> str:
    """The page. `about` names the data, its path, its table and the split."""
    drawn = found.pairs[:PAIRS_DRAWN]
    return render(
        TEMPLATE,
        audit=found,
        about=about,
        drawn=list(zip(drawn, _pictures(drawn, store), strict=True)),
        undrawn=found.pairs[PAIRS_DRAWN:],
        listed=MAX_LISTED,
        kinds=FINDINGS,
        shared=SHARED,
        parts=HELD_OUT,
        largest=max((sum(counts.values()) for counts in found.classes.values()), default=0),
    )


def _pictures(pairs: Sequence[Pair], store: Store) -> list[PairPicture]:
    clip_of = {row.path: clip for clip, row in enumerate(store.rows)}
    pictures = []
    for pair in pairs:
        clips = [clip_of[path] for path in (pair.first, pair.second)]
        (first, first_frames), (second, second_frames) = (
            (store.spectrogram(clip), store.rows[clip].frames) for clip in clips
        )
        pictures.append(draw_pair(first, first_frames, second, second_frames, pair.offset_seconds))
    return pictures

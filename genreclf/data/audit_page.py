"""An audit -> one page of HTML that needs nothing beside it: styles inside, pictures as data."""

import base64
from collections.abc import Sequence
from pathlib import Path

import jinja2

from genreclf.data.audit import Audit, Pair
from genreclf.data.faults import FINDINGS
from genreclf.data.leaks import HELD_OUT, SHARED
from genreclf.data.pair_picture import PairPicture, draw_pair
from genreclf.data.store import Store
from genreclf.errors import one_line

TEMPLATE = "audit_page.html.jinja"
PAIRS_DRAWN = 50
# A list of thousands is for the JSON.
LISTED = 200


def audit_page(found: Audit, store: Store, about: dict[str, str]) -> str:
    """The page. `about` says what was audited: name, path and split. Names of files may hold any text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(name=one_line, number=_number, data_uri=_data_uri, seconds=_seconds)
    drawn = found.pairs[:PAIRS_DRAWN]
    return environment.get_template(TEMPLATE).render(
        audit=found,
        about=about,
        drawn=list(zip(drawn, _pictures(drawn, store), strict=True)),
        undrawn=found.pairs[PAIRS_DRAWN:],
        listed=LISTED,
        kinds=FINDINGS,
        shared=SHARED,
        parts=HELD_OUT,
        most=max((sum(counts.values()) for counts in found.classes.values()), default=0),
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


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _number(value: float) -> str:
    """Of clips, where it may be a mean."""
    return f"{round(value, 1):g}"


def _seconds(value: float) -> str:
    """With a real minus sign."""
    return f"{round(value, 2):g}".replace("-", "\N{MINUS SIGN}")

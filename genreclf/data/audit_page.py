"""Renders an audit as one self-contained HTML page, with inline styles and pictures."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from genreclf.data.audit import Audit
from genreclf.data.findings import FINDINGS
from genreclf.data.leaks import HELD_OUT, SHARED
from genreclf.data.store import Store
from genreclf.frontend.log_mel import FRAME_RATE_HZ, N_BANDS
from genreclf.page import render

TEMPLATE = "data/audit_page.html.jinja"
PAIRS_DRAWN = 50
MAX_LISTED = 200  # longer lists are in the JSON file only
WIDTH = 720
STRIP_ROWS = N_BANDS // 2
_BAR_ROWS = 8
_TICK_ROWS = 5
# The picture's palette: the color map, then the background and the marks.
_MAP_COLORS = 254
_BLANK, _MARK = 254, 255
_BLANK_RGB, _MARK_RGB = (232, 236, 239), (0, 137, 123)
_STEPS_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800)
_MAX_TICKS = 6


def audit_page(found: Audit, store: Store, about: dict[str, str]) -> str:
    """Returns the page as HTML. `about` names the data, its path, its table and the split."""
    drawn = found.pairs[:PAIRS_DRAWN]
    return render(
        TEMPLATE,
        audit=found,
        about=about,
        drawn=[(pair, draw_clips(store, pair.first, store, pair.second, pair.offset_seconds)) for pair in drawn],
        undrawn=found.pairs[PAIRS_DRAWN:],
        listed=MAX_LISTED,
        kinds=FINDINGS,
        shared=SHARED,
        parts=HELD_OUT,
        largest=max((sum(counts.values()) for counts in found.classes.values()), default=0),
    )


@dataclass(frozen=True)
class PairPicture:
    """A picture of two clips as a PNG file, and the ticks of its time axis."""

    png: bytes
    ticks: tuple[tuple[float, float], ...]  # position in [0, 1], seconds


def draw_clips(one: Store, path: str, other: Store, other_path: str, offset_seconds: float) -> PairPicture:
    """Draws a clip of the store `one` and a clip of the store `other`, see `draw_pair`."""
    first, second = one.number_of[path], other.number_of[other_path]
    frames = one.rows[first].frames, other.rows[second].frames
    return draw_pair(one.spectrogram(first), frames[0], other.spectrogram(second), frames[1], offset_seconds)


def draw_pair(
    first: np.ndarray, first_frames: int, second: np.ndarray, second_frames: int, offset_seconds: float
) -> PairPicture:
    """Draws two spectrograms, (128, columns) uint8 with row 0 the lowest band, on one time axis.

    Time 0 is the beginning of the first clip; the second one begins `offset_seconds` later. The lengths are given by
    the numbers of frames. A bar marks the overlap.
    """
    spans = (0.0, first_frames / FRAME_RATE_HZ), (offset_seconds, offset_seconds + second_frames / FRAME_RATE_HZ)
    begin, end = min(spans[0][0], spans[1][0]), max(spans[0][1], spans[1][1])
    seconds = begin + (np.arange(WIDTH) + 0.5) / WIDTH * (end - begin)  # (WIDTH,)
    strips = [_strip(levels, span, seconds) for levels, span in zip((first, second), spans, strict=True)]
    overlap = _inside(spans[0], seconds) & _inside(spans[1], seconds)
    ticks = tuple(((at - begin) / (end - begin), at) for at in _tick_seconds(begin, end))
    at_tick = np.isin(np.arange(WIDTH), [round(position * (WIDTH - 1)) for position, _ in ticks])
    rows = [strips[0], _row(overlap, _BAR_ROWS), strips[1], _row(at_tick, _TICK_ROWS)]
    return PairPicture(_png(np.concatenate(rows)), ticks)


def _strip(levels: np.ndarray, span: tuple[float, float], seconds: np.ndarray) -> np.ndarray:
    """Returns one clip's strip: (64, WIDTH) uint8, the highest band on top, blank outside the clip."""
    # (128, columns) -> (64, 2, columns) -> (64, columns)
    pooled = levels.reshape(STRIP_ROWS, -1, levels.shape[1]).mean(axis=1)[::-1]
    position = (seconds - span[0]) / (span[1] - span[0])
    column = (position * levels.shape[1]).astype(int).clip(0, levels.shape[1] - 1)
    colors = (pooled[:, column] * ((_MAP_COLORS - 1) / 255)).round().astype(np.uint8)
    return np.where(_inside(span, seconds), colors, np.uint8(_BLANK))


def _inside(span: tuple[float, float], seconds: np.ndarray) -> np.ndarray:
    return (seconds >= span[0]) & (seconds < span[1])


def _row(marked: np.ndarray, rows: int) -> np.ndarray:
    """Returns a strip of marks: (rows, WIDTH) uint8."""
    return np.tile(np.where(marked, np.uint8(_MARK), np.uint8(_BLANK)), (rows, 1))


def _tick_seconds(begin: float, end: float) -> list[float]:
    """Returns round times in [begin, end], few enough that their labels do not overlap. 0 is one of them."""
    step = next((step for step in _STEPS_SECONDS if (end - begin) / step < _MAX_TICKS), _STEPS_SECONDS[-1])
    return [step * number for number in range(int(np.ceil(begin / step)), int(np.floor(end / step)) + 1)]


def _png(indices: np.ndarray) -> bytes:
    from matplotlib import colormaps  # imported here because it is slow and few callers draw

    magma = (colormaps["magma"](np.linspace(0, 1, _MAP_COLORS))[:, :3] * 255).round().astype(np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(magma.tobytes() + bytes(_BLANK_RGB) + bytes(_MARK_RGB))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()

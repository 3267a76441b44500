"""What the app draws, as HTML: bars, and the song over time. Text stays text: it fits any screen and has any script."""

import io
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from genreclf.app.colours import colours
from genreclf.app.words import best, clock, ranked
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.colour_maps import written_table
from genreclf.frontend.log_mel import FRAME_RATE_HZ, N_BANDS, band_of
from genreclf.inference.analysis import Analysis
from genreclf.inference.predictor import Prediction, Segment
from genreclf.page import data_uri, escaped

_HERTZ = (100, 500, 1_000, 2_000, 5_000, SAMPLE_RATE_HZ // 2)
_MAX_COLUMNS = 2_000  # of the spectrogram, about as many as a screen has
_TICK_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600)
_MAX_TICKS = 6  # of the time axis, so that they fit a phone's screen
# A row: its label, and beside it what it shows over time, as wide in each row.
_ROWS = (
    '<div style="display:grid;grid-template-columns:4.4rem minmax(0,1fr);gap:.35rem .5rem;'
    'padding-right:1rem;font-size:.8rem;line-height:1.2"'
)
_LABEL = "text-align:right;overflow-wrap:anywhere;unicode-bidi:isolate"


def bars(prediction: Prediction, classes: Sequence[str], colour: Mapping[str, str] | None = None) -> str:
    """A bar per genre, the most probable first, as HTML that a screen reader can read; see `colours`."""
    colour = colour or colours(classes)
    rows = "".join(
        f'<div role="listitem" aria-label="{escaped(name)}: {probability:.0%}" '
        'style="display:flex;align-items:center;gap:.6rem;margin:.2rem 0;font-size:.95rem">'
        f'<span style="width:6.2rem;overflow-wrap:anywhere;unicode-bidi:isolate">{escaped(name)}</span>'
        '<span style="flex:1;background:light-dark(#e3e0da,#30343c);border-radius:3px;height:.85rem">'
        f'<span style="display:block;width:{max(probability, 0.004):.1%};background:{colour[name]};height:100%;'
        'border-radius:3px"></span></span>'
        f'<span style="width:3rem;text-align:right;font-variant-numeric:tabular-nums">{probability:.0%}</span></div>'
        for name, probability in ranked(prediction, classes)
    )
    return f'<div role="list" aria-label="probability of each genre">{rows}</div>'


def image(png: bytes, description: str) -> str:
    """An image as HTML, with a description for those who cannot see it."""
    return f'<img src="{data_uri(png)}" alt="{escaped(description)}" style="width:100%;height:auto">'


def song(analyses: Sequence[Analysis], names: Sequence[str], classes: Sequence[Sequence[str]], description: str) -> str:
    """The spectrogram, and below it the genres over time of each model, on one time axis; `description` is read out."""
    clip = analyses[0].clip
    seconds = clip.frames / FRAME_RATE_HZ
    shown: dict[str, str] = {}
    strips = ""
    for analysis, name, genres in zip(analyses, names, classes, strict=True):
        strip, used = _strip(analysis.prediction, genres, seconds)
        shown |= used
        strips += _label(name) + strip
    keys = "".join(
        f'<span><span style="background:{colour};border-radius:3px;padding:0 .5rem;margin-right:.35rem"></span>'
        f'<span style="overflow-wrap:anywhere;unicode-bidi:isolate">{escaped(name)}</span></span>'
        for name, colour in shown.items()
    )
    return (
        f'{_ROWS} role="img" aria-label="{escaped(description)}">'
        f'<span></span><div style="display:flex;flex-wrap:wrap;gap:.2rem 1rem;padding-top:.6rem">{keys}</div>'
        f'{_frequencies()}<img src="{data_uri(_png(clip.levels))}" alt="" style="width:100%;height:18rem">'
        f"{strips}<span></span>{_times(seconds)}</div>"
    )


def attention(analysis: Analysis, segment: Segment) -> str:
    """The model's attention within a segment, on the time axis of `song`; the prediction must have one."""
    weights = analysis.prediction.attention
    assert weights is not None
    first, end = (round(edge * FRAME_RATE_HZ) for edge in (segment.start_seconds, segment.end_seconds))
    heights = weights[first:end] / (weights[first:end].max(initial=0) or 1)
    # Each frame is a step as wide as the frame: (frames, 2 edges).
    x = np.stack([np.arange(first, end), np.arange(first + 1, end + 1)], axis=1).ravel() / len(weights)
    y = 1 - np.repeat(heights, 2)
    corners = [(x[0], 1.0), *zip(x, y, strict=True), (x[-1], 1.0)]
    polygon = ",".join(f"{_percent(across)} {_percent(down)}" for across, down in corners)
    return (
        f'{_ROWS} aria-hidden="true">{_label("attention")}<div style="height:3rem;border-bottom:1px solid #999">'
        f'<div style="height:100%;background:#332288;opacity:.6;clip-path:polygon({polygon})"></div></div></div>'
    )


def _png(levels: np.ndarray) -> bytes:
    """(128, columns) uint8 levels in the colours of magma, the low bands at the bottom."""
    step = -(-levels.shape[1] // _MAX_COLUMNS)
    picture, file = Image.fromarray(np.ascontiguousarray(levels[::-1, ::step])), io.BytesIO()
    picture.putpalette(written_table("magma").tobytes())
    picture.save(file, format="PNG")
    return file.getvalue()


def _label(text: str) -> str:
    return f'<div style="{_LABEL}">{escaped(text)}</div>'


def _percent(share: float) -> str:
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + "%"


def _frequencies() -> str:
    """The frequency axis."""
    ticks = "".join(
        f'<span style="position:absolute;right:0;bottom:{_percent((band_of(hertz) + 0.5) / N_BANDS)};'
        f'transform:translateY(50%);white-space:nowrap">{hertz:,} Hz</span>'
        for hertz in _HERTZ
    )
    return f'<div style="position:relative">{ticks}</div>'


def _times(seconds: float) -> str:
    """The time axis."""
    longest = int(seconds / _MAX_TICKS) + 1  # for a picture of hours
    step = next((step for step in _TICK_SECONDS if seconds / step < _MAX_TICKS), longest)
    ticks = "".join(
        f'<span style="position:absolute;left:{_percent(time / seconds)};transform:translateX(-50%)">'
        f"{clock(time)}</span>"
        for time in range(0, int(seconds) + 1, step)
    )
    return f'<div style="position:relative;height:1.2em">{ticks}</div>'


def _strip(prediction: Prediction, classes: Sequence[str], seconds: float) -> tuple[str, dict[str, str]]:
    """A strip of colours; where segments overlap, the border lies in the middle. Also its genres' colours."""
    colour, shown, parts = colours(classes), {}, ""
    middles = [(segment.start_seconds + segment.end_seconds) / 2 for segment in prediction.segments]
    start, end = prediction.segments[0].start_seconds, prediction.segments[-1].end_seconds
    borders = [start, *[(left + right) / 2 for left, right in itertools.pairwise(middles)], end]
    for segment, (left, right) in zip(prediction.segments, itertools.pairwise(borders), strict=True):
        genre, probability = best(segment, classes)
        shown[genre] = colour[genre]
        # The more probable, the stronger the colour.
        parts += (
            f'<div style="position:absolute;left:{_percent(left / seconds)};width:{_percent((right - left) / seconds)};'
            f'height:100%;background:{colour[genre]};opacity:{0.25 + 0.75 * probability:.2f}"></div>'
        )
    return f'<div style="position:relative;min-height:1.4rem;overflow:hidden">{parts}</div>', shown

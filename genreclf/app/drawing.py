"""What the app draws: bars as HTML, and the song over time as an image."""

import io
import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from genreclf.app.words import best, clock, ranked
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.log_mel import FRAME_RATE_HZ, band_of
from genreclf.inference.analysis import Analysis
from genreclf.inference.predictor import Prediction
from genreclf.page import data_uri, escaped
from genreclf.plot_text import drawable, names_in_plots, save

# Paul Tol's "muted" scheme, distinct for colour-blind people too (https://sronpersonalpages.nl/~pault/), and a grey.
PALETTE = ("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499", "#777777")
_HERTZ = (100, 500, 1_000, 2_000, 5_000, 10_000)
_MAX_COLUMNS = 2_000
_MODEL_WIDTH, _LEGEND_WIDTH = 20, 80  # characters of a line of a model's name and of the legend


def colours(classes: Sequence[str]) -> dict[str, str]:
    """Each genre's colour, the same everywhere."""
    return {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(classes)}


def bars(prediction: Prediction, classes: Sequence[str]) -> str:
    """A bar per genre, the most probable first, as HTML that a screen reader can read."""
    colour = colours(classes)
    rows = "".join(
        f'<div role="listitem" aria-label="{escaped(name)}: {probability:.0%}" '
        'style="display:flex;align-items:center;gap:.6rem;margin:.2rem 0;font-size:.95rem">'
        f'<span style="width:6.2rem;overflow-wrap:anywhere;unicode-bidi:isolate">{escaped(name)}</span>'
        '<span style="flex:1;background:#eceae6;border-radius:3px;height:.85rem">'
        f'<span style="display:block;width:{max(probability, 0.004):.1%};background:{colour[name]};height:100%;'
        'border-radius:3px"></span></span>'
        f'<span style="width:3rem;text-align:right;font-variant-numeric:tabular-nums">{probability:.0%}</span></div>'
        for name, probability in ranked(prediction, classes)
    )
    return f'<div role="list" aria-label="probability of each genre">{rows}</div>'


def image(png: bytes, description: str) -> str:
    """An image as HTML, with a description for those who cannot see it."""
    return f'<img src="{data_uri(png)}" alt="{escaped(description)}" style="width:100%;height:auto">'


@names_in_plots()
def song(
    analyses: Sequence[Analysis], names: Sequence[str], classes: Sequence[Sequence[str]], chosen: int | None
) -> bytes:
    """A PNG: the spectrogram, below it the genres over time of each model, and below that the attention of the first
    model in its segment `chosen`, all on one time axis.
    """
    clip = analyses[0].clip
    seconds = clip.frames / FRAME_RATE_HZ
    attention = analyses[0].prediction.attention if chosen is not None else None
    labels = [drawable(name, _MODEL_WIDTH) for name in names]
    strips = [max(0.45, _inches(label)) for label in labels]
    heights = [3.0, *strips, *[0.8] * (attention is not None)]
    figure = Figure(figsize=(7, 1.3 + sum(heights)), layout="constrained", facecolor="none")
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    _draw_levels(axes[0], clip.levels, seconds)
    shown: dict[str, str] = {}
    for place, (analysis, name, genres) in enumerate(zip(analyses, labels, classes, strict=True), 1):
        shown |= _draw_genres(axes[place], analysis.prediction, name, genres)
    if attention is not None and chosen is not None:
        segment = analyses[0].prediction.segments[chosen]
        _draw_attention(axes[-1], attention, (segment.start_seconds, segment.end_seconds))
    axes[-1].set_xlabel("time (minutes:seconds)")
    axes[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value)))
    axes[-1].set_xlim(0, seconds)
    genres_shown = [drawable(name, _LEGEND_WIDTH) for name in shown]
    columns = min(5, max(1, _LEGEND_WIDTH // (4 + max(map(len, genres_shown)))))
    rows = [genres_shown[place : place + columns] for place in range(0, len(shown), columns)]
    figure.set_figheight(figure.get_figheight() + sum(max(map(_inches, row)) for row in rows) - _inches(""))
    patches = [Patch(color=colour, label=name) for name, colour in zip(genres_shown, shown.values(), strict=True)]
    figure.legend(handles=patches, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    file = io.BytesIO()
    save(figure, file)
    return file.getvalue()


def _inches(label: str) -> float:
    """The height of a label's lines."""
    return 0.2 * (1 + label.count("\n"))


def _draw_levels(axes: Axes, levels: np.ndarray, seconds: float) -> None:
    step = -(-levels.shape[1] // _MAX_COLUMNS)
    axes.imshow(levels[:, ::step], origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, len(levels)))
    axes.set_yticks([band_of(hertz) + 0.5 for hertz in _HERTZ], [f"{hertz:,}" for hertz in _HERTZ])
    axes.set_ylabel(f"frequency (Hz, to {SAMPLE_RATE_HZ // 2:,})")


def _draw_genres(axes: Axes, prediction: Prediction, name: str, classes: Sequence[str]) -> dict[str, str]:
    """Draws a strip of colours; where segments overlap, the border lies in the middle. Returns its genres' colours."""
    colour, shown = colours(classes), {}
    middles = [(segment.start_seconds + segment.end_seconds) / 2 for segment in prediction.segments]
    start, end = prediction.segments[0].start_seconds, prediction.segments[-1].end_seconds
    borders = [start, *[(left + right) / 2 for left, right in itertools.pairwise(middles)], end]
    for segment, (left, right) in zip(prediction.segments, itertools.pairwise(borders), strict=True):
        genre, probability = best(segment, classes)
        shown[genre] = colour[genre]
        # The more probable, the stronger the colour.
        axes.axvspan(left, right, color=colour[genre], alpha=0.25 + 0.75 * probability, lw=0)
    axes.set_yticks([0.5], [name])
    axes.set_ylim(0, 1)
    return shown


def _draw_attention(axes: Axes, attention: np.ndarray, span: tuple[float, float]) -> None:
    times = (np.arange(len(attention)) + 0.5) / FRAME_RATE_HZ
    inside = (times >= span[0]) & (times <= span[1])
    axes.fill_between(times, attention, where=inside, color="#332288", alpha=0.5, step="mid", lw=0)
    axes.set_ylabel("attention", fontsize=8)
    axes.set_yticks([])
    axes.set_ylim(0, None)

"""Converts analyses of a song to the player's JSON data, on one time axis: names are text, times are in seconds."""

import io
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from genreclf.app.colours import colours
from genreclf.app.time_axis import length, ticks
from genreclf.app.words import best
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.colour_maps import written_table
from genreclf.frontend.log_mel import FRAME_RATE_HZ, N_BANDS, band_of
from genreclf.inference.analysis import Analysis
from genreclf.inference.predictor import Prediction
from genreclf.text import one_line

_HERTZ = (100, 500, 1_000, 2_000, 5_000, SAMPLE_RATE_HZ // 2)
_MAX_COLUMNS = 2_000  # of the spectrogram and the attention, about a screen's width in pixels
_MAX_DESCRIPTION = 300  # characters, because a screen reader reads all of it


def timeline(analyses: Sequence[Analysis], names: Sequence[str], classes: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Returns the player's data for all models' analyses of one song. `names` are the models' names.

    Each part has the index of its genre in `genres`, its place in the strip, `left` to `right`, and the time that the
    model read, `start` to `end`. `attention` is from the first model, over the whole axis, in hundredths of its mean.
    """
    first = analyses[0]
    seconds = first.clip.frames / FRAME_RATE_HZ
    strips = [_parts(analysis.prediction, genres) for analysis, genres in zip(analyses, classes, strict=True)]
    shown = list(dict.fromkeys(part["genre"] for parts in strips for part in parts))
    colour = colours(*classes)
    models = [{"name": one_line(name), "parts": parts} for name, parts in zip(names, strips, strict=True)]
    description = _description(seconds, strips[0])  # uses the genres' names, which the next lines replace by indices
    for part in itertools.chain.from_iterable(strips):
        part["genre"] = shown.index(part["genre"])
    return {
        "seconds": seconds,
        "ticks": [{"at": tick.seconds / seconds, "label": tick.label} for tick in ticks(seconds)],
        "frequencies": [{"at": (band_of(hertz) + 0.5) / N_BANDS, "label": f"{hertz:,} Hz"} for hertz in _HERTZ],
        "genres": [{"name": one_line(name), "colour": colour[name]} for name in shown],
        "models": models,
        "attention": _attention(first.prediction),
        "description": description,
    }


def spectrogram_png(levels: np.ndarray) -> bytes:
    """Draws (128, columns) uint8 levels in magma's colours, with low bands at the bottom, and returns the PNG."""
    step = -(-levels.shape[1] // _MAX_COLUMNS)
    picture, file = Image.fromarray(np.ascontiguousarray(levels[::-1, ::step])), io.BytesIO()
    picture.putpalette(written_table("magma").tobytes())
    picture.save(file, format="PNG")
    return file.getvalue()


def _parts(prediction: Prediction, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the segments as parts. Where segments overlap, the border is in the middle."""
    segments = prediction.segments
    if not segments:
        return []
    middles = [(segment.start_seconds + segment.end_seconds) / 2 for segment in segments]
    inner = [(left + right) / 2 for left, right in itertools.pairwise(middles)]
    borders = [segments[0].start_seconds, *inner, segments[-1].end_seconds]
    parts = []
    for segment, (left, right) in zip(segments, itertools.pairwise(borders), strict=True):
        genre, probability = best(segment, classes)
        read = {"start": segment.start_seconds, "end": segment.end_seconds}
        parts.append({"left": left, "right": right, **read, "genre": genre, "probability": probability})
    return parts


def _attention(prediction: Prediction) -> list[int]:
    """Returns at most _MAX_COLUMNS values, each the maximum over its frames; empty if the net has no attention."""
    if prediction.attention is None or not len(prediction.attention):
        return []
    first_frames = np.unique(np.linspace(0, len(prediction.attention), _MAX_COLUMNS, endpoint=False).astype(int))
    hundredths: list[int] = np.round(100 * np.maximum.reduceat(prediction.attention, first_frames)).astype(int).tolist()
    return hundredths


def _description(seconds: float, parts: Sequence[dict[str, Any]]) -> str:
    """Returns a summary for screen readers."""
    beginning = f"Spectrogram and genre over time, {length(seconds)}"
    if not parts:
        return beginning
    counts = Counter(one_line(part["genre"]) for part in parts).most_common()
    number = f"{len(parts)} {'part' if len(parts) == 1 else 'parts'}"
    named = f"{beginning}. {number}: " + ", ".join(f"{name} in {count}" for name, count in counts)
    return named if len(named) < _MAX_DESCRIPTION else f"{beginning}. {number}, {len(counts)} genres"

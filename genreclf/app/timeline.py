"""Analyses of a song -> what the player draws of them on one time axis, as JSON: names are text, times are seconds."""

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
_MAX_COLUMNS = 2_000  # of the spectrogram and the attention, about as many as a screen has
_MAX_DESCRIPTION = 300  # characters: it is read out whole


def timeline(analyses: Sequence[Analysis], names: Sequence[str], classes: Sequence[Sequence[str]]) -> dict[str, Any]:
    """What all models say of one song; `names` are theirs.

    Parts have the genre's number in `genres`, and their place in the strip, `left` to `right`, beside what the model
    read, `start` to `end`. `attention` is that of the first model, in hundredths of its mean, over the whole axis.
    """
    first = analyses[0]
    seconds = first.clip.frames / FRAME_RATE_HZ
    strips = [_parts(analysis.prediction, genres) for analysis, genres in zip(analyses, classes, strict=True)]
    shown = list(dict.fromkeys(part["genre"] for parts in strips for part in parts))
    colour = colours(*classes)
    models = [{"name": one_line(name), "parts": parts} for name, parts in zip(names, strips, strict=True)]
    description = _description(seconds, strips[0])  # with the genres' names, which are replaced by their numbers now
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
    """(128, columns) uint8 levels in the colours of magma, the low bands at the bottom."""
    step = -(-levels.shape[1] // _MAX_COLUMNS)
    picture, file = Image.fromarray(np.ascontiguousarray(levels[::-1, ::step])), io.BytesIO()
    picture.putpalette(written_table("magma").tobytes())
    picture.save(file, format="PNG")
    return file.getvalue()


def _parts(prediction: Prediction, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The segments; where they overlap, the border lies in the middle."""
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
    """At most as many values as a screen has columns, each the highest of its frames; none where the net has none."""
    if prediction.attention is None or not len(prediction.attention):
        return []
    first_frames = np.unique(np.linspace(0, len(prediction.attention), _MAX_COLUMNS, endpoint=False).astype(int))
    hundredths: list[int] = np.round(100 * np.maximum.reduceat(prediction.attention, first_frames)).astype(int).tolist()
    return hundredths


def _description(seconds: float, parts: Sequence[dict[str, Any]]) -> str:
    """The whole in a sentence that is read out."""
    beginning = f"Spectrogram and genre over time, {length(seconds)}"
    if not parts:
        return beginning
    counts = Counter(one_line(part["genre"]) for part in parts).most_common()
    number = f"{len(parts)} {'part' if len(parts) == 1 else 'parts'}"
    named = f"{beginning}. {number}: " + ", ".join(f"{name} in {count}" for name, count in counts)
    return named if len(named) < _MAX_DESCRIPTION else f"{beginning}. {number}, {len(counts)} genres"

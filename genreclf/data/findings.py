"""Faults of single clips: unreadable, truncated, silent, short, or at an unusual sample rate. Pure: no I/O."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from genreclf.data.store import Row
from genreclf.frontend.audio import CLIPPED, SAMPLE_RATE_HZ, TRUNCATED, UNDECODED
from genreclf.frontend.log_mel import FRAME_RATE_HZ, HOP_SAMPLES, N_FFT

# The view `whole` resamples every clip to 256 columns: a clip of less than half the usual length appears at less than
# half the usual tempo, and holds less than half of the music.
SHORT_SHARE = 0.5
# Columns at each end whose windows extend beyond the clip: they differ from the others even in a steady clip.
_EDGE_COLUMNS = N_FFT // 2 // HOP_SAMPLES
_COLUMNS_TRIED = 8

# The last one is information, not a fault.
FINDINGS = (
    "unreadable",
    "truncated",
    "silent",
    "constant",
    "clipped",
    "too_short",
    "wrong_rate",
    "other_rate",
)


@dataclass(frozen=True)
class Finding:
    """A clip, by its path, and the reason why it is listed."""

    path: str
    why: str


def findings(rows: Sequence[Row], spectrogram: Callable[[int], np.ndarray]) -> dict[str, list[Finding]]:
    """The clips with each fault of FINDINGS; a clip may have several. `spectrogram` gives a clip's (128, columns)."""
    readable = [row for row in rows if row.columns]
    median_seconds = median(map(seconds, readable)) if readable else 0.0
    usual_rate = max(rates(readable).items(), key=lambda item: (item[1], item[0]), default=(0, 0))[0]
    found: dict[str, list[Finding]] = {kind: [] for kind in FINDINGS}
    for clip, row in enumerate(rows):
        if row.columns:
            faults = {
                **_noted(row.problem),
                **_steady(spectrogram(clip)),
                **_short(seconds(row), median_seconds),
                **_rate(row.source_rate_hz, usual_rate),
            }
        else:
            faults = {"unreadable": row.problem}
        for kind, why in faults.items():
            found[kind].append(Finding(row.path, why))
    return found


def seconds(row: Row) -> float:
    """The length of a readable clip."""
    return row.frames / FRAME_RATE_HZ


def rates(readable: Sequence[Row]) -> Counter[int]:
    """The number of audio clips at each sample rate in Hz; pictures have none."""
    return Counter(row.source_rate_hz for row in readable if row.source_rate_hz)


def _noted(problem: str) -> dict[str, str]:
    """The faults noted when the file was decoded."""
    faults = {}
    for note in problem.split("; "):
        if TRUNCATED in note or UNDECODED in note:
            faults["truncated"] = note
        if CLIPPED in note:
            faults["clipped"] = note
    return faults


def _steady(levels: np.ndarray) -> dict[str, str]:
    """Whether a spectrogram (128, columns) is empty, or the same from beginning to end."""
    inner = levels[:, _EDGE_COLUMNS:-_EDGE_COLUMNS] if levels.shape[1] > 2 * _EDGE_COLUMNS else levels
    # A few columns rule out most clips without reading all of a store that may exceed the memory.
    few = inner[:, :: max(1, inner.shape[1] // _COLUMNS_TRIED)]
    if not all((some == some[:, :1]).all() for some in (few, inner)):
        return {}
    if not levels.any():
        return {"silent": "no sound, or a picture of one level"}
    return {"constant": "every column is the same"}


def _short(length: float, median_length: float) -> dict[str, str]:
    if length >= SHORT_SHARE * median_length:
        return {}
    return {"too_short": f"{length:.1f} s; the median of the data set is {median_length:.1f} s"}


def _rate(rate_hz: int, usual_hz: int) -> dict[str, str]:
    if 0 < rate_hz < SAMPLE_RATE_HZ:
        return {"wrong_rate": f"{rate_hz:,} Hz: nothing above {rate_hz / 2:,.0f} Hz"}
    if rate_hz and rate_hz != usual_hz:
        return {"other_rate": f"{rate_hz:,} Hz; most have {usual_hz:,} Hz"}
    return {}

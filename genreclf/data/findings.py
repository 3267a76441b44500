"""Faults of single clips: unreadable, truncated, silent, short, or at an unusual sample rate. Pure: no I/O."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from genreclf.data.store import Row
from genreclf.frontend.audio import CLIPPED, SAMPLE_RATE_HZ, TRUNCATED, UNDECODED
from genreclf.frontend.log_mel import FRAME_RATE_HZ, HOP_SAMPLES, N_FFT

SHORT_SHARE = 0.5  # the view `whole` stretches every clip to 256 columns, so a short one appears at another tempo
_EDGE_COLUMNS = N_FFT // 2 // HOP_SAMPLES  # their windows extend beyond the clip, so they differ even in a steady one
_COLUMNS_TRIED = 8

# The last one is information, not a fault.
FINDINGS = ("unreadable", "truncated", "silent", "constant", "clipped", "too_short", "wrong_rate", "other_rate")


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
            faults = _faults(row, spectrogram(clip), median_seconds, usual_rate)
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


def _faults(row: Row, levels: np.ndarray, median_seconds: float, usual_hz: int) -> dict[str, str]:
    """The reasons by kind for a readable clip with the (128, columns) `levels`."""
    faults = {}
    for note in row.problem.split("; "):  # noted when the file was decoded
        if TRUNCATED in note or UNDECODED in note:
            faults["truncated"] = note
        if CLIPPED in note:
            faults["clipped"] = note
    if _is_steady(levels):
        sound = {"constant": "every column is the same"}
        faults |= sound if levels.any() else {"silent": "no sound, or a picture of one level"}
    length, rate_hz = seconds(row), row.source_rate_hz
    if length < SHORT_SHARE * median_seconds:
        faults["too_short"] = f"{length:.1f} s; the median of the data set is {median_seconds:.1f} s"
    if 0 < rate_hz < SAMPLE_RATE_HZ:
        faults["wrong_rate"] = f"{rate_hz:,} Hz: nothing above {rate_hz / 2:,.0f} Hz"
    elif rate_hz not in (0, usual_hz):
        faults["other_rate"] = f"{rate_hz:,} Hz; most have {usual_hz:,} Hz"
    return faults


def _is_steady(levels: np.ndarray) -> bool:
    """Whether a spectrogram (128, columns) is the same from beginning to end."""
    inner = levels[:, _EDGE_COLUMNS:-_EDGE_COLUMNS] if levels.shape[1] > 2 * _EDGE_COLUMNS else levels
    # A few columns rule out most clips without reading all of a store that may exceed the memory.
    few = inner[:, :: max(1, inner.shape[1] // _COLUMNS_TRIED)]
    return all((some == some[:, :1]).all() for some in (few, inner))

"""What is wrong with single clips: broken, empty, short, or of another rate. Pure: no I/O."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from genreclf.data.store import Row
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.log_mel import FRAME_RATE_HZ, HOP_SAMPLES, N_FFT

# In the view `whole`, all clips are brought to 256 columns: one of less than half the usual length is shown at less
# than half the usual pace, and holds less than half of the music that the model gets of others.
SHORT_SHARE = 0.5
# Columns at each end whose windows reach beyond the clip: they see its edge even where nothing moves.
_EDGE_COLUMNS = N_FFT // 2 // HOP_SAMPLES
_COLUMNS_TRIED = 8

# The last is for the reader's information, and no fault.
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
    """A clip by its path, and why it is listed."""

    path: str
    why: str


def findings(rows: Sequence[Row], spectrogram: Callable[[int], np.ndarray]) -> dict[str, list[Finding]]:
    """What is wrong with single clips, by the words of FINDINGS. A clip may be in several lists."""
    readable = [row for row in rows if row.columns]
    usual_seconds = median(map(seconds, readable)) if readable else 0.0
    usual_rate = max(rates(readable).items(), key=lambda item: (item[1], item[0]), default=(0, 0))[0]
    found: dict[str, list[Finding]] = {kind: [] for kind in FINDINGS}
    for clip, row in enumerate(rows):
        if row.columns:
            named = {
                **_noted(row.problem),
                **_still(spectrogram(clip)),
                **_short(seconds(row), usual_seconds),
                **_rate(row.source_rate_hz, usual_rate),
            }
        else:
            named = {"unreadable": row.problem}
        for kind, why in named.items():
            found[kind].append(Finding(row.path, why))
    return found


def seconds(row: Row) -> float:
    """The music that a readable clip covers."""
    return row.frames / FRAME_RATE_HZ


def rates(readable: Sequence[Row]) -> Counter[int]:
    """How many audio clips have which sample rate in Hz; a picture has none."""
    return Counter(row.source_rate_hz for row in readable if row.source_rate_hz)


def _noted(problem: str) -> dict[str, str]:
    """What the reader of the file wrote down."""
    named = {}
    for note in problem.split("; "):
        if note.startswith("truncated") or "of the file not decoded" in note:
            named["truncated"] = note
        if note.startswith("clipped"):
            named["clipped"] = note
    return named


def _still(levels: np.ndarray) -> dict[str, str]:
    """Of (128, columns): nothing there, or nothing that moves."""
    inner = levels[:, _EDGE_COLUMNS:-_EDGE_COLUMNS] if levels.shape[1] > 2 * _EDGE_COLUMNS else levels
    # A few columns tell music at once: a store may be far larger than the memory.
    few = inner[:, :: max(1, inner.shape[1] // _COLUMNS_TRIED)]
    if not all((some == some[:, :1]).all() for some in (few, inner)):
        return {}
    if not levels.any():
        return {"silent": "no sound, or a picture of one level"}
    return {"constant": "every column is the same: nothing moves from beginning to end"}


def _short(own: float, usual: float) -> dict[str, str]:
    if own >= SHORT_SHARE * usual:
        return {}
    return {"too_short": f"{own:.1f} s; half of the clips have {usual:.1f} s or more"}


def _rate(rate_hz: int, usual_hz: int) -> dict[str, str]:
    if 0 < rate_hz < SAMPLE_RATE_HZ:
        return {"wrong_rate": f"{rate_hz:,} Hz: nothing above {rate_hz / 2:,.0f} Hz"}
    if rate_hz and rate_hz != usual_hz:
        return {"other_rate": f"{rate_hz:,} Hz; most have {usual_hz:,} Hz"}
    return {}

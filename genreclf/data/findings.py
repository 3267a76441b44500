"""Finds faults of single clips (left out, truncated, clipped, too short, another sample rate), and notes on them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from genreclf.data.store import Row
from genreclf.frontend.audio import CLIPPED, SAMPLE_RATE_HZ, TRUNCATED, UNDECODED
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.grouping import grouped
from genreclf.text import NAMES_SHOWN, first_names, one_line

SHORT_SHARE = 0.5  # of the median: the view `whole` stretches a short clip to 256 columns, which changes its tempo
# The last one is information, not a fault.
FINDINGS = (
    *("unreadable", "silent", "no_music", "no_spectrogram"),  # left out
    *("truncated", "clipped", "too_short", "wrong_rate", "other_rate"),
)
# The first words of the front end's reasons to leave out a clip that it can read.
_LEFT_OUT = {
    "silence": "silent",
    "clicks": "no_music",
    "test tone": "no_music",
    "noise": "no_music",
    "no mel spectrogram": "no_spectrogram",
}


@dataclass(frozen=True)
class Finding:
    """A clip's path, and the reason why it is listed."""

    path: str
    why: str


def findings(rows: Sequence[Row]) -> dict[str, list[Finding]]:
    """Returns the clips with each fault of FINDINGS. A clip may have several."""
    readable = [row for row in rows if row.columns]
    median_seconds = median(map(seconds, readable)) if readable else 0.0
    usual_rate = max(rates(readable).items(), key=lambda item: (item[1], item[0]), default=(0, 0))[0]
    found: dict[str, list[Finding]] = {kind: [] for kind in FINDINGS}
    for row in rows:
        faults = _faults(row, median_seconds, usual_rate) if row.columns else {_kind_of(row): row.problem}
        for kind, why in faults.items():
            found[kind].append(Finding(row.path, why))
    return found


def notes(rows: Sequence[Row]) -> list[str]:
    """Returns lines with the most frequent notes on clips that are used, such as what is assumed of a picture."""
    noted = grouped((row.problem, row.path) for row in rows if row.columns and row.problem)
    ranked = sorted(noted.items(), key=lambda item: (-len(item[1]), item[0]))
    others = [path for _, paths in ranked[NAMES_SHOWN:] for path in paths]
    shown = [*ranked[:NAMES_SHOWN], *([("other notes, see clips.csv in the store", others)] if others else [])]
    return [f"{len(paths)} clip{'s' * (len(paths) > 1)}: {note} ({first_names(paths)})" for note, paths in shown]


def seconds(row: Row) -> float:
    """Returns the length of a readable clip in seconds."""
    return row.frames / FRAME_RATE_HZ


def rates(readable: Sequence[Row]) -> Counter[int]:
    """Returns the number of audio clips at each sample rate in Hz. Pictures have no sample rate."""
    return Counter(row.source_rate_hz for row in readable if row.source_rate_hz)


def _kind_of(row: Row) -> str:
    """Returns the kind of finding for a clip that is left out."""
    of_file = one_line(row.path)
    return next((kind for word, kind in _LEFT_OUT.items() if f"{of_file}: {word}: " in row.problem), "unreadable")


def _faults(row: Row, median_seconds: float, usual_hz: int) -> dict[str, str]:
    """Returns the faults of a readable clip, as reasons by kind."""
    faults = {}
    for note in row.problem.split("; "):  # noted when the file was decoded
        if TRUNCATED in note or UNDECODED in note:
            faults["truncated"] = note
        if CLIPPED in note:
            faults["clipped"] = note
    length, rate_hz = seconds(row), row.source_rate_hz
    if length < SHORT_SHARE * median_seconds:
        faults["too_short"] = f"{length:.1f} s; the median of the data set is {median_seconds:.1f} s"
    if 0 < rate_hz < SAMPLE_RATE_HZ:
        faults["wrong_rate"] = f"{rate_hz:,} Hz: nothing above {rate_hz / 2:,.0f} Hz"
    elif rate_hz not in (0, usual_hz):
        faults["other_rate"] = f"{rate_hz:,} Hz; most have {usual_hz:,} Hz"
    return faults

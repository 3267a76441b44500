"""The ticks of a time axis, and the format of times."""

from typing import NamedTuple

_STEPS_SECONDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600),
)
_MAX_TICKS = 6  # so that the labels fit on a phone's screen
_HOUR, _MINUTE = 3_600, 60


class Tick(NamedTuple):
    """A time, in seconds, and its label."""

    seconds: float
    label: str


def ticks(seconds: float) -> list[Tick]:
    """Returns at most seven ticks for an axis from 0 to `seconds` > 0: at 0 and at the multiples of a round step."""
    step = _step(seconds)
    return [Tick(number * step, _label(number * step, step)) for number in range(int(seconds / step) + 1)]


def clock(seconds: float) -> str:
    """Formats a time as 2:05, or as 1:05:00 from one hour on."""
    whole = int(seconds)
    hours, minutes, rest = whole // _HOUR, whole % _HOUR // _MINUTE, whole % _MINUTE
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def length(seconds: float) -> str:
    """Formats a length like `clock`, or as 0.25 s below ten seconds."""
    return clock(seconds) if seconds >= 10 else f"{seconds:.2g} s"


def _step(seconds: float) -> float:
    """Returns the smallest round step with at most six ticks after 0; for many hours, a whole number of hours."""
    hours = _HOUR * (int(seconds / _HOUR / _MAX_TICKS) + 1)
    return next((step for step in _STEPS_SECONDS if seconds / step < _MAX_TICKS + 1), hours)


def _label(seconds: float, step: float) -> str:
    if step >= 1:
        return clock(seconds)
    digits = next(digits for digits in (1, 2, 3) if round(step, digits) == step)
    return f"{seconds:.{digits}f} s"

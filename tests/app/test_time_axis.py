"""The ticks of the time axis."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genreclf.app.time_axis import clock, length, ticks


@given(st.floats(0.005, 200_000.0))
def test_ticks_are_few_round_and_evenly_spaced(seconds):
    times = [tick.seconds for tick in ticks(seconds)]
    assert times[0] == 0 and 2 <= len(times) <= 7 and times[-1] <= seconds
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert steps == pytest.approx([steps[0]] * len(steps))
    # The step is a round part or a multiple of a minute and of an hour: no tick at 0:13 or 0:37.
    assert any(unit / steps[0] == pytest.approx(round(unit / steps[0])) for unit in (1.0, 60.0, 3_600.0)) or (
        steps[0] % 3_600 == 0
    )
    assert times[-1] + steps[0] > seconds - 1e-9  # up to the end of the axis


@given(st.floats(0.005, 200_000.0))
def test_labels_tell_their_times(seconds):
    for tick in ticks(seconds):
        assert read(tick.label) == pytest.approx(tick.seconds, abs=1e-9)


def read(label: str) -> float:
    """Parses 0.05 s, 2:05 or 1:05:00 to seconds."""
    if label.endswith(" s"):
        return float(label.removesuffix(" s"))
    total = 0.0
    for number in label.split(":"):
        total = 60 * total + int(number)
    return total


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.2, ["0.00 s", "0.05 s", "0.10 s", "0.15 s", "0.20 s"]),
        (30, ["0:00", "0:05", "0:10", "0:15", "0:20", "0:25", "0:30"]),
        (7_200, ["0:00", "30:00", "1:00:00", "1:30:00", "2:00:00"]),
    ],
)
def test_short_and_long_recordings(seconds, labels):
    assert [tick.label for tick in ticks(seconds)] == labels


@given(st.integers(0, 400_000))
def test_a_clock_has_two_digits_behind_each_colon(seconds):
    assert read(clock(seconds)) == seconds and re.fullmatch(r"\d+(:\d\d){1,2}", clock(seconds))
    assert clock(seconds + 0.99) == clock(seconds)


def test_a_short_length_is_in_seconds():
    assert [length(seconds) for seconds in (0.2, 3.04, 12.0, 3_900.0)] == ["0.2 s", "3 s", "0:12", "1:05:00"]

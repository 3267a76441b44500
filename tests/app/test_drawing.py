"""The song over time, read back from its HTML."""

import base64
import re

import numpy as np
import pytest

from genreclf.app import drawing
from genreclf.frontend.clip import Clip
from genreclf.frontend.log_mel import FRAME_RATE_HZ, N_BANDS
from genreclf.frontend.picture import read_picture
from genreclf.inference.analysis import Analysis
from genreclf.inference.predictor import Prediction, Segment

CLASSES = ("blues", "<i>", "rock")
FRAMES = 400
SECONDS = FRAMES / FRAME_RATE_HZ
# Two parts that overlap: the border lies in the middle between 100 and 300.
PARTS = ((0, 200, (0.8, 0.1, 0.1)), (200, 400, (0.2, 0.5, 0.3)))


@pytest.fixture
def analysis() -> Analysis:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (N_BANDS, FRAMES), np.uint8)
    parts = tuple(Segment(begin / FRAME_RATE_HZ, end / FRAME_RATE_HZ, shares) for begin, end, shares in PARTS)
    attention = np.repeat([1.0, 2.0, 0.5, 4.0], FRAMES // 4)
    prediction = Prediction("blues", 0.5, (0.5, 0.3, 0.2), parts, SECONDS, "", attention, np.zeros(4, np.float32))
    return Analysis(Clip(levels, FRAMES, 22_050, SECONDS, ""), prediction, b"", "")


def test_the_spectrogram_holds_the_clips_levels(analysis, tmp_path):
    shown = drawing.song([analysis], ["a"], [CLASSES], "a song")
    (tmp_path / "seen.png").write_bytes(base64.b64decode(re.search('base64,([^"]+)', shown)[1]))
    assert np.array_equal(read_picture(tmp_path / "seen.png").levels, analysis.clip.levels)


def test_each_part_has_its_genres_colour_and_place(analysis):
    shown = drawing.song([analysis], ["a"], [CLASSES], "a song")
    parts = re.findall(r"left:([\d.]+)%;width:([\d.]+)%;height:100%;background:(#\w+);opacity:([\d.]+)", shown)
    colour = drawing.colours(CLASSES)
    assert parts == [("0", "50", colour["blues"], "0.85"), ("50", "50", colour["<i>"], "0.62")]
    assert "&lt;i&gt;" in shown and "<i>" not in shown and "rock" not in shown  # the legend has what is shown


@pytest.mark.parametrize("seconds", [0.02, 3.0, 59.9, 3_600.0, 90_000.0])
def test_the_times_are_few_and_lie_where_they_belong(seconds):
    shown = drawing._times(seconds)
    ticks = re.findall(r"left:([\d.]+)%;[^>]*>(\d+):(\d\d)<", shown)
    assert 1 <= len(ticks) <= 7
    for share, minutes, rest in ticks:
        assert float(share) / 100 * seconds == pytest.approx(60 * int(minutes) + int(rest), abs=seconds / 1e4)


def test_the_attention_is_drawn_within_its_part(analysis):
    shown = drawing.attention(analysis, analysis.prediction.segments[1])
    corners = np.array(re.findall(r"([\d.]+)% ([\d.]+)%", shown), float) / 100
    assert corners[:, 0].min() == 0.5 and corners[:, 0].max() == 1
    heights = np.interp([0.6, 0.9], corners[1:-1, 0], 1 - corners[1:-1, 1])
    assert heights == pytest.approx([0.5 / 4, 1])  # of the highest

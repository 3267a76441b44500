"""The data that the player draws for a song."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genreclf.app.colours import colours
from genreclf.app.timeline import spectrogram_png, timeline
from genreclf.frontend.clip import Clip
from genreclf.frontend.log_mel import FRAME_RATE_HZ, N_BANDS
from genreclf.frontend.picture import read_picture
from genreclf.inference.analysis import Analysis
from genreclf.inference.predictor import Prediction, Segment

CLASSES = ("blues", "<i>\u202e", "rock")
FRAMES = 400
SECONDS = FRAMES / FRAME_RATE_HZ
# Two overlapping parts: the border is in the middle between 100 and 300.
PARTS = ((0, 240, (0.8, 0.1, 0.1)), (160, 400, (0.2, 0.5, 0.3)))


def analysis(parts=PARTS, frames: int = FRAMES) -> Analysis:
    levels = np.random.default_rng(0).integers(0, 256, (N_BANDS, frames), np.uint8)
    segments = tuple(Segment(begin / FRAME_RATE_HZ, end / FRAME_RATE_HZ, shares, ()) for begin, end, shares in parts)
    attention = np.repeat([1.0, 2.0, 0.5, 4.0], -(-frames // 4))[:frames]
    seconds = frames / FRAME_RATE_HZ
    prediction = Prediction(("blues",), 0.5, (0.5, 0.3, 0.2), segments, seconds, "", attention, np.zeros(4, np.float32))
    return Analysis(Clip(levels, frames, 22_050, seconds, ""), prediction, b"")


def drawn(*analyses: Analysis, classes=CLASSES) -> dict:
    """Returns the data as they arrive in the browser."""
    names = ["a", "b"][: len(analyses)]
    return json.loads(json.dumps(timeline(analyses, names, [classes] * len(analyses))))


def test_parts_meet_in_the_middle_of_their_overlap():
    (model,) = drawn(analysis())["models"]
    first, second = model["parts"]
    edges = [part[edge] * FRAME_RATE_HZ for part in (first, second) for edge in ("left", "right", "start", "end")]
    assert edges == pytest.approx([0, 200, 0, 240, 200, 400, 160, 400])
    assert (first["probability"], second["probability"]) == (0.8, 0.5)


def test_the_legend_has_exactly_the_genres_of_all_strips():
    other = analysis(((0, 400, (0.1, 0.2, 0.7)),))
    data = drawn(analysis(), other)
    assert [genre["name"] for genre in data["genres"]] == ["blues", r"<i>\u202e", "rock"]
    shown = [[data["genres"][part["genre"]]["name"] for part in model["parts"]] for model in data["models"]]
    assert shown == [["blues", r"<i>\u202e"], ["rock"]]
    assert [genre["colour"] for genre in data["genres"]] == list(colours(CLASSES).values())
    assert [genre["name"] for genre in drawn(other)["genres"]] == ["rock"]


def test_a_song_without_parts_has_its_spectrogram_and_axis_only():
    empty = analysis(())
    data = drawn(replace(empty, prediction=replace(empty.prediction, attention=None)))
    assert data["models"] == [{"name": "a", "parts": []}] and data["genres"] == data["attention"] == []
    assert data["seconds"] == SECONDS and data["ticks"] and data["description"]


@given(st.integers(1, 9_000))
def test_the_attention_keeps_its_peaks_at_their_places(frames):
    attention = timeline([analysis(frames=frames)], ["a"], [CLASSES])["attention"]
    assert len(attention) == min(frames, 2_000)
    expected = analysis(frames=frames).prediction.attention
    assert expected is not None
    for place, value in enumerate(attention):  # for the frames that the value covers
        first, end = (int(edge * frames / len(attention)) for edge in (place, place + 1))
        assert value == pytest.approx(100 * expected[first : max(end, first + 1)].max())


def test_the_description_is_short_whatever_the_genres_are_called():
    assert drawn(analysis())["description"].endswith(r"2 parts: blues in 1, <i>\u202e in 1")
    long = drawn(analysis(), classes=("b" * 300, "c", "d"))["description"]
    assert len(long) < 300 and "2 parts" in long and "2 genres" in long


@pytest.mark.parametrize("frames", [1, FRAMES])
def test_the_spectrogram_holds_the_clips_levels(frames, tmp_path):
    levels = analysis(frames=frames).clip.levels
    (tmp_path / "seen.png").write_bytes(spectrogram_png(levels))
    assert np.array_equal(read_picture(tmp_path / "seen.png").levels, levels)


def test_the_spectrogram_of_hours_is_no_wider_than_a_screen(tmp_path):
    (tmp_path / "seen.png").write_bytes(spectrogram_png(np.zeros((N_BANDS, 300_000), np.uint8)))
    assert read_picture(tmp_path / "seen.png").levels.shape[1] <= 2_000

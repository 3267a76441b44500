"""The segments of a clip, the columns that they show, and the way back to the clip's time."""

import dataclasses
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from genreclf.config import build, config_folder
from genreclf.errors import GenreclfError
from genreclf.frontend.clip import Clip
from genreclf.frontend.segments import (
    SEGMENT_COLUMNS,
    Segmentation,
    ViewConfig,
    column_index,
    downsample_index,
    mean_by_clip,
    paste,
    segment_clip,
    spans,
    trim_silence,
)


def read_view(name: str) -> ViewConfig:
    return build(ViewConfig, OmegaConf.to_container(OmegaConf.load(config_folder() / "view" / f"{name}.yaml")), "view")


WHOLE, CROP = read_view("whole"), read_view("crop")


@st.composite
def random_view(draw) -> ViewConfig:
    segment_frames = draw(st.integers(1, 2_000))
    hop_frames = draw(st.integers(1, segment_frames))
    return ViewConfig("any", segment_frames, hop_frames, draw(st.sampled_from([0.0, 0.05, 0.1, 0.5])))


any_view = st.one_of(st.sampled_from([WHOLE, CROP]), random_view())


def index_of(columns: int, frames: int, span: tuple[int, int]) -> np.ndarray:
    """Returns the columns that one segment shows: (256,)."""
    return column_index(columns, frames, np.array([span]))[0]


def random_levels(columns: int) -> np.ndarray:
    return np.random.default_rng(columns).integers(0, 256, (128, columns), np.uint8)


def test_the_views_last_as_long_as_documented():
    assert (WHOLE.segment_frames, CROP.segment_frames) == (1_292, SEGMENT_COLUMNS)
    assert CROP.segment_frames * 512 / 22_050 == pytest.approx(5.94, abs=0.005)
    assert WHOLE.segment_frames * 512 / 22_050 == pytest.approx(30, abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [{"segment_frames": 0}, {"hop_frames": 0}, {"hop_frames": 257}, {"tolerance": -0.1}, {"tolerance": 1.0}],
)
def test_views_that_would_leave_gaps_are_refused(wrong):
    (key,) = wrong
    with pytest.raises(GenreclfError, match=f"^view\\.{key}="):
        dataclasses.replace(CROP, **wrong)


# --- Which part of a clip ---------------------------------------------------------------------------------------------


@given(st.integers(0, 40), st.integers(1, 300), st.integers(0, 40), st.sampled_from([1.0, 2.0, 3.34, 0.5]))
def test_only_silence_at_the_ends_is_trimmed(before, sounding, after, frames_per_column):
    levels = np.zeros((128, before + sounding + after), np.uint8)
    levels[5, [before, before + sounding - 1]] = 1  # silence in between stays
    frames = max(1, round(levels.shape[1] * frames_per_column))
    first, columns, start, length = trim_silence(levels, frames)
    assert (first, columns) == (before, sounding)
    assert 0 <= start < start + length <= max(frames, start + 1)
    step = frames / levels.shape[1]
    assert abs(start - before * step) < 1
    assert abs(length - sounding * step) <= max(1, step)
    if not before and not after:
        assert (start, length) == (0, frames)


def test_a_silent_clip_stays_whole():
    assert trim_silence(np.zeros((128, 50), np.uint8), 167) == (0, 50, 0, 167)


# --- Which segments ---------------------------------------------------------------------------------------------------


@given(st.integers(1, 20_000), any_view)
def test_spans_cover_the_clip_in_order_of_time(frames, view):
    found = spans(frames, view)
    starts, lengths = zip(*found, strict=True)
    assert starts[0] == 0
    assert all(0 < later - start <= view.hop_frames for start, later in pairwise(starts))
    assert len(set(lengths)) == 1
    if abs(frames - view.segment_frames) <= view.tolerance * view.segment_frames:
        assert found == [(0, frames)]
    elif frames < view.segment_frames:
        assert found == [(0, view.segment_frames)]
    else:
        assert lengths[0] == view.segment_frames
        assert starts[-1] + lengths[-1] == frames
        # One segment fewer would leave a distance between starts that is larger than the hop.
        assert (len(found) - 2) * view.hop_frames < frames - view.segment_frames


@pytest.mark.parametrize(
    ("view", "frames", "expected"),
    [
        (WHOLE, 1, [(0, 1_292)]),
        (WHOLE, 1_162, [(0, 1_292)]),
        (WHOLE, 1_163, [(0, 1_163)]),  # 27.0 s
        (WHOLE, 1_292, [(0, 1_292)]),
        (WHOLE, 1_293, [(0, 1_293)]),  # a GTZAN clip
        (WHOLE, 1_421, [(0, 1_421)]),  # 33.0 s
        (WHOLE, 1_422, [(0, 1_292), (130, 1_292)]),
        (WHOLE, 2_584, [(0, 1_292), (646, 1_292), (1_292, 1_292)]),
        (CROP, 100, [(0, 256)]),
        (CROP, 256, [(0, 256)]),
        (CROP, 257, [(0, 256), (1, 256)]),
        (CROP, 384, [(0, 256), (128, 256)]),
        (CROP, 385, [(0, 256), (64, 256), (129, 256)]),
    ],
)
def test_spans_of_the_configured_views(view, frames, expected):
    assert spans(frames, view) == expected


# --- Which columns ----------------------------------------------------------------------------------------------------


def exact_index(columns: int, frames: int, start: int, length: int) -> list[int]:
    """Segment column j is centred (2 j + 1) / 512 along the span; the stored column k is 1 / columns of the clip."""
    index = []
    for j in range(256):
        time = start + Fraction(2 * j + 1, 512) * length  # in frames
        time -= floor(time / frames) * frames  # past its end the clip repeats
        index.append(floor(time / frames * columns))
    return index


@given(
    st.integers(1, 3_000),
    st.integers(1, 400_000),
    st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 3_000)), min_size=1, max_size=3),
)
def test_column_index_is_that_of_exact_fractions(columns, frames, segment_spans):
    index = column_index(columns, frames, np.array(segment_spans))
    assert index.dtype == np.int64
    assert index.tolist() == [exact_index(columns, frames, *span) for span in segment_spans]


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 900)), min_size=1, max_size=4), any_view)
def test_column_index_takes_segments_of_several_clips(clips, view):
    last = [spans(frames, view)[-1] for _, frames in clips]
    columns, frames = np.array(clips).T[..., None]  # (N, 1) each
    expected = [index_of(*clip, span) for clip, span in zip(clips, last, strict=True)]
    np.testing.assert_array_equal(column_index(columns, frames, np.array(last)), expected)


@given(st.integers(1, 4_000))
def test_crop_shows_consecutive_frames_and_repeats_short_clips(frames):
    for start, length in spans(frames, CROP):
        expected = [column % frames for column in range(start, start + 256)]
        assert index_of(frames, frames, (start, length)).tolist() == expected


def shown_frames(kept: np.ndarray, frames: int, span: tuple[int, int]) -> np.ndarray:
    """Returns the frames that a segment shows of a clip that is stored only as the frames `kept`."""
    return kept[index_of(len(kept), frames, span)]


@given(st.integers(1, 3_000), st.integers(1, 12), st.data())
def test_every_kth_column_gives_the_same_segments_to_less_than_k_frames(frames, step, data):
    phase = data.draw(st.integers(0, min(step, frames) - 1))
    view = data.draw(any_view)
    for span in spans(frames, view)[:4]:
        full = shown_frames(np.arange(frames), frames, span)
        downsampled = shown_frames(np.arange(frames)[phase::step], frames, span)
        assert np.abs(full - downsampled).max() <= step - 1


@given(st.integers(1, 3_000), st.data())
def test_any_stored_columns_are_off_by_one_column_at_most(frames, data):
    """If n frames are stored as m columns, and column k is any frame in its part, the error is at most ceil(n / m)."""
    columns = data.draw(st.integers(1, frames))
    view = data.draw(any_view)
    rng = np.random.default_rng(data.draw(st.integers(0, 1_000)))
    k = np.arange(columns)
    first, last = k * frames // columns, -(-(k + 1) * frames // columns) - 1
    kept = rng.integers(first, last + 1)
    for span in spans(frames, view)[:4]:
        full = shown_frames(np.arange(frames), frames, span)
        assert np.abs(full - shown_frames(kept, frames, span)).max() <= ceil(frames / columns)


def test_a_clip_and_its_picture_of_387_columns_give_the_same_whole_segment():
    """A picture's length is only known as 30 s, which are 1,292 frames, while the clip has 1,293."""
    middle = ((np.arange(387) + 0.5) * 1_293 / 387).astype(int)
    audio = shown_frames(np.arange(1_293), 1_293, spans(1_293, WHOLE)[0])
    picture = shown_frames(middle, 1_292, spans(1_292, WHOLE)[0])
    assert np.abs(audio - picture).max() <= 2  # of 3.34 frames a column


@given(st.integers(1, 3_000), st.integers(1, 3_000), st.floats(0.1, 4_000))
def test_downsampling_keeps_the_columns_at_the_centres_of_its_steps(columns, frames, frames_per_column):
    kept = downsample_index(columns, frames, frames_per_column).tolist()
    if frames / columns >= frames_per_column:
        assert kept == list(range(columns))
        return
    assert kept == sorted(set(kept)) and min(kept) >= 0 and max(kept) < columns
    largest = max(frames_per_column / 2 * 1.0001, frames_per_column - frames)
    assert abs(len(kept) * frames_per_column - frames) <= largest
    for k, column in enumerate(kept[:-1]):
        assert abs((column + 0.5) * frames / columns - (k + 0.5) * frames_per_column) <= 0.5001 * frames / columns


def test_audio_downsampled_like_a_picture_equals_the_picture():
    levels = random_levels(1_293)
    picture = levels[:, ((np.arange(387) + 0.5) * 1_293 / 387).astype(int)]
    np.testing.assert_array_equal(levels[:, downsample_index(1_293, 1_293, 1_293 / 387)], picture)
    np.testing.assert_array_equal(downsample_index(387, 1_293, 1_293 / 387), np.arange(387))


# --- A clip's segments, and back --------------------------------------------------------------------------------------


@given(st.integers(1, 500), st.sampled_from([1.0, 3.34]), any_view, st.integers(1, 9))
def test_segments_show_the_trimmed_and_downsampled_clip(columns, frames_per_column, view, batch_size):
    levels = random_levels(columns)
    levels[:, :7] = 0
    found = segment_clip(Clip(levels, columns, 22_050, 1.0, ""), view, frames_per_column)
    first, count, start, frames = trim_silence(levels, columns)
    kept = levels[:, first + downsample_index(count, frames, frames_per_column)]
    assert (found.start, found.frames, found.spans) == (start, frames, spans(frames, view))
    batches = list(found.segments(batch_size))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    segments = np.concatenate(batches)
    assert segments.shape == (len(found.spans), 128, 256) and segments.dtype == np.uint8
    for segment, span in list(zip(segments, found.spans, strict=True))[:40]:
        np.testing.assert_array_equal(segment, kept[:, index_of(kept.shape[1], frames, span)])


@settings(max_examples=25)
@given(st.integers(1, 1_200))
def test_crop_segments_paste_back_to_the_spectrogram_exactly(frames):
    levels = random_levels(frames)
    whole = Segmentation(levels, 0, frames, spans(frames, CROP))
    pasted = paste(np.concatenate(list(whole.segments(3))), whole.spans, frames)
    np.testing.assert_array_equal(pasted, levels)


@given(st.integers(1, 4_000), any_view)
def test_pasted_values_lie_where_their_columns_came_from(frames, view):
    """If each column's value is its time, the pasted value of a frame is its time within half a column and frame."""
    places = spans(frames, view)
    times = np.stack([start + (np.arange(256) + 0.5) * length / 256 for start, length in places])
    pasted = paste(times[:, None], places, frames)
    assert pasted.shape == (1, frames)
    assert np.abs(pasted[0] - (np.arange(frames) + 0.5)).max() <= places[0][1] / 512 + 1e-9


def test_overlapping_segments_are_averaged():
    values = np.repeat([[1.0], [3.0]], 256, axis=1)
    pasted = paste(values, [(0, 256), (128, 256)], 384)
    assert pasted.tolist() == [1.0] * 128 + [2.0] * 128 + [3.0] * 128


def test_paste_refuses_a_wrong_number_of_segments():
    two = np.zeros((2, 256))
    with pytest.raises(ValueError, match="shorter"):
        paste(two, [(0, 256)], 256)


def test_a_clips_probabilities_are_the_mean_of_its_segments_in_any_order():
    probabilities = np.array([[0.2, 0.8], [1.0, 0.0], [0.4, 0.6], [0.6, 0.4]], np.float32)
    means, numbers = mean_by_clip(probabilities, np.array([7, 3, 7, 7]))
    assert numbers.tolist() == [3, 7]
    np.testing.assert_allclose(means, [[1.0, 0.0], [0.4, 0.6]], atol=1e-7)

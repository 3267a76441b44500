import dataclasses
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from genreclf.config import build, config_folder
from genreclf.errors import GenreclfError
from genreclf.exporters.torch_segments import (
    column_index,
    cut,
    downsample_index,
    random_span,
    trim_silence,
)
from genreclf.frontend.segments import SEGMENT_COLUMNS, ViewConfig, spans


def read_view(name: str) -> ViewConfig:
    return build(ViewConfig, OmegaConf.to_container(OmegaConf.load(config_folder() / "view" / f"{name}.yaml")), "view")


WHOLE, CROP = read_view("whole"), read_view("crop")
VIEWS = {"whole": WHOLE, "crop": CROP}


@st.composite
def any_view(draw) -> ViewConfig:
    segment_frames = draw(st.integers(1, 2_000))
    hop_frames = draw(st.integers(1, segment_frames))
    return ViewConfig("any", segment_frames, hop_frames, draw(st.sampled_from([0.0, 0.05, 0.1, 0.5])))


some_view = st.one_of(st.sampled_from([WHOLE, CROP]), any_view())


def index_of(columns: int, frames: int, span: tuple[int, int]) -> torch.Tensor:
    """(256,): the columns that one segment shows."""
    return column_index(*(torch.tensor([number]) for number in (columns, frames, *span)))[0]


def segments_of(levels: np.ndarray, frames: int, view: ViewConfig) -> torch.Tensor:
    """(S, 128, 256): all segments of one clip, cut one by one."""
    clip = torch.from_numpy(levels)[None]
    return torch.cat([cut(clip, index_of(levels.shape[1], frames, span)[None]) for span in spans(frames, view)])


def random_levels(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (128, frames), np.uint8)


def test_the_views_are_those_of_the_design():
    assert (WHOLE.segment_frames, CROP.segment_frames) == (1_292, SEGMENT_COLUMNS)
    assert CROP.segment_frames * 512 / 22_050 == pytest.approx(5.94, abs=0.005)
    assert WHOLE.segment_frames * 512 / 22_050 == pytest.approx(30, abs=0.01)


# --- Which part of a clip ---------------------------------------------------------------------------------------------


@given(st.integers(0, 40), st.integers(1, 300), st.integers(0, 40), st.sampled_from([1.0, 2.0, 3.34, 0.5]))
def test_silence_at_the_ends_is_left_out_and_nothing_else(before, heard, after, frames_per_column):
    levels = torch.zeros(128, before + heard + after, dtype=torch.uint8)
    levels[5, [before, before + heard - 1]] = 1  # what is quiet in between stays
    frames = max(1, round(levels.shape[1] * frames_per_column))
    first, columns, start, length = trim_silence(levels, frames)
    assert (first, columns) == (before, heard)
    assert 0 <= start < start + length <= max(frames, start + 1)
    step = frames / levels.shape[1]
    assert abs(start - before * step) < 1
    assert abs(length - heard * step) <= max(1, step)
    if not before and not after:
        assert (start, length) == (0, frames)


def test_a_silent_clip_is_left_whole():
    assert trim_silence(torch.zeros(128, 50, dtype=torch.uint8), 167) == (0, 50, 0, 167)


# --- Which segments ---------------------------------------------------------------------------------------------------


@given(st.integers(1, 20_000), some_view)
def test_spans_cover_the_clip_in_order_of_time(frames, view):
    found = spans(frames, view)
    starts, lengths = zip(*found, strict=True)
    assert starts[0] == 0
    assert all(0 < later - start <= view.hop_frames for start, later in pairwise(starts))
    assert len(set(lengths)) == 1
    end = starts[-1] + lengths[-1]
    if abs(frames - view.segment_frames) <= view.tolerance * view.segment_frames:
        assert found == [(0, frames)]
    elif frames < view.segment_frames:
        assert found == [(0, view.segment_frames)]
    else:
        assert lengths[0] == view.segment_frames
        assert end == frames
        # One segment fewer would leave a gap between starts that is wider than the hop.
        assert (len(found) - 2) * view.hop_frames < frames - view.segment_frames


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (1, [(0, 1_292)]),
        (1_162, [(0, 1_292)]),
        (1_163, [(0, 1_163)]),  # 27.0 s
        (1_292, [(0, 1_292)]),
        (1_293, [(0, 1_293)]),  # a GTZAN clip
        (1_421, [(0, 1_421)]),  # 33.0 s
        (1_422, [(0, 1_292), (130, 1_292)]),
        (2_584, [(0, 1_292), (646, 1_292), (1_292, 1_292)]),
    ],
)
def test_whole_by_hand(frames, expected):
    assert spans(frames, WHOLE) == expected


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (100, [(0, 256)]),
        (256, [(0, 256)]),
        (257, [(0, 256), (1, 256)]),
        (384, [(0, 256), (128, 256)]),
        (385, [(0, 256), (64, 256), (129, 256)]),
    ],
)
def test_crop_by_hand(frames, expected):
    assert spans(frames, CROP) == expected


@given(st.integers(1, 5_000), some_view)
def test_random_spans_lie_inside_the_clip(frames, view):
    (_, length), *_ = spans(frames, view)
    for _ in range(5):
        start, drawn = random_span(frames, view, 0.0)
        assert drawn == length
        assert 0 <= start <= max(0, frames - length)


@given(st.integers(1, 3_000), st.sampled_from([0.1, 0.25, 1.0]))
def test_stretched_spans_lie_inside_the_clip_and_within_the_stretch(frames, stretch):
    torch.manual_seed(frames)
    for _ in range(20):
        start, length = random_span(frames, CROP, stretch)
        if frames <= 256:
            assert (start, length) == (0, 256)
        else:
            assert 0 <= start <= frames - length
            assert 256 / (1 + stretch) - 1 <= length <= min(frames, 256 * (1 + stretch) + 1)


def test_stretches_are_as_often_slower_as_faster():
    torch.manual_seed(0)
    lengths = [random_span(1_293, CROP, 0.25)[1] for _ in range(1_000)]
    assert 0.45 < sum(length > 256 for length in lengths) / 1_000 < 0.55
    assert min(lengths) < 215 and max(lengths) > 310


def test_random_spans_reach_every_place_and_follow_the_seed():
    torch.manual_seed(0)
    drawn = [random_span(259, CROP, 0.0) for _ in range(100)]
    assert {start for start, _ in drawn} == {0, 1, 2, 3}
    torch.manual_seed(0)
    assert drawn == [random_span(259, CROP, 0.0) for _ in range(100)]


@pytest.mark.parametrize(
    "wrong",
    [{"segment_frames": 0}, {"hop_frames": 0}, {"hop_frames": 257}, {"tolerance": -0.1}, {"tolerance": 1.0}],
)
def test_views_that_would_leave_gaps_are_refused(wrong):
    (key,) = wrong
    with pytest.raises(GenreclfError, match=f"^view\\.{key}="):
        dataclasses.replace(CROP, **wrong)


# --- Which columns ----------------------------------------------------------------------------------------------------


def slow_index(columns: int, frames: int, start: int, length: int) -> list[int]:
    """Segment column j is centred (2 j + 1) / 512 along the span; the stored column k is 1 / columns of the clip."""
    index = []
    for j in range(256):
        time = start + Fraction(2 * j + 1, 512) * length  # in frames
        time -= floor(time / frames) * frames  # past its end the clip begins again
        index.append(floor(time / frames * columns))
    return index


numbers = st.tuples(st.integers(1, 3_000), st.integers(1, 400_000), st.integers(0, 400_000), st.integers(1, 3_000))


@given(st.lists(numbers, min_size=1, max_size=3))
def test_column_index_is_that_of_exact_fractions(batch):
    columns, frames, start, length = torch.tensor(batch).unbind(1)
    index = column_index(columns, frames, start, length)
    assert index.dtype == torch.int64
    assert index.tolist() == [slow_index(*row) for row in batch]


@given(st.integers(1, 2_000), some_view)
def test_column_index_is_that_of_float64_on_what_the_views_ask(frames, view):
    for start, length in spans(frames, view):
        time = start + (np.arange(256) + 0.5) * length / 256
        expected = np.floor(time + 1e-9).astype(int) % frames
        np.testing.assert_array_equal(index_of(frames, frames, (start, length)).numpy(), expected)


@given(st.integers(256, 4_000))
def test_crop_shows_256_consecutive_frames(frames):
    for start, length in spans(frames, CROP):
        assert index_of(frames, frames, (start, length)).tolist() == list(range(start, start + 256))


@given(st.integers(1, 255))
def test_shorter_clips_repeat(frames):
    ((start, length),) = spans(frames, CROP)
    assert index_of(frames, frames, (start, length)).tolist() == [column % frames for column in range(256)]


@pytest.mark.parametrize(("frames", "columns"), [(1_163, 1_163), (1_293, 1_293), (1_421, 1_421), (1_292, 387)])
def test_whole_shows_the_clip_from_end_to_end(frames, columns):
    index = index_of(columns, frames, spans(frames, WHOLE)[0])
    steps = index.diff()
    assert 0 <= index[0] <= columns // 512 + 1
    assert columns - 1 - columns // 512 - 1 <= index[-1] < columns
    assert steps.min() >= columns // 256
    assert steps.max() <= ceil(columns / 256)


def shown_times(kept: np.ndarray, frames: int, span: tuple[int, int]) -> np.ndarray:
    """The frames that a segment of a thinned clip shows, when the clip keeps its frames `kept`."""
    return kept[index_of(len(kept), frames, span).numpy()]


@given(st.integers(1, 3_000), st.integers(1, 12), st.data())
def test_a_clip_and_every_kth_column_of_it_give_the_same_segments_to_less_than_k_frames(frames, step, data):
    phase = data.draw(st.integers(0, min(step, frames) - 1))
    view = data.draw(some_view)
    for span in spans(frames, view)[:4]:
        full = shown_times(np.arange(frames), frames, span)
        thinned = shown_times(np.arange(frames)[phase::step], frames, span)
        assert np.abs(full - thinned).max() <= step - 1


@given(st.integers(1, 3_000), st.data())
def test_any_thinning_costs_no_more_time_than_its_step(frames, data):
    """m columns on n frames, column k any frame that it covers a part of: off by n / m at most, rounded up."""
    columns = data.draw(st.integers(1, frames))
    view = data.draw(some_view)
    rng = np.random.default_rng(data.draw(st.integers(0, 1_000)))
    k = np.arange(columns)
    first, last = k * frames // columns, -(-(k + 1) * frames // columns) - 1
    kept = rng.integers(first, last + 1)
    for span in spans(frames, view)[:4]:
        full = shown_times(np.arange(frames), frames, span)
        assert np.abs(full - shown_times(kept, frames, span)).max() <= ceil(frames / columns)


def test_a_clip_and_its_picture_of_387_columns_give_the_same_whole_segment():
    """A picture's length is known from its 30 s alone: 1,292 frames, where the clip has 1,293."""
    middle = ((np.arange(387) + 0.5) * 1_293 / 387).astype(int)
    audio = shown_times(np.arange(1_293), 1_293, spans(1_293, WHOLE)[0])
    picture = shown_times(middle, 1_292, spans(1_292, WHOLE)[0])
    assert np.abs(audio - picture).max() <= 2  # of 3.34 frames a column


@given(st.integers(1, 3_000), st.integers(1, 3_000), st.floats(0.1, 4_000))
def test_thinning_leaves_the_columns_at_the_centres_of_its_steps(columns, frames, frames_per_column):
    kept = downsample_index(columns, frames, frames_per_column).tolist()
    if frames / columns >= frames_per_column:
        assert kept == list(range(columns))
        return
    assert kept == sorted(set(kept)) and min(kept) >= 0 and max(kept) < columns
    assert abs(len(kept) * frames_per_column - frames) <= max(
        frames_per_column / 2 * 1.0001, frames_per_column - frames
    )
    for k, column in enumerate(kept[:-1]):
        assert abs((column + 0.5) * frames / columns - (k + 0.5) * frames_per_column) <= 0.5001 * frames / columns


def test_audio_thinned_as_a_picture_was_gives_the_pictures_segments():
    levels = random_levels(1_293, 0)
    picture = levels[:, ((np.arange(387) + 0.5) * 1_293 / 387).astype(int)]
    thinned = levels[:, downsample_index(1_293, 1_293, 1_293 / 387)]
    np.testing.assert_array_equal(thinned, picture)
    np.testing.assert_array_equal(
        picture[:, downsample_index(387, 1_293, 1_293 / 387)], picture
    )  # and it stays as it is


# --- There and back ---------------------------------------------------------------------------------------------------


def test_cut_takes_the_columns_that_the_index_names():
    levels = torch.from_numpy(np.stack([random_levels(300, seed) for seed in range(3)]))
    index = torch.randint(0, 300, (3, 256), generator=torch.Generator().manual_seed(0))
    segments = cut(levels, index)
    assert segments.dtype == torch.uint8
    assert segments.shape == (3, 128, 256)
    for clip, row, column in [(0, 0, 0), (1, 127, 255), (2, 64, 100)]:
        assert segments[clip, row, column] == levels[clip, row, index[clip, column]]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=5), st.sampled_from(list(VIEWS)))
def test_a_batch_gives_what_its_clips_give_one_by_one(lengths, name):
    """Spectrograms of one batch are as wide as the widest; what stands behind a clip's end never shows."""
    view, lengths = VIEWS[name], [length + 1 for length in lengths]
    levels = [random_levels(frames, seed) for seed, frames in enumerate(lengths)]
    padded = np.full((len(levels), 128, max(lengths)), 77, np.uint8)
    for row, one in zip(padded, levels, strict=True):
        row[:, : one.shape[1]] = one
    start, length = torch.tensor([spans(frames, view)[-1] for frames in lengths]).unbind(1)
    columns = torch.tensor(lengths)
    batch = cut(torch.from_numpy(padded), column_index(columns, columns, start, length))
    for segment, one in zip(batch, levels, strict=True):
        assert torch.equal(segment, segments_of(one, one.shape[1], view)[-1])

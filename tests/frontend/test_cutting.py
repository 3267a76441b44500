"""Segments cut in NumPy: as `views` cuts them, and back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from genreclf.config import build, config_folder
from genreclf.exporters import torch_segments as views
from genreclf.frontend.clip import Clip
from genreclf.frontend.cutting import Segmentation, cutting, paste
from genreclf.frontend.segments import ViewConfig, spans

CROP = build(ViewConfig, OmegaConf.to_container(OmegaConf.load(config_folder() / "view" / "crop.yaml")), "view")


@st.composite
def some_view(draw) -> ViewConfig:
    segment_frames = draw(st.integers(1, 2_000))
    hop_frames = draw(st.integers(1, segment_frames))
    return ViewConfig("any", segment_frames, hop_frames, draw(st.sampled_from([0.0, 0.05, 0.1, 0.5])))


def random_levels(columns: int) -> np.ndarray:
    return np.random.default_rng(columns).integers(0, 256, (128, columns), np.uint8)


@settings(deadline=None)
@given(
    columns=st.integers(1, 500),
    frames_per_column=st.sampled_from([1.0, 3.34, 2.0, 0.7]),
    pauses=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    view=some_view(),
    known=st.sampled_from([1.0, 1.5, 3.34, 400.0]),
    at_once=st.integers(1, 9),
)
def test_segments_are_those_of_the_tensors(columns, frames_per_column, pauses, view, known, at_once):
    levels = random_levels(columns)
    levels[:, : pauses[0]] = 0
    levels[:, columns - min(columns, pauses[1]) :] = 0
    frames = max(1, round(columns * frames_per_column))
    found = cutting(Clip(levels, frames, 22_050, 1.0, ""), view, known)

    whole = torch.from_numpy(levels)
    first, count, start, length = views.trim_silence(whole, frames)
    thinned = whole[:, first : first + count][:, views.downsample_index(count, length, known)]
    assert (found.start, found.frames, found.spans) == (start, length, spans(length, view))
    shown = torch.tensor(found.spans[:40])
    sizes = torch.full((len(shown),), thinned.shape[1])
    index = views.column_index(sizes, torch.full_like(sizes, length), shown[:, 0], shown[:, 1])
    expected = views.cut(thinned.expand(len(shown), -1, -1), index)
    pieces = list(found.segments(at_once))
    assert all(len(piece) == at_once for piece in pieces[:-1])
    np.testing.assert_array_equal(np.concatenate(pieces)[:40], expected.numpy())


@settings(max_examples=25)
@given(st.integers(1, 1_200))
def test_crop_segments_paste_back_to_the_spectrogram_exactly(frames):
    levels = random_levels(frames)
    whole = Segmentation(levels, 0, frames, spans(frames, CROP))
    pasted = paste(np.concatenate(list(whole.segments(3))), whole.spans, frames)
    np.testing.assert_array_equal(pasted, levels)


@given(st.integers(1, 4_000), some_view())
def test_pasted_values_stand_where_their_columns_came_from(frames, view):
    """The time that each column shows, pasted, is the frame's own time to half a column and half a frame."""
    places = spans(frames, view)
    times = np.stack([start + (np.arange(256) + 0.5) * length / 256 for start, length in places])
    pasted = paste(times[:, None], places, frames)
    assert pasted.shape == (1, frames)
    own = np.arange(frames) + 0.5
    assert np.abs(pasted[0] - own).max() <= places[0][1] / 512 + 1e-9


def test_overlapping_segments_are_averaged():
    values = np.repeat([[1.0], [3.0]], 256, axis=1)
    pasted = paste(values, [(0, 256), (128, 256)], 384)
    assert pasted.tolist() == [1.0] * 128 + [2.0] * 128 + [3.0] * 128


def test_paste_refuses_a_number_of_segments_that_does_not_fit():
    two = np.zeros((2, 256))
    with pytest.raises(ValueError, match="shorter"):
        paste(two, [(0, 256)], 256)

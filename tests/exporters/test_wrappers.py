"""Compares the TorchScript segmentation and temperature of exported files with NumPy's, used everywhere else."""

import warnings

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from genreclf.exporters import wrappers
from genreclf.frontend import segments
from genreclf.inference.temperature import apply_temperature as of_sum_one
from genreclf.inference.temperature import apply_temperature_to_each as of_each
from genreclf.nets.activation import apply_temperature


def scripted(function):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(function)


@given(st.integers(0, 40), st.integers(0, 300), st.integers(0, 40), st.floats(0.3, 5))
def test_trim_silence_equals_numpys(before, sounding, after, frames_per_column):
    levels = np.zeros((128, max(1, before + sounding + after)), np.uint8)
    levels[3, before : before + sounding] = np.arange(sounding) % 3  # also silence in between
    frames = max(1, round(levels.shape[1] * frames_per_column))
    found = wrappers.trim_silence(torch.from_numpy(levels), frames)
    assert found == segments.trim_silence(levels, frames)


@given(st.integers(1, 3_000), st.integers(1, 3_000), st.floats(0.1, 4_000))
def test_downsample_index_equals_numpys(columns, frames, frames_per_column):
    found = wrappers.downsample_index(columns, frames, frames_per_column)
    assert found.dtype == torch.int64
    np.testing.assert_array_equal(found.numpy(), segments.downsample_index(columns, frames, frames_per_column))


@given(
    st.integers(1, 300_000),
    st.integers(1, 4_000_000),
    st.lists(st.tuples(st.integers(0, 4_000_000), st.integers(1, 4_000_000)), min_size=1, max_size=5),
)
def test_column_index_equals_numpys(columns, frames, spans):
    found = wrappers.column_index(columns, frames, torch.tensor(spans))
    assert found.dtype == torch.int64
    np.testing.assert_array_equal(found.numpy(), segments.column_index(columns, frames, np.array(spans)))


def test_torchscript_compiles_them_and_cover_to_the_same():
    """The exported WaveformModel contains `frontend.segments.cover` itself."""
    levels = np.random.default_rng(0).integers(0, 2, (128, 900), np.uint8)
    levels[:, :50] = levels[:, 800:] = 0
    found = scripted(wrappers.trim_silence)(torch.from_numpy(levels), 2_000)
    assert tuple(found) == segments.trim_silence(levels, 2_000)
    spans = segments.cover(2_000, 256, 128, 0.1)
    assert scripted(segments.cover)(2_000, 256, 128, 0.1) == spans
    index = scripted(wrappers.downsample_index)(900, 900, 3.34)
    np.testing.assert_array_equal(index.numpy(), segments.downsample_index(900, 900, 3.34))
    index = scripted(wrappers.column_index)(900, 2_000, torch.tensor(spans))
    np.testing.assert_array_equal(index.numpy(), segments.column_index(900, 2_000, np.array(spans)))


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 10)), elements=st.floats(0, 1)),
    st.floats(0.05, 20),
)
def test_the_temperature_equals_numpys(weights, temperature):
    for numpys, multilabel in ((of_sum_one, False), (of_each, True)):
        probabilities = weights if multilabel else (weights + 1e-9) / (weights + 1e-9).sum(1, keepdims=True)
        expected = numpys(probabilities, temperature)
        found = apply_temperature(torch.from_numpy(probabilities), temperature, multilabel)
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-9)
        found = apply_temperature(torch.from_numpy(probabilities).float(), temperature, multilabel)
        near_one = multilabel and probabilities.max() > 1 - 1e-3  # where float32 runs out of digits
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=5e-3 if near_one else 2e-5)


def test_certain_probabilities_stay_finite():
    certain = torch.eye(3)
    for temperature in (0.05, 20.0):
        for multilabel in (False, True):
            found = apply_temperature(certain, temperature, multilabel)
            assert torch.isfinite(found).all() and torch.equal(found.argmax(1), torch.arange(3))

"""The torch front end in exported models gives the same levels as the NumPy front end."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from signals import SIGNALS, assert_within_a_level

from genreclf.exporters.torch_log_mel import LogMelSpectrogram
from genreclf.frontend.log_mel import log_mel

FRONT_END = LogMelSpectrogram()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Uses one thread: more threads than free cores make this transform many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def torch_levels(samples: np.ndarray, front_end: LogMelSpectrogram = FRONT_END) -> np.ndarray:
    """(samples,) -> (128, frames) uint8 levels."""
    return front_end(torch.from_numpy(samples)[None])[0].numpy()


@pytest.mark.parametrize("name", SIGNALS)
def test_levels_equal_those_of_numpy(name):
    levels, expected = torch_levels(SIGNALS[name]), log_mel(SIGNALS[name])
    assert_within_a_level(levels, expected)
    assert (levels != expected).mean() < 1e-3


@given(st.integers(1, 40_000), st.integers(-60, 60))
def test_levels_equal_those_of_numpy_at_any_length_and_gain(samples, gain_db):
    waveform = SIGNALS["noise"][:samples] * np.float32(10 ** (gain_db / 20))
    assert_within_a_level(torch_levels(waveform), log_mel(waveform))


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-30])  # the square of 1e-30 underflows to 0
def test_silence_is_zero_everywhere(value):
    assert not torch_levels(np.full(5_000, value, np.float32)).any()


@pytest.mark.parametrize("power", [0.0, 1e-20, 1.0, 1e20])
def test_a_clip_without_contrast_is_zero_everywhere(power):
    front_end = LogMelSpectrogram()
    powers = torch.tensor([power, 1.0])[:, None, None]
    front_end._power = lambda frames: powers.expand(-1, frames.shape[1], 128)
    levels = front_end(torch.ones(2, 6 * 512))
    assert levels.shape == (2, 128, 7)
    assert not levels.any()


@given(st.integers(1, 40_000), st.integers(1, 90))
def test_the_number_of_frames_at_once_does_not_matter(samples, at_once):
    front_end = LogMelSpectrogram()
    front_end.frames_at_once = at_once
    waveform = SIGNALS["noise"][:samples]
    np.testing.assert_array_equal(torch_levels(waveform, front_end), torch_levels(waveform))


def test_a_clip_does_not_depend_on_its_batch():
    names = ("noise", "chirp", "clicks", "quiet sine", "loud then quiet")
    clips = [SIGNALS[name] for name in names]
    neighbours = [np.zeros_like(clips[0]), 1e9 * clips[0], np.full_like(clips[0], np.nan)]
    batch = FRONT_END(torch.from_numpy(np.stack([*clips, *neighbours])))
    for clip, levels in zip(clips, batch, strict=False):
        np.testing.assert_array_equal(levels.numpy(), torch_levels(clip))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_scripted_and_saved_it_gives_the_same_levels():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(FRONT_END), buffer)
    buffer.seek(0)
    loaded = torch.jit.load(buffer)
    for samples in (SIGNALS["chirp"], SIGNALS["one sample"], np.zeros(600, np.float32)):
        batch = torch.from_numpy(samples)[None]
        torch.testing.assert_close(loaded(batch), FRONT_END(batch), rtol=0, atol=0)

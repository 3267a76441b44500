import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from plain_librosa import load_librosa
from signals import RATE_HZ, SIGNALS, assert_within_a_level
from torchaudio.functional import melscale_fbanks

from genreclf.frontend import log_mel as module
from genreclf.frontend.audio import read_audio
from genreclf.frontend.log_mel import LogMel, log_mel, slaney_bands

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


# Triangles between neighbouring centres on Slaney's scale, each with the area 1 over Hz: (128, 1025)
SLANEY_BANK = melscale_fbanks(1025, 0.0, RATE_HZ / 2, 128, RATE_HZ, norm="slaney", mel_scale="slaney").numpy().T


def stretched(power: np.ndarray) -> np.ndarray:
    """Converts (128, frames) power to levels: dB relative to the maximum, floor at -80, minimum..maximum to 0..255."""
    if not power.max():
        return np.zeros(power.shape)
    decibels = 10 * np.log10(np.maximum(power / power.max(), 1e-8))
    span = decibels.max() - decibels.min()
    return np.rint((decibels - decibels.min()) / span * 255) if span else np.zeros(power.shape)


def numpy_levels(samples: np.ndarray) -> np.ndarray:
    """Computes the front end from its definition, in float64: (128, 1 + samples // 512)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    padded = np.concatenate([np.zeros(1024), samples.astype(np.float64), np.zeros(1024)])
    frames = [padded[start : start + 2048] * window for start in range(0, len(samples) + 1, 512)]
    return stretched(SLANEY_BANK @ np.abs(np.fft.rfft(np.array(frames)).T) ** 2)


def librosa_levels(samples: np.ndarray) -> np.ndarray:
    power = load_librosa().feature.melspectrogram(
        y=samples.astype(np.float64), sr=RATE_HZ, n_fft=2048, hop_length=512, n_mels=128, pad_mode="constant"
    )
    return stretched(power)


@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
@pytest.mark.parametrize("reference", [numpy_levels, librosa_levels])
@pytest.mark.parametrize("name", SIGNALS)
def test_agrees_with_independent_front_ends(name, reference):
    levels, expected = log_mel(SIGNALS[name]), reference(SIGNALS[name])
    assert_within_a_level(levels, expected)
    assert (levels != expected).mean() < 0.005  # only rounding ties
    assert (levels.min(), levels.max()) == (0, 255)


def test_bands_are_torchaudios():
    np.testing.assert_allclose(slaney_bands().T, SLANEY_BANK, atol=5e-7)  # weights reach 0.03


def test_band_groups_hold_every_weight_and_stay_in_one_thread():
    bands = np.zeros((128, 1025), np.float32)
    for rows, bins, weights in module._band_groups():
        bands[rows, bins] = weights
        assert weights.size * module._FRAMES_AT_ONCE < 2**18  # from there on, OpenBLAS starts threads, which spin
    np.testing.assert_array_equal(bands, slaney_bands().T)


@given(st.integers(1, 6_000))
def test_frames_are_counted_from_the_samples(samples):
    assert log_mel(np.ones(samples, np.float32)).shape == (128, 1 + samples // 512)


@given(st.integers(1, 66_000), st.integers(1, 90))
def test_the_number_of_frames_at_once_does_not_matter(samples, at_once):
    waveform = SIGNALS["noise"][:samples]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FRAMES_AT_ONCE", at_once)
        levels = log_mel(waveform)
    assert_within_a_level(levels, log_mel(waveform))  # BLAS sums in another order for another shape


@pytest.mark.parametrize("samples", [1, 300, 2_048, 22_050])
@pytest.mark.parametrize("value", [0.0, -0.0, 1e-30])  # the square of 1e-30 underflows to 0
def test_silence_is_zero_everywhere(samples, value):
    levels = log_mel(np.full(samples, value, np.float32))
    assert levels.dtype == np.uint8
    assert not levels.any()


@pytest.mark.parametrize("power", [0.0, 1e-20, 1.0, 1e20])
def test_a_clip_without_contrast_is_zero_everywhere(power, monkeypatch):
    def of_one_power(spectrogram, count):
        spectrogram._power.append(np.full((128, count), power, np.float32))
        spectrogram._frames += count

    monkeypatch.setattr(LogMel, "_transform", of_one_power)
    levels = log_mel(np.ones(6 * 512, np.float32))
    assert levels.shape == (128, 7)
    assert not levels.any()


@given(st.sampled_from(["noise", "chirp", "clicks", "quiet sine", "less than a window"]), st.integers(-25, 25))
def test_a_gain_of_a_power_of_two_changes_nothing(name, exponent):
    samples = SIGNALS[name][:8_000]
    np.testing.assert_array_equal(log_mel(samples * np.float32(2.0**exponent)), log_mel(samples))


@given(st.sampled_from(["noise", "chirp", "loud then quiet"]), st.floats(-140, 140))
def test_any_gain_changes_rounding_at_most(name, gain_db):
    samples = SIGNALS[name][:8_000]
    assert_within_a_level(log_mel(samples * np.float32(10 ** (gain_db / 20))), log_mel(samples))


def test_the_waveform_is_not_changed():
    samples = SIGNALS["noise"].copy()
    samples.setflags(write=False)
    log_mel(samples)
    np.testing.assert_array_equal(samples, SIGNALS["noise"])


@pytest.mark.parametrize("genre", GENRES)
def test_real_clips_agree_with_pictures_made_by_others(gtzan, genre):
    """In clips of 1,293 frames, picture column k is frame k of the list; in others, it is within 1 of that frame."""
    frames = np.loadtxt(gtzan / "frames.txt", dtype=int)
    clips = sorted((gtzan / "audio" / genre).glob("*.flac"))
    assert clips
    for path in clips:
        # Row 0 of a picture on disk is the highest band.
        picture = np.asarray(Image.open(gtzan / "pictures" / genre / f"{path.stem}.png").convert("L"))[::-1].astype(int)
        levels = log_mel(read_audio(path).waveform).astype(int)
        assert picture.shape == (128, 387) == (128, len(frames))
        assert agreement(picture, levels, frames) <= 1, path


def agreement(picture: np.ndarray, levels: np.ndarray, frames: np.ndarray) -> int:
    """Returns the largest difference, in levels, of a picture's columns from the clip's frames that they show."""
    count = levels.shape[1]
    if count == 1_293:
        return np.abs(picture - levels[:, frames]).max()
    place = frames * count / 1_293
    worst = 0
    for column, centre in enumerate(place):
        near = levels[:, max(0, int(np.ceil(centre - 1))) : int(centre + 1) + 1]  # (128, up to 3)
        worst = max(worst, np.abs(near - picture[:, [column]]).max(axis=0).min())
    return worst


@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=5))
def test_pieces_of_any_length_give_the_spectrogram_of_the_whole(lengths):
    samples = np.random.default_rng(0).normal(0, 0.1, sum(lengths)).astype(np.float32)
    spectrogram = LogMel()
    for piece in np.split(samples, np.cumsum(lengths)[:-1]):
        spectrogram.add(piece)
    np.testing.assert_array_equal(spectrogram.finished(), log_mel(samples))

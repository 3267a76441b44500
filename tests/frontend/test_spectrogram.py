import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchaudio.functional import melscale_fbanks

from genreclf.exporters.torch_log_mel import LogMelSpectrogram
from genreclf.frontend.audio import read_audio
from genreclf.frontend.log_mel import log_mel, slaney_bands

RATE_HZ = 22_050
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

FRONT_END = LogMelSpectrogram()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As the store reads clips: more threads than free cores make this transform many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def signals() -> dict[str, np.ndarray]:
    rng, time = np.random.default_rng(0), np.arange(3 * RATE_HZ) / RATE_HZ
    return {
        "noise": rng.normal(0, 0.1, len(time)),
        "chirp": 0.5 * np.sin(2 * np.pi * (30 * time + 1_800 * time**2)),
        "clicks": (np.arange(len(time)) % 7_001 == 500) * 0.9,
        "quiet sine": 1e-3 * np.sin(2 * np.pi * 440 * time),
        "constant": np.full(len(time), 0.25),
        "loud then quiet": rng.normal(0, 1, len(time)) * np.where(time < 1, 1, 1e-4),
        "one sample": np.array([0.5]),
        "less than a hop": rng.normal(0, 0.1, 511),
        "a hop": rng.normal(0, 0.1, 512),
        "less than a window": np.sin(2 * np.pi * 1_000 * time[:2_047]),
    }


SIGNALS = {name: samples.astype(np.float32) for name, samples in signals().items()}


def slaney_hz_to_mel(hz: float) -> float:
    """Slaney's Auditory Toolbox (1998): 3 mel for 200 Hz up to 1 kHz, then 27 mel for a factor of 6.4."""
    return hz * 3 / 200 if hz < 1_000 else 15 + 27 * np.log(hz / 1_000) / np.log(6.4)


def slaney_mel_to_hz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1_000 * 6.4 ** ((mel - 15) / 27)


def slaney_bank() -> np.ndarray:
    """(128, 1025): triangles between neighbouring centres, each of area 1 over Hz."""
    edges = [slaney_mel_to_hz(mel) for mel in np.linspace(0, slaney_hz_to_mel(RATE_HZ / 2), 130)]
    bins_hz = np.arange(1025) * RATE_HZ / 2048
    bank = np.zeros((128, 1025))
    for band, (low, centre, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for bin_number, hz in enumerate(bins_hz):
            if low < hz < high:
                height = (hz - low) / (centre - low) if hz <= centre else (high - hz) / (high - centre)
                bank[band, bin_number] = height * 2 / (high - low)
    return bank


SLANEY_BANK = slaney_bank()


def stretched(power: np.ndarray) -> np.ndarray:
    """(128, frames) power -> levels: dB against the maximum, floor at -80, then minimum..maximum on 0..255."""
    if not power.max():
        return np.zeros(power.shape)
    decibels = 10 * np.log10(np.maximum(power / power.max(), 1e-8))
    span = decibels.max() - decibels.min()
    return np.rint((decibels - decibels.min()) / span * 255) if span else np.zeros(power.shape)


def numpy_levels(samples: np.ndarray) -> np.ndarray:
    """The whole front end once more, in float64, from its definition: (128, 1 + samples // 512)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    padded = np.concatenate([np.zeros(1024), samples.astype(np.float64), np.zeros(1024)])
    frames = [padded[start : start + 2048] * window for start in range(0, len(samples) + 1, 512)]
    return stretched(SLANEY_BANK @ np.abs(np.fft.rfft(np.array(frames)).T) ** 2)


def librosa_levels(samples: np.ndarray) -> np.ndarray:
    import librosa  # only these tests pay for it: numba compiles half a minute on its first import

    power = librosa.feature.melspectrogram(
        y=samples.astype(np.float64), sr=RATE_HZ, n_fft=2048, hop_length=512, n_mels=128, pad_mode="constant"
    )
    return stretched(power)


def assert_within_a_level(levels: np.ndarray, expected: np.ndarray) -> None:
    assert levels.dtype == np.uint8
    assert levels.shape == expected.shape
    assert np.abs(levels.astype(int) - expected).max() <= 1


@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
@pytest.mark.parametrize("reference", [numpy_levels, librosa_levels])
@pytest.mark.parametrize("name", SIGNALS)
def test_agrees_with_independent_front_ends(name, reference):
    levels, expected = FRONT_END.levels(SIGNALS[name]), reference(SIGNALS[name])
    assert_within_a_level(levels, expected)
    assert (levels != expected).mean() < 0.005  # rounding ties alone
    assert (levels.min(), levels.max()) == (0, 255)


def test_filter_bank_is_slaneys():
    bank = FRONT_END.bands.numpy().T  # (1025, 128) -> (128, 1025)
    np.testing.assert_allclose(bank, SLANEY_BANK, rtol=0, atol=1e-6)  # of 0.03 at most: float32 frequencies


@given(st.integers(1, 6_000))
def test_frames_are_counted_from_the_samples(samples):
    levels = FRONT_END.levels(np.ones(samples, np.float32))
    assert levels.shape == (128, 1 + samples // 512)


@given(st.integers(1, 40_000), st.integers(1, 90))
def test_frames_transformed_piece_by_piece_are_those_of_one_go(samples, at_once):
    front_end = LogMelSpectrogram()
    front_end.frames_at_once = at_once
    waveform = SIGNALS["noise"][:samples]
    np.testing.assert_array_equal(front_end.levels(waveform), FRONT_END.levels(waveform))


@pytest.mark.parametrize("samples", [1, 300, 2_048, 22_050])
@pytest.mark.parametrize("value", [0.0, -0.0, 1e-30])  # the square of the last one is no number but 0
def test_silence_is_zero_everywhere(samples, value):
    levels = FRONT_END.levels(np.full(samples, value, np.float32))
    assert levels.dtype == np.uint8
    assert not levels.any()


@pytest.mark.parametrize("power", [0.0, 1e-20, 1.0, 1e20])
def test_a_clip_without_contrast_is_zero_everywhere(power):
    front_end = LogMelSpectrogram()
    powers = torch.tensor([power, 1.0])[:, None, None]
    front_end._power = lambda frames: powers.expand(-1, frames.shape[1], 128)
    levels = front_end(torch.ones(2, 6 * 512))
    assert levels.shape == (2, 128, 7)
    assert not levels.any()


@given(st.sampled_from(["noise", "chirp", "clicks", "quiet sine", "less than a window"]), st.integers(-25, 25))
def test_a_gain_of_a_power_of_two_changes_nothing(name, exponent):
    samples = SIGNALS[name][:8_000]
    np.testing.assert_array_equal(FRONT_END.levels(samples * np.float32(2.0**exponent)), FRONT_END.levels(samples))


@given(st.sampled_from(["noise", "chirp", "loud then quiet"]), st.floats(-140, 140))
def test_any_gain_changes_rounding_at_most(name, gain_db):
    samples = SIGNALS[name][:8_000]
    gained = FRONT_END.levels(samples * np.float32(10 ** (gain_db / 20)))
    assert_within_a_level(gained, FRONT_END.levels(samples))


def test_a_clip_does_not_depend_on_its_batch():
    names = ("noise", "chirp", "clicks", "quiet sine", "loud then quiet")
    clips = [SIGNALS[name] for name in names]
    neighbours = [np.zeros_like(clips[0]), 1e9 * clips[0], np.full_like(clips[0], np.nan)]
    batch = FRONT_END(torch.from_numpy(np.stack([*clips, *neighbours])))
    for clip, levels in zip(clips, batch, strict=False):
        np.testing.assert_array_equal(levels.numpy(), FRONT_END.levels(clip))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_scripts_and_answers_the_same_after_saving():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(FRONT_END), buffer)
    buffer.seek(0)
    loaded = torch.jit.load(buffer)
    for samples in (SIGNALS["chirp"], SIGNALS["one sample"], np.zeros(600, np.float32)):
        batch = torch.from_numpy(samples)[None]
        torch.testing.assert_close(loaded(batch), FRONT_END(batch), rtol=0, atol=0)


@pytest.mark.parametrize("genre", GENRES)
def test_real_clips_agree_with_pictures_made_by_others(gtzan, genre):
    """Of a clip of 1,293 frames, picture column k is frame k of the list; of others, a frame within 1 of its place."""
    frames = np.loadtxt(gtzan / "frames.txt", dtype=int)
    clips = sorted((gtzan / "audio" / genre).glob("*.flac"))
    assert clips
    for path in clips:
        # Row 0 of a picture on disk is the highest band.
        picture = np.asarray(Image.open(gtzan / "pictures" / genre / f"{path.stem}.png").convert("L"))[::-1].astype(int)
        levels = FRONT_END.levels(read_audio(path).waveform).astype(int)
        assert picture.shape == (128, 387) == (128, len(frames))
        assert agreement(picture, levels, frames) <= 1, path


def agreement(picture: np.ndarray, levels: np.ndarray, frames: np.ndarray) -> int:
    """The largest difference, in levels, of a picture's columns from the clip's frames that they show."""
    count = levels.shape[1]
    if count == 1_293:
        return np.abs(picture - levels[:, frames]).max()
    place = frames * count / 1_293
    worst = 0
    for column, centre in enumerate(place):
        near = levels[:, max(0, int(np.ceil(centre - 1))) : int(centre + 1) + 1]  # (128, up to 3)
        worst = max(worst, np.abs(near - picture[:, [column]]).max(axis=0).min())
    return worst


# --- The same in NumPy ------------------------------------------------------------------------------------------------


def test_bands_are_torchaudios():
    theirs = melscale_fbanks(1025, 0.0, RATE_HZ / 2, 128, RATE_HZ, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(slaney_bands(), theirs.numpy(), atol=5e-7)


@pytest.mark.parametrize("name", SIGNALS)
def test_numpys_levels_are_torchs(name):
    levels, expected = log_mel(SIGNALS[name]), FRONT_END.levels(SIGNALS[name])
    assert levels.dtype == np.uint8
    assert_within_a_level(levels, expected)
    assert (levels != expected).mean() < 1e-3


def test_numpys_silence_is_nought():
    assert not log_mel(np.zeros(5_000, np.float32)).any()

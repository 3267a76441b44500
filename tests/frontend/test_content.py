"""Clips without music are detected, and music never is: with synthetic sounds, and real music where it is available."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_sounds import music_like

from genreclf.frontend.clip import read_clip, read_upload, samples_clip
from genreclf.frontend.content import LevelMeter
from genreclf.frontend.picture import write_picture
from genreclf.frontend.samples import read_samples
from genreclf.frontend.spectrogram_content import unsuitable_levels

RATE_HZ = 22_050
TIME = np.arange(8 * RATE_HZ) / RATE_HZ
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=len(TIME))
HERTZ = np.fft.rfftfreq(len(TIME), 1 / RATE_HZ)
SINE = 0.5 * np.sin(2 * np.pi * 440 * TIME)

FADES = {
    "fades in": TIME / 8,
    "fades out": 1 - TIME / 8,
    "fades in and out": np.sin(np.pi * TIME / 8),
    "swells": 1 + 0.8 * np.sin(2 * np.pi * TIME / 4),
    "loses 40 dB": 10 ** (-TIME / 4),
}


def glide(from_hz: float, to_hz: float, seconds: float, times: int = 1) -> np.ndarray:
    """A repeated logarithmic sweep."""
    time, period, ratio = np.arange(round(seconds * RATE_HZ)) / RATE_HZ, seconds / times, to_hz / from_hz
    return 0.5 * np.sin(2 * np.pi * from_hz * period / np.log(ratio) * (ratio ** (time % period / period) - 1))


def shaped(gains: np.ndarray) -> np.ndarray:
    """Noise with a spectrum, given as a gain for each of HERTZ. Its largest sample is 0.5."""
    noise = np.fft.irfft(gains * np.fft.rfft(NOISE), len(TIME))
    return 0.5 * noise / np.abs(noise).max()


def melody(envelope: np.ndarray) -> np.ndarray:
    """One instrument that plays two notes per second."""
    hertz = 262 * 2 ** (np.array([0, 4, 7, 12, 7, 4, 2, 5, 9, 14, 9, 5, 0, 0, 7, 0])[(TIME * 2).astype(int)] / 12)
    phase = 2 * np.pi * np.cumsum(hertz) / RATE_HZ
    return 0.3 * envelope * (np.sin(phase) + 0.3 * np.sin(2 * phase))


UNSUITABLE = {
    "silence": (0 * TIME, "silence"),
    "dither": (np.rint(RNG.triangular(-1, 0, 1, len(TIME))) / 2**15, "silence"),
    "quiet hiss": (1e-4 * NOISE, "silence: nothing but hiss at -7"),
    "dull hiss": (1e-4 * np.convolve(NOISE, np.ones(6) / 2, "same"), "silence: nothing but hiss at -7"),
    "DC": (0 * TIME + 0.3, "silence: a constant level"),
    "a click a second": (1.0 * (np.arange(len(TIME)) % RATE_HZ == 99), "clicks"),
    "clicks in hiss": (0.9 * (np.arange(len(TIME)) % RATE_HZ == 99) + 1e-4 * NOISE, "clicks"),
    "a metronome": (SINE * (TIME % 0.5 < 0.03), "clicks"),
    "half a second": (NOISE[: RATE_HZ // 2], "short: 0.50 s"),
    "half a second in silence": (NOISE * (np.abs(TIME - 4) < 0.25), "short: 0.5"),
    "one sample": (np.ones(1), "silence"),
    "a tone": (SINE, "test tone"),
    "a tone between silence": (SINE * (np.abs(TIME - 4) < 2), "test tone"),
    "a noisy tone": (SINE + 0.02 * NOISE, "test tone"),
    "a chord of a square wave": (np.sign(SINE) + np.sign(np.sin(2 * np.pi * 660 * TIME)), "test tone"),
    "a short sweep": (glide(20, 10_000, 1.5), "test tone"),
    "a slow sweep down": (glide(2_000, 200, 60), "test tone"),
    "white noise": (0.1 * NOISE, "noise: steady"),
    "3 s of white noise": (0.1 * NOISE[: 3 * RATE_HZ], "noise: steady"),
    "noise between silence": (NOISE * (np.abs(TIME - 4) < 2), "noise: steady"),
    "brown noise": (shaped(20 / np.maximum(HERTZ, 20)), "noise: steady"),
    "brown noise of any depth": (shaped(1 / np.maximum(HERTZ, 0.1)), "noise: steady"),
    "an octave of noise": (shaped((HERTZ > 1_000) & (HERTZ < 2_000)), "noise: steady"),
    "hum in noise": (sum(np.sin(2 * np.pi * 50 * n * TIME) / n for n in range(1, 9)) + 0.3 * NOISE, "noise: steady"),
    **{
        f"{seconds} s of white noise": (0.1 * NOISE[: int(seconds * RATE_HZ)], "noise: steady")
        for seconds in (1.1, 1.5)
    },
    **{f"noise that {name}": (0.1 * NOISE * gain, "noise: steady") for name, gain in FADES.items()},
    "2 s of noise that fades out": ((0.1 * NOISE * FADES["fades out"])[-2 * RATE_HZ :], "noise: steady"),
    "repeated sweeps": (glide(20, 10_000, 60, times=10), "test tone"),
}
SUITABLE = {
    "noise in a rhythm": music_like(8, RNG),
    "noise with a melody": 0.1 * NOISE + melody(np.ones(len(TIME))),
    "plucked notes": melody(np.exp(-6 * (TIME % 0.5))),
    "held notes": melody(np.ones(len(TIME))),
    "tremolo": SINE * (1 + 0.5 * np.sin(2 * np.pi * 4 * TIME)),
    "vibrato": np.sin(2 * np.pi * 440 * TIME + 3 * np.sin(2 * np.pi * 5 * TIME)),
    "a drum a second": NOISE * np.exp(-30 * (TIME % 1)),
    "a song after silence": np.pad(melody(np.ones(len(TIME))), (30 * RATE_HZ, 0)),
}


@pytest.mark.parametrize("name", UNSUITABLE)
def test_what_is_no_music_has_its_reason(name):
    samples, why = UNSUITABLE[name]
    assert samples_clip(samples, RATE_HZ).unsuitable.startswith(why)


@pytest.mark.parametrize("gain", [1.0, 1e-3])
@pytest.mark.parametrize("name", SUITABLE)
def test_what_may_be_music_has_none(name, gain):
    assert samples_clip(gain * SUITABLE[name], RATE_HZ).unsuitable == ""


@pytest.mark.parametrize("name", ["silence", "DC", "clicks in hiss", "a tone", "half a second"])
def test_files_uploads_and_stereo_samples_are_judged_alike(name, tmp_path):
    samples, why = UNSUITABLE[name]
    stereo = np.stack([samples, samples], 1)
    soundfile.write(tmp_path / "x.wav", stereo, RATE_HZ, subtype="FLOAT")
    reasons = {
        read_clip(tmp_path / "x.wav", 30.0).unsuitable,
        read_upload((tmp_path / "x.wav").read_bytes(), 30.0, 60).unsuitable,
        samples_clip(stereo, RATE_HZ).unsuitable,
        samples_clip(stereo.T, RATE_HZ).unsuitable,
    }
    assert len(reasons) == 1 and reasons.pop().startswith(why)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 96_000])
def test_the_sample_rate_does_not_matter(rate_hz):
    rng = np.random.default_rng(0)
    music, noise = music_like(5, rng, rate_hz), rng.normal(0, 0.1, 5 * rate_hz)
    assert samples_clip(music, rate_hz).unsuitable == ""
    assert samples_clip(noise, rate_hz).unsuitable.startswith("noise: steady")
    assert samples_clip(1e-4 * noise, rate_hz).unsuitable.startswith("silence")
    assert samples_clip(music[: rate_hz // 2], rate_hz).unsuitable.startswith("short")


@given(st.integers(2, 32), st.integers(0, 31))
def test_one_sounding_channel_is_mixed_however_many_there_are(channels, sounding):
    samples = np.zeros((RATE_HZ, channels), np.float32)
    samples[:, sounding % channels] = NOISE[:RATE_HZ]
    audio = read_samples(samples, RATE_HZ)
    assert audio.problem == ""
    np.testing.assert_allclose(audio.waveform, NOISE[:RATE_HZ] / channels, rtol=1e-5)


def test_of_channels_that_cancel_the_loudest_is_read():
    audio = read_samples(np.stack([NOISE, -0.9 * NOISE]), RATE_HZ)
    np.testing.assert_allclose(audio.waveform, NOISE, rtol=1e-5)
    assert "channel 1" in audio.problem and audio.unsuitable == ""


@pytest.mark.parametrize("sides", [(1, 1), (1, -0.9), (1, 0)], ids=["equal", "antiphase", "one"])
@pytest.mark.parametrize("offset", [0.8, -0.3])
def test_a_strong_offset_changes_nothing(offset, sides, tmp_path):
    notes = SUITABLE["held notes"] - SUITABLE["held notes"].mean()
    music = 0.1 * np.outer(notes / notes.std(), sides)
    soundfile.write(tmp_path / "plain.wav", music, RATE_HZ, subtype="FLOAT")
    soundfile.write(tmp_path / "offset.wav", music + offset, RATE_HZ, subtype="FLOAT")
    plain, with_offset = (read_clip(tmp_path / f"{name}.wav", 30.0) for name in ("plain", "offset"))
    assert with_offset.unsuitable == "" and f"{abs(offset)}" in with_offset.note
    assert plain.note in with_offset.note and "DC" not in plain.note
    for clip in (with_offset, samples_clip(music + offset, RATE_HZ)):
        np.testing.assert_allclose(clip.levels.astype(int), plain.levels, atol=2)


def test_the_offset_of_a_silent_channel_beside_music_is_ignored():
    music = SUITABLE["held notes"]
    assert samples_clip(np.stack([music, 0 * music + 2**-15]), RATE_HZ).note == ""


def test_channels_that_cancel_before_mono_leave_the_mono_part():
    meter = LevelMeter(channel=1)
    left = NOISE[:RATE_HZ, None].astype(np.float32)
    np.testing.assert_array_equal(meter.mix(np.hstack([left, -left]), RATE_HZ), -left[:, 0])
    np.testing.assert_array_equal(meter.mix(left, RATE_HZ), left[:, 0])


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_one_level_is_silence(level, tmp_path):
    write_picture(tmp_path / "x.png", np.full((128, 300), level, np.uint8))
    assert read_clip(tmp_path / "x.png", 30.0).unsuitable


def test_real_music_is_never_unsuitable(gtzan):
    for path in sorted((gtzan / "audio").rglob("*.flac"))[::10]:
        samples, rate_hz = soundfile.read(path, dtype="float32")
        for gain in (1.0, 1e-3):
            assert samples_clip(gain * samples, rate_hz).unsuitable == "", path
        quiet = np.rint(1e-3 * 2**15 * samples[: 3 * rate_hz]).astype(np.int16)
        assert samples_clip(quiet, rate_hz).unsuitable == "", path
        for start in range(0, len(samples) - rate_hz, 6 * rate_hz):  # pieces of 1 and 2 s
            for end in (start + rate_hz, start + 2 * rate_hz):
                assert "noise" not in samples_clip(samples[start:end], rate_hz).unsuitable, path
    foreign = Path(os.environ.get("GENRECLF_FOREIGN", gtzan.parent / "foreign"))
    pictures = [*sorted((gtzan / "pictures").rglob("*.png"))[::10], *sorted(foreign.rglob("*.png"))[::30]]
    for path in pictures:
        levels = np.asarray(Image.open(path))
        assert unsuitable_levels(levels[::-1]) == "", path
        for start in range(0, levels.shape[1] - 39, 39):  # pieces of 3 s
            assert unsuitable_levels(levels[::-1, start : start + 39]) == "", path

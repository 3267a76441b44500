import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bad_audio import DATA, encoded, fmt, wav
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import firwin, resample_poly

from genreclf.errors import GenreclfError
from genreclf.frontend.audio import SAMPLE_RATE_HZ, read_audio, stream_audio
from genreclf.frontend.limits import MAX_BYTES
from genreclf.frontend.log_mel import LogMel

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".au", ".aiff")
RATES_HZ = (8_000, 22_050, 44_100, 48_000)


def tone(frequency_hz: float, rate_hz: int, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * rate_hz)) / rate_hz)


def written(path: Path, samples: np.ndarray, rate_hz: int, **options) -> Path:
    soundfile.write(path, samples, rate_hz, **options)
    return path


@pytest.mark.parametrize(("suffix", "rate_hz", "channels"), list(product(SUFFIXES, RATES_HZ, (1, 2))))
def test_every_format_keeps_frequency_and_level(tmp_path, suffix, rate_hz, channels):
    samples = tone(1_000, rate_hz) if channels == 1 else np.stack([tone(1_000, rate_hz, 1, a) for a in (0.7, 0.3)], 1)
    result = read_audio(written(tmp_path / f"tone{suffix}", samples, rate_hz))

    assert (result.source_rate_hz, result.problem) == (rate_hz, "")
    assert result.source_seconds == pytest.approx(1, abs=1e-3)
    assert result.waveform.dtype == np.float32
    assert abs(len(result.waveform) - SAMPLE_RATE_HZ) <= 1
    middle = result.waveform[2_000:-2_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(middle) == pytest.approx(1_000, abs=2)
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=0.03 if suffix in (".ogg", ".mp3") else 1e-3)


@pytest.mark.parametrize(("rate_hz", "up", "down"), [(8_000, 441, 160), (44_100, 1, 2), (48_000, 147, 320)])
def test_resampling_agrees_with_scipy(tmp_path, rate_hz, up, down):
    samples = sum(tone(f, rate_hz, amplitude=0.15) for f in (110, 523.25, 997, 1_760, 2_903))
    result = read_audio(written(tmp_path / "chord.wav", samples, rate_hz, subtype="FLOAT"))
    taps = firwin(128 * max(up, down) + 1, 1 / max(up, down), window=("kaiser", 12.0))
    reference = resample_poly(samples, up, down, window=taps)
    inner = slice(500, -500)
    np.testing.assert_allclose(result.waveform[inner], reference[: len(result.waveform)][inner], atol=1e-5)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_what_lies_above_the_new_band_vanishes(tmp_path, rate_hz):
    result = read_audio(written(tmp_path / "high.wav", tone(15_000, rate_hz), rate_hz, subtype="FLOAT"))
    assert np.abs(result.waveform[500:-500]).max() < 1e-5


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 12_000), channels=st.integers(1, 4), seed=st.integers(0, 2**16))
def test_at_22050_hz_the_waveform_is_the_mean_of_the_channels(tmp_path_factory, frames, channels, seed):
    samples = np.random.default_rng(seed).integers(-(2**15), 2**15, (frames, channels), dtype=np.int16)
    path = written(tmp_path_factory.mktemp("audio") / "noise.wav", samples, SAMPLE_RATE_HZ)
    np.testing.assert_allclose(read_audio(path).waveform, samples.mean(axis=1) / 2**15, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(100, 20_000), rate_hz=st.integers(1_000, 768_000))
def test_any_rate_gives_the_right_length(tmp_path_factory, frames, rate_hz):
    path = written(tmp_path_factory.mktemp("audio") / "any.wav", np.ones(frames), rate_hz)
    assert abs(len(read_audio(path).waveform) - frames * SAMPLE_RATE_HZ / rate_hz) <= 1


@pytest.mark.parametrize("residue", [0.0, 0.02])  # 0.02: as from a lossy codec
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_of_channels_that_cancel_the_loudest_is_used_alone(tmp_path, suffix, residue):
    left = tone(440, 44_100)
    path = written(tmp_path / f"a{suffix}", np.stack([left, (residue - 1.1) * left], 1), 44_100)
    np.testing.assert_allclose(read_audio(path).waveform, tone(440, SAMPLE_RATE_HZ) * (residue - 1.1), atol=0.01)
    assert "channel 2" in read_audio(path).problem


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_decoding_in_blocks_is_decoding_at_once(tmp_path, suffix):
    path = written(tmp_path / f"long{suffix}", tone(440, SAMPLE_RATE_HZ, seconds=3), SAMPLE_RATE_HZ)
    at_once, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(read_audio(path).waveform, at_once, atol=1e-4 if suffix == ".mp3" else 1e-6)
    np.testing.assert_array_equal(read_audio(path).waveform, read_audio(path).waveform)


def test_the_name_does_not_matter(tmp_path):
    named = read_audio(written(tmp_path / "a.wav", tone(440, 44_100), 44_100))
    for name in ("a.music", "a", "a.au", "a.gsm"):
        unnamed = read_audio((tmp_path / "a.wav").rename(tmp_path / name))
        np.testing.assert_array_equal(unnamed.waveform, named.waveform)
        (tmp_path / name).rename(tmp_path / "a.wav")


def test_an_mp3_whose_length_can_only_be_guessed_is_complete(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 6 * 44_100)
    samples[: 3 * 44_100] *= 0.01  # quiet, then loud: the first frames' bit rate is not that of the rest
    path = tmp_path / "vbr.mp3"
    for loud_half in (samples, samples[::-1]):
        written(path, loud_half, 44_100, bitrate_mode="VARIABLE", compression_level=0.5)
        assert read_audio(path).source_seconds == pytest.approx(6)
        content = path.read_bytes()
        path.write_bytes(content[content.index(content[:2], content.index(b"Xing")) :])  # from the first frame on
        result = read_audio(path)
        assert result.source_seconds == pytest.approx(6, abs=0.1)
        assert result.problem == ""


def test_what_is_missing_or_too_large_is_refused(tmp_path):
    with (tmp_path / "huge.wav").open("wb") as handle:
        handle.truncate(MAX_BYTES + 1)  # a sparse file, which takes no space
    for name, reason in (("missing.wav", "no such file"), ("huge.wav", "larger than 2 GiB")):
        with pytest.raises(GenreclfError, match=f"{name}: {reason}"):
            read_audio(tmp_path / name)


REMEDIES = {
    "free format": (b"\xff\xf3\x00\xc4" + bytes(200), "free format.*; give a 16-bit WAV"),
    "half floats": (wav(fmt(tag=3, bits=16), DATA), "give a 16-bit WAV"),
    "a drawing": (b"<svg></svg>", "give a PNG picture"),
    "VOC": (b"Creative Voice File\x1a\x1a\0" + bytes(200), "VOC, which is not supported.*; give a 16-bit WAV"),
    "SPHERE": (b"NIST_1A\n   1024\n" + bytes(2_000), "NIST SPHERE, which is not supported.*; give a 16-bit WAV"),
    "PAF": (b" paf" + bytes(2_048), "PAF, which is not supported.*; give a 16-bit WAV"),
    "PAF, little-endian": (b"fap " + bytes(2_048), "PAF, which is not supported.*; give a 16-bit WAV"),
    "MIDI": (b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\0", "notes instead of sound.*; give a 16-bit WAV"),
    "HEIC": (b"\0\0\0\x1cftypheic" + bytes(16), "only an AVIF or HEIC picture.*; give a PNG picture"),
}


@pytest.mark.parametrize("kind", REMEDIES)
def test_what_no_decoder_reads_is_refused_with_a_remedy(tmp_path, kind):
    content, remedy = REMEDIES[kind]
    (tmp_path / "song").write_bytes(content)
    with pytest.raises(GenreclfError, match=remedy):
        read_audio(tmp_path / "song")


@pytest.mark.parametrize("share", [0, 0.5, 2])
@pytest.mark.parametrize("name", ["a.wav", "a.w64", "a.ogg"])
def test_a_file_that_changes_while_it_is_read_is_reported(tmp_path, name, share):
    """By libsndfile, by PyAV, and a chain of Ogg files."""
    path = tmp_path / name
    data = encoded(path.suffix[1:].upper(), "VORBIS" if name == "a.ogg" else "PCM_16", 44_100, seconds=10.0)
    path.write_bytes(data * 3 if name == "a.ogg" else data)

    class Truncating(LogMel):
        def add(self, samples: np.ndarray) -> None:
            os.truncate(path, int(share * len(data)))
            super().add(samples)

    _, source = stream_audio(path, Truncating, 60)
    assert source.problem == f"truncated: the file changed while it was read, {source.source_seconds:.1f} s decoded"

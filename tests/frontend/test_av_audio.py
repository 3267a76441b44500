"""Formats that libsndfile does not read, and MP3: sound and notes are correct, and no other file is opened."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from av.stream import Disposition
from av_files import av_encoded, av_written, several_streams
from bad_audio import APE_TAG, ID3V1, ape_tag, encoded, headless, id3v2, mp3, opus, pages, summed

from genreclf.errors import GenreclfError
from genreclf.frontend import av_audio, av_file
from genreclf.frontend.audio import CLIPPED, SAMPLE_RATE_HZ, TRUNCATED, UNDECODED, Audio, read_audio

# Container, codec, and by how much the sound may be longer than 2 s: codecs add silence to fill whole frames.
FORMATS = {
    "m4a": ("ipod", "aac", 0.05),
    "alac.m4a": ("ipod", "alac", 0.0),
    "aac": ("adts", "aac", 0.05),
    "opus": ("ogg", "libopus", 0.0),
    "webm": ("webm", "libopus", 0.0),
    "wma": ("asf", "wmav2", 0.05),
    "ac3": ("ac3", "ac3", 0.04),
    "wv": ("wv", "wavpack", 0.0),
    "tta": ("tta", "tta", 0.0),
    "mka": ("matroska", "flac", 0.0),
    "mp2": ("mp2", "mp2", 0.03),
    "mpg": ("mpeg", "mp2", 0.03),
    "ts": ("mpegts", "aac", 0.05),
    "flv": ("flv", "aac", 0.05),
    "3gp": ("3gp", "aac", 0.05),
    "au": ("au", "pcm_f32be", 0.0),
}

DSD_HZ = 64 * 44_100


def content(name: str, **options) -> bytes:
    container, codec, _ = FORMATS[name]
    return av_encoded(container, codec, 48_000, seconds=2.0, **options)


def read(folder: Path, data: bytes, name: str = "clip.mp3", **bounds: float) -> Audio:
    (folder / name).write_bytes(data)
    return read_audio(folder / name, **bounds)


def refused(folder: Path, data: bytes, **bounds: float) -> str:
    with pytest.raises(GenreclfError) as caught:
        read(folder, data, **bounds)
    return str(caught.value)


def assert_tone(waveform: np.ndarray) -> None:
    middle = waveform[4_000:-4_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(middle) == pytest.approx(440, abs=2)
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_keeps_length_frequency_and_level(tmp_path, name):
    result = read(tmp_path, content(name), f"clip.{name}")
    assert (result.source_rate_hz, result.problem) == (48_000, "")
    assert -0.05 <= result.source_seconds - 2 <= FORMATS[name][2] + 1e-3
    assert len(result.waveform) == pytest.approx(result.source_seconds * SAMPLE_RATE_HZ, abs=1)
    assert_tone(result.waveform)


@pytest.mark.parametrize("name", ["alac.m4a", "wv", "tta", "mka"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_formats_are_exact(tmp_path, name, channels):
    """The result is the mean of the channels, as for a WAV file."""
    container, codec, _ = FORMATS[name]
    sound = np.random.default_rng(0).integers(-(2**15), 2**15, (channels, 22_050)) / 2**15
    result = read(tmp_path, av_written(container, codec, sound.astype(np.float32), SAMPLE_RATE_HZ))
    np.testing.assert_allclose(result.waveform, sound.mean(axis=0), atol=2**-15)


def test_mp3_is_decoded_as_libsndfile_does(tmp_path):
    """Two independent decoders agree in length, delay and samples."""
    data = mp3(seconds=2)
    expected, rate_hz = soundfile.read(io.BytesIO(data))
    result = read(tmp_path, data)
    assert result.source_seconds == len(expected) / rate_hz
    mixed = expected.mean(axis=1)
    soundfile.write(tmp_path / "same.wav", mixed, rate_hz, subtype="FLOAT")
    np.testing.assert_allclose(result.waveform, read_audio(tmp_path / "same.wav").waveform, atol=1e-4)


DEFAULT, OTHER, COMMENT = Disposition.default, Disposition(0), Disposition.comment


@pytest.mark.parametrize(("container", "codec"), [("matroska", "libopus"), ("mp4", "aac")])
@pytest.mark.parametrize("marks", [(DEFAULT, OTHER), (OTHER, DEFAULT), (DEFAULT | COMMENT, DEFAULT)])
def test_of_several_streams_the_default_one_is_read_and_told(tmp_path, container, codec, marks):
    time = np.arange(2 * 48_000) / 48_000
    number = marks.index(DEFAULT)
    sounds = [0.5 * np.sin(2 * np.pi * (440 if place == number else 1_000) * time)[None] for place in range(2)]
    sounds = {mark: sound.astype(np.float32) for mark, sound in zip(marks, sounds, strict=True)}
    result = read(tmp_path, several_streams(container, codec, sounds))
    assert_tone(result.waveform)
    assert result.problem == f"audio stream {number + 1} of 2 read"


def test_a_video_without_sound_says_so(tmp_path):
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        pictures = file.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 64
        file.mux(pictures.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        file.mux(pictures.encode())
    assert "no audio stream, only video" in refused(tmp_path, buffer.getvalue())


# --- What is missing --------------------------------------------------------------------------------------------------


VIDEOS = [("matroska", "libopus", "mpeg4"), ("avi", "libmp3lame", "mpeg4"), ("mpegts", "ac3", "mpeg2video"),
          ("flv", "aac", "flv"), ("asf", "wmav2", "msmpeg4v3")]  # fmt: skip


@pytest.mark.parametrize("kind", [*VIDEOS, ("mp4", "aac", "mpeg4"), ("mov", "aac", "mpeg4")])
def test_a_video_is_its_first_audio_stream(tmp_path, kind):
    container, codec, video = kind
    result = read(tmp_path, av_encoded(container, codec, 48_000, seconds=2.0, video=video))
    assert (result.source_seconds, result.problem) == (pytest.approx(2, abs=0.06), "")


@pytest.mark.parametrize("share", [0.43, 0.93])
@pytest.mark.parametrize(
    ("container", "codec", "video"),
    [*((*format_[:2], "") for format_ in FORMATS.values() if format_[0] not in ("ipod", "3gp")), *VIDEOS],
)
def test_a_cut_file_gives_what_there_is_and_says_so(tmp_path, container, codec, video, share):
    data = av_encoded(container, codec, 48_000, seconds=3.0, video=video)
    result = read(tmp_path, data[: round(len(data) * share)])
    assert share * 3 - 1.05 < result.source_seconds < share * 3 + 0.15  # a block of WavPack takes half a second
    assert result.problem.startswith(TRUNCATED)
    assert read(tmp_path, data).problem == ""


@pytest.mark.parametrize(
    ("container", "codec", "video"),
    [*VIDEOS, ("asf", "wmav2", ""), ("matroska", "flac", ""), ("mp4", "aac", ""), ("mp4", "aac", "mpeg4")],
)
def test_a_file_that_was_written_to_a_pipe_is_whole_until_it_is_cut(tmp_path, container, codec, video):
    """The header has placeholders for the lengths."""
    data = av_encoded(container, codec, 48_000, seconds=3.0, video=video, piped=True)
    assert read(tmp_path, data).problem == ""
    if container not in ("avi", "asf"):  # their blocks do not give their lengths then
        assert read(tmp_path, data[: len(data) * 6 // 10]).problem.startswith(TRUNCATED)


@pytest.mark.parametrize("tag", [ID3V1, APE_TAG, bytes(1_000), b"some text " * 50])
@pytest.mark.parametrize("name", ["aac", "ac3", "mp2", "mka", "wma", "flv", "ts", "mpg", "m4a", "opus"])
def test_what_follows_a_whole_file_does_not_make_it_truncated(tmp_path, name, tag):
    assert TRUNCATED not in read(tmp_path, content(name) + tag).problem


NOISE = np.random.default_rng(0).bytes(300_000)
ID3V2_AT_END = b"ID3\4\0\x10" + id3v2(len(NOISE))[6:] + NOISE + b"3DI\4\0\x10" + id3v2(len(NOISE))[6:]
LYRICS = b"LYRICSBEGIN" + NOISE[:20_000]
LYRICS_2 = LYRICS + b"%06dLYRICS200" % len(LYRICS)
LYRICS_1 = b"LYRICSBEGIN" + b"la la la\r\n" * 400 + b"LYRICSEND"
TAGS_AT_END = {
    "ID3v2": ID3V2_AT_END,
    "ID3v2 and ID3v1": ID3V2_AT_END + ID3V1,
    "Lyrics3": LYRICS_1 + ID3V1,
    "Lyrics3v2": LYRICS_2 + ID3V1,
    "APEv2 and Lyrics3v2": ape_tag(NOISE) + LYRICS_2 + ID3V1,
    "enhanced ID3v1": (b"TAG+" + NOISE)[:227] + ID3V1,
}


@pytest.mark.parametrize("kind", TAGS_AT_END)
@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_tags_at_the_end_of_an_mp3_change_neither_sound_nor_notes(tmp_path, rate_hz, kind):
    whole = encoded("MP3", "MPEG_LAYER_III", rate_hz, 1)
    alone, tagged = read(tmp_path, whole), read(tmp_path, whole + TAGS_AT_END[kind])
    assert np.array_equal(alone.waveform, tagged.waveform) and (alone.problem, tagged.problem) == ("", "")


@pytest.mark.parametrize("end", [ID3V2_AT_END[-10:], LYRICS_2[-15:], LYRICS_1[-9:], APE_TAG[-32:]])
def test_the_end_of_a_tag_without_the_tag_hides_no_sound(tmp_path, end):
    alone, other = read(tmp_path, mp3()), read(tmp_path, mp3() + end)
    assert other.source_seconds == pytest.approx(alone.source_seconds, abs=0.03)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050])
def test_zeros_behind_an_mp3_of_a_low_rate_do_not_make_it_truncated(tmp_path, rate_hz):
    assert TRUNCATED not in read(tmp_path, encoded("MP3", "MPEG_LAYER_III", rate_hz, 1) + bytes(5_000)).problem


def whole_file(name: str) -> bytes:
    return mp3(seconds=2) if name == "mp3" else content(name)


BEHIND = {
    "an archive": b"PK\3\4" + np.random.default_rng(0).bytes(400_000),
    "text": b"some words " * 40_000,
    "a file of another format": encoded("WAV", "PCM_16", 44_100, 2, seconds=2.5),
}


@pytest.mark.parametrize("kind", BEHIND)
@pytest.mark.parametrize("name", ["mp3", *FORMATS])
def test_what_is_behind_a_file_is_told_and_the_file_is_read(tmp_path, name, kind):
    data = whole_file(name)
    result = read(tmp_path, data + BEHIND[kind])
    assert result.source_seconds == pytest.approx(read(tmp_path, data).source_seconds, abs=0.05)
    share = float(result.problem.partition("%")[0]) / 100
    assert share == pytest.approx(len(BEHIND[kind]) / (len(data) + len(BEHIND[kind])), abs=0.03)
    assert UNDECODED in result.problem


@pytest.mark.parametrize("name", ["mp3", *FORMATS])
def test_of_two_files_in_one_both_are_read_or_the_second_is_told(tmp_path, name):
    data = whole_file(name)
    one, two = read(tmp_path, data), read(tmp_path, data + data)
    if two.source_seconds < 1.9 * one.source_seconds:
        assert two.source_seconds == pytest.approx(one.source_seconds)
        assert two.problem.startswith(f"50% of the file {UNDECODED}")


@pytest.mark.parametrize(("name", "other"), [("webm", "mka"), ("mka", "webm")])
def test_a_joined_file_of_another_codec_is_told(tmp_path, name, other):
    first, second = content(name), content(other)
    result = read(tmp_path, first + second)
    assert result.source_seconds == pytest.approx(2, abs=0.01)
    assert UNDECODED in result.problem
    assert int(result.problem.partition("%")[0]) == pytest.approx(100 * len(second) / len(first + second), abs=2)


@pytest.mark.parametrize("name", ["mp3", "aac", "ac3", "mp2"])
def test_an_archive_before_a_file_is_passed_over(tmp_path, name):
    data = whole_file(name)
    result = read(tmp_path, BEHIND["an archive"][:100_000] + data)
    assert result.source_seconds == pytest.approx(2, abs=0.1)
    assert UNDECODED in result.problem


@pytest.mark.parametrize(("name", "frame_bytes"), [("ac3", 512), ("mp2", 384)])
def test_a_file_cut_between_two_frames_cannot_be_told(tmp_path, name, frame_bytes):
    result = read(tmp_path, content(name)[: 30 * frame_bytes])
    assert 0.7 < result.source_seconds < 1
    assert result.problem == ""


def test_an_mp4_without_its_index_says_so(tmp_path):
    data = content("m4a")
    assert "its index is missing" in refused(tmp_path, data[: len(data) // 2])


def test_half_of_an_mp3_without_a_header_is_truncated(tmp_path):
    data = headless(mp3(seconds=4))
    assert read(tmp_path, data).problem == ""
    problem = read(tmp_path, data[: len(data) // 2]).problem
    assert problem == f"{TRUNCATED}: the last block is cut off, 2.0 s decoded"


@pytest.mark.parametrize("skipped", [0, 312, 3_840, 24_000])
def test_what_opus_skips_at_its_beginning_is_not_missing(tmp_path, skipped):
    """RFC 7845, 4.2: at least 3,840 samples for a file that was cut out of a longer one."""
    data = content("opus")
    at = data.index(b"OpusHead") + 10
    result = read(tmp_path, summed(data[:at] + struct.pack("<H", skipped) + data[at + 2 :]))
    assert result.source_seconds == pytest.approx(2 - (skipped - 312) / 48_000, abs=0.001)
    assert result.problem == ""


@pytest.mark.parametrize("name", ["mp3", "aac", "ac3", "mp2", "mka"])
def test_zeros_in_place_of_the_rest_leave_what_comes_before_and_are_told(tmp_path, name):
    """An interrupted download whose space was reserved."""
    data = headless(mp3(seconds=2)) if name == "mp3" else content(name)
    result = read(tmp_path, data[: len(data) // 3] + bytes(len(data) * 2 // 3))
    assert 0.4 <= result.source_seconds <= 0.8
    assert result.problem.startswith(TRUNCATED) or UNDECODED in result.problem


@pytest.mark.parametrize("name", ["mp3", "ac3", "mp2"])
def test_zeros_behind_a_file_are_at_most_the_whole_of_what_was_not_decoded(tmp_path, name):
    data = headless(mp3(seconds=2)) if name == "mp3" else content(name)
    result = read(tmp_path, data + bytes(3 * len(data)))
    assert result.source_seconds == pytest.approx(2, abs=0.1)
    assert result.problem.startswith(f"75% of the file {UNDECODED}")


@pytest.mark.parametrize("name", ["opus", "ts"])
def test_what_follows_a_damaged_part_is_read(tmp_path, name):
    data = opus() if name == "opus" else content(name)
    begin = len(data) * 3 // 4
    whole, damaged = read(tmp_path, data), read(tmp_path, data[:begin] + bytes(600) + data[begin + 600 :])
    assert 0.8 <= damaged.source_seconds / whole.source_seconds < 1


def vorbis(rate_hz: int, channels: int) -> bytes:
    return encoded("OGG", "VORBIS", rate_hz, channels, seconds=1.0)


@pytest.mark.parametrize(
    "parts",
    [
        [vorbis(22_050, 1), vorbis(22_050, 2), vorbis(22_050, 1)],
        [vorbis(44_100, 2), vorbis(16_000, 2)],
        [vorbis(44_100, 1), encoded("OGG", "OPUS", 48_000, 2, seconds=1.0)],
        [av_encoded("ogg", "flac", 22_050), vorbis(48_000, 2)],
    ],
    ids=["channels", "rate", "codec", "FLAC"],
)
def test_a_chained_ogg_file_is_the_sum_of_its_parts(tmp_path, parts):
    chain, alone = read(tmp_path, b"".join(parts)), [read(tmp_path, part) for part in parts]
    assert (chain.problem, chain.source_rate_hz) == ("", alone[0].source_rate_hz)
    # For Vorbis with a single page of sound, ffmpeg does not cut exactly to the sample.
    assert chain.source_seconds == pytest.approx(sum(part.source_seconds for part in alone), abs=0.025 * len(parts))
    assert len(chain.waveform) == pytest.approx(chain.source_seconds * SAMPLE_RATE_HZ, abs=len(parts))
    for number in range(len(parts)):
        assert_tone(chain.waveform[number * SAMPLE_RATE_HZ :][:SAMPLE_RATE_HZ])


def test_a_part_of_a_chained_ogg_file_that_is_not_audio_is_told(tmp_path):
    page, *rest = pages(vorbis(22_050, 1))
    unknown = summed(page.replace(b"vorbis", b"strang") + b"".join(rest))
    result = read(tmp_path, vorbis(44_100, 1) + unknown + vorbis(22_050, 1))
    assert result.source_seconds == pytest.approx(2, abs=0.02)
    assert UNDECODED in result.problem


def test_integers_of_64_bits_are_read_as_those_of_32_are(tmp_path):
    sound = np.random.default_rng(0).uniform(-1, 1, (1, 22_050)).astype(np.float32)
    wide, narrow = (read(tmp_path, av_written("wav", f"pcm_s{bits}le", sound, SAMPLE_RATE_HZ)) for bits in (64, 32))
    np.testing.assert_allclose(wide.waveform, narrow.waveform, atol=1e-6)


def test_joined_files_are_read_to_the_end_whatever_their_rates(tmp_path):
    parts = [av_encoded("mp3", "libmp3lame", rate_hz, seconds=1.0) for rate_hz in (44_100, 22_050, 44_100)]
    result = read(tmp_path, b"".join(parts))
    assert result.source_seconds == pytest.approx(3, abs=0.3)
    assert len(result.waveform) == pytest.approx(3 * SAMPLE_RATE_HZ, rel=0.1)
    assert result.problem == ""


def test_joined_files_of_any_bit_rate_are_not_called_truncated(tmp_path):
    silence = av_written("mp3", "libmp3lame", np.zeros((1, 44_100), np.float32), 22_050)
    low = io.BytesIO()
    soundfile.write(low, np.zeros(44_100), 22_050, format="MP3", compression_level=0.99)
    for first, second in ((low.getvalue(), silence), (silence, low.getvalue()), (silence, silence)):
        result = read(tmp_path, first + second)
        assert result.source_seconds == pytest.approx(4, abs=0.2)
        assert result.problem == ""


def one_bit(seconds: float = 1.5) -> np.ndarray:
    """The tone at 64 times 44,100 Hz from a first-order modulator: (samples,), 0 or 1."""
    steps = np.cumsum(0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * DSD_HZ)) / DSD_HZ) / 2 + 0.5)
    return np.diff(np.floor(steps), prepend=0).astype(np.uint8)


def dsf() -> bytes:
    bits = one_bit()
    data = np.packbits(bits, bitorder="little").tobytes()
    data += bytes(-len(data) % 4_096)
    fields = struct.pack("<QIIIIIIQII", 52, 1, 0, 1, 1, DSD_HZ, 1, len(bits), 4_096, 0)
    return b"DSD " + struct.pack("<3Q", 28, 92 + len(data), 0) + b"fmt " + fields + dsd_chunk(b"data", data, "<", 12)


def dff() -> bytes:
    chunks = [
        dsd_chunk(b"FS  ", struct.pack(">I", DSD_HZ)),
        dsd_chunk(b"CHNL", struct.pack(">H4s", 1, b"C   ")),
        dsd_chunk(b"CMPR", b"DSD \x0enot compressed\0"),
    ]
    parts = [dsd_chunk(b"FVER", b"\1\5\0\0"), dsd_chunk(b"PROP", b"SND " + b"".join(chunks))]
    return dsd_chunk(b"FRM8", b"DSD " + b"".join(parts) + dsd_chunk(b"DSD ", np.packbits(one_bit()).tobytes()))


def dsd_chunk(name: bytes, data: bytes, order: str = ">", head_bytes: int = 0) -> bytes:
    return name + struct.pack(f"{order}Q", len(data) + head_bytes) + data + bytes(len(data) % 2)


@pytest.mark.parametrize("written", [dsf, dff])
def test_one_bit_sound_is_read_and_told_where_it_is_cut(tmp_path, written):
    data = written()
    whole, part = read(tmp_path, data), read(tmp_path, data[: len(data) * 2 // 3])
    assert_tone(whole.waveform)
    assert (whole.source_seconds, whole.problem) == (pytest.approx(1.5, abs=0.02), "")
    assert part.source_seconds == pytest.approx(1, abs=0.02)
    assert part.problem.startswith(TRUNCATED)


def test_the_speech_of_telephones_is_read_and_told_where_it_is_cut(tmp_path):
    """AMR: frames of 12.2 kbit/s without a coded pulse, 20 ms each."""
    data = b"#!AMR\n" + (b"\x3c" + bytes(31)) * 100
    assert (read(tmp_path, data).source_seconds, read(tmp_path, data).problem) == (2, "")
    assert read(tmp_path, data[:-7]).problem == f"{TRUNCATED}: the last block is cut off, 2.0 s decoded"


# --- Names and tags ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["aac", "opus", "m4a", "wma"])
def test_the_content_decides_and_not_the_name(tmp_path, name):
    np.testing.assert_array_equal(
        read(tmp_path, content(name), "clip.mp3").waveform, read(tmp_path, content(name), f"clip.{name}").waveform
    )


@pytest.mark.parametrize(
    "tags",
    [
        id3v2(1_000) + bytes(1_000) + ID3V1,
        id3v2(0),
        id3v2(0) + ID3V1,
        ID3V1,
        id3v2(10) + bytes(10) + id3v2(0) + bytes(3_000),
        id3v2(1_000) + bytes(5_000),  # padding that the size does not count
        id3v2(1_000_000) + bytes(1_000_000),
    ],
)
def test_odd_tags_before_an_mp3_cost_nothing(tmp_path, tags):
    plain, tagged = read(tmp_path, mp3(seconds=3)), read(tmp_path, tags + mp3(seconds=3))
    assert tagged.problem == ""
    assert tagged.source_seconds == pytest.approx(plain.source_seconds, abs=0.06)


@pytest.mark.parametrize("name", [*FORMATS, "flac", "caf", "rf64", "w64"])
def test_id3v2_before_any_format_costs_nothing(tmp_path, name):
    data = content(name) if name in FORMATS else encoded(name.upper(), "PCM_16", 48_000, 2, seconds=2.0)
    plain, tagged = (read(tmp_path, tag + data) for tag in (b"", id3v2(1_000) + bytes(1_000)))
    assert tagged.problem == ""
    np.testing.assert_array_equal(tagged.waveform, plain.waveform)


def test_tags_may_be_in_any_encoding(tmp_path):
    text = b"\0" + "Björk – jóga".encode("cp1252")
    frame = b"TIT2" + struct.pack(">IH", len(text), 0) + text
    assert read(tmp_path, id3v2(len(frame)) + frame + mp3()).problem == ""


# --- Levels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("container", "format_"), [("wav", "WAV"), ("au", "AU"), ("w64", "W64")])
@pytest.mark.parametrize("gain", [1.5, 20.0, 32_768.0])
def test_float_samples_above_full_scale_are_scaled_and_not_clipped(tmp_path, container, format_, gain):
    sound = np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)
    soundfile.write(tmp_path / "loud", gain * sound, SAMPLE_RATE_HZ, "FLOAT", format=format_)
    result = read_audio(tmp_path / "loud")
    assert result.problem == ""
    np.testing.assert_allclose(result.waveform, sound / np.abs(sound).max(), atol=1e-5)


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
def test_samples_cut_off_at_full_scale_are_told_in_float_too(tmp_path, subtype):
    sound = np.clip(3 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ), -1, 1)
    soundfile.write(tmp_path / "clipped.wav", sound, SAMPLE_RATE_HZ, subtype)
    result = read_audio(tmp_path / "clipped.wav")
    assert result.problem.startswith(CLIPPED)
    assert np.abs(result.waveform).max() == pytest.approx(1, abs=1e-4)


# --- Bounds and safety ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m4a", "webm", "wv", "mka"])
def test_a_length_in_the_header_is_refused_before_it_is_decoded(tmp_path, name, monkeypatch):
    monkeypatch.setattr(av_audio.AvDecoder, "blocks", None)  # decoding would be a TypeError
    assert "longer than 1 s" in refused(tmp_path, content(name), max_seconds=1)


@pytest.mark.parametrize("name", ["aac", "ac3", "mp2"])
def test_decoding_stops_at_the_bound_where_the_header_has_no_length(tmp_path, name):
    assert "longer than 1 s" in refused(tmp_path, content(name), max_seconds=1)


PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile '{path}'\n",
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{path}\n#EXT-X-ENDLIST\n",
    "m3u": "#EXTM3U\n{path}\n",
    "pls": "[playlist]\nFile1={path}\nNumberOfEntries=1\n",
    "dash": '<?xml version="1.0"?><MPD><Period><AdaptationSet><BaseURL>{path}</BaseURL></AdaptationSet></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    "ffmetadata": ";FFMETADATA1\ntitle={path}\n",
    "lavfi": "amovie={path}",
    "asx": '<asx version="3.0"><entry><ref href="{path}"/></entry></asx>',
}


@pytest.mark.parametrize("suffix", [".mp3", ".m3u8", ".wav", ".mp4", ".txt"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_plays_no_other_file(tmp_path, kind, suffix):
    (tmp_path / "other.wav").write_bytes(av_encoded("wav", "pcm_s16le"))
    with pytest.raises(GenreclfError, match="cannot be read as audio"):
        read(tmp_path, PLAYLISTS[kind].format(path=tmp_path / "other.wav").encode(), f"list{suffix}")


def test_the_formats_hold_no_playlist_device_or_sequence_of_files():
    opening_others = {"concat", "concatf", "hls", "dash", "applehttp", "image2", "lavfi", "rtsp", "sdp", "imf", "alsa"}
    assert not opening_others & set(av_file.FORMATS)


def test_an_mp4_that_refers_to_another_file_plays_its_own_data_or_is_refused(tmp_path):
    """QuickTime's data reference ("url " in "dref") to a file of silence."""
    (tmp_path / "other.m4a").write_bytes(av_written("ipod", "aac", np.zeros((2, 96_000), np.float32), 48_000))
    data = bytearray(content("m4a"))
    at = data.index(b"url \0\0\0\1")  # flag 1: the samples are in this file
    name = f"file://{tmp_path}/other.m4a".encode() + b"\0"
    data[at : at + 8] = b"url \0\0\0\0" + name
    for box in (b"url ", b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        size_at = data.index(box) - 4
        size = struct.unpack(">I", data[size_at : size_at + 4])[0]
        data[size_at : size_at + 4] = struct.pack(">I", size + len(name))
    try:
        assert_tone(read(tmp_path, bytes(data)).waveform)
    except GenreclfError as error:
        assert "cannot be read as audio" in str(error)


def test_no_warning_of_a_decoder_reaches_the_terminal(tmp_path):
    """libmpg123 and ffmpeg warn about damaged frames, without the file's name."""
    random = np.random.default_rng(0)
    for number, data in enumerate([mp3(seconds=3), opus(), content("aac"), content("m4a"), content("wma")] * 4):
        damaged = bytearray(data)
        for place in random.integers(500, len(data), 40):
            damaged[place] = random.integers(256)
        (tmp_path / f"{number}.mp3").write_bytes(damaged)
    program = (
        "import sys; from pathlib import Path; from contextlib import suppress\n"
        "from genreclf.errors import GenreclfError; from genreclf.frontend.audio import read_audio\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    with suppress(GenreclfError): read_audio(path)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from signals import RATE_HZ, SIGNALS

from genreclf.data.demo import render
from genreclf.errors import GenreclfError
from genreclf.frontend.clip import Clip, is_clip, read_clip, read_upload, samples_clip
from genreclf.frontend.log_mel import log_mel
from genreclf.frontend.picture import write_picture


def wav(path: Path, samples: np.ndarray) -> Path:
    soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
    return path


def assert_same(one: Clip, other: Clip) -> None:
    np.testing.assert_array_equal(one.levels, other.levels)
    assert (one.frames, one.source_rate_hz, one.note) == (other.frames, other.source_rate_hz, other.note)
    assert one.source_seconds == pytest.approx(other.source_seconds)


def test_a_clip_is_the_same_as_file_as_upload_and_as_samples(tmp_path):
    samples = np.stack([SIGNALS["noise"], SIGNALS["chirp"]], axis=1)
    path = wav(tmp_path / "stereo.wav", samples)
    clip = read_clip(path, 30.0)
    np.testing.assert_array_equal(clip.levels, log_mel(samples.mean(axis=1)))
    assert (clip.frames, clip.source_rate_hz, clip.source_seconds, clip.note) == (130, RATE_HZ, 3.0, "")
    assert_same(read_upload(path.read_bytes(), 30.0, 60.0), clip)
    assert_same(samples_clip(samples, RATE_HZ), clip)


def test_a_picture_shows_the_given_seconds(tmp_path):
    levels = log_mel(render("shuffle", 0, 0, 8.0).astype(np.float32))
    write_picture(tmp_path / "a.PNG", levels, "magma")
    clip = read_clip(tmp_path / "a.PNG", 10.0)
    np.testing.assert_array_equal(clip.levels, levels)
    assert (clip.frames, clip.source_rate_hz, clip.source_seconds) == (431, 0, 10.0)
    assert clip.note == "figure: magma, bands to 11,025 Hz"
    assert_same(read_upload((tmp_path / "a.PNG").read_bytes(), 10.0, 60.0), clip)


def test_length_is_bounded(tmp_path):
    path = wav(tmp_path / "long.wav", SIGNALS["noise"])
    for read in (lambda: read_clip(path, 30.0, max_seconds=2), lambda: read_upload(path.read_bytes(), 30.0, 2)):
        with pytest.raises(GenreclfError, match="longer than 2 s"):
            read()


@pytest.mark.parametrize("suffix", [".wav", ".png"])
def test_a_file_system_that_fails_is_one_line_with_the_name(tmp_path, suffix):
    path = tmp_path / ("x" * 300 + suffix)  # too long a name
    with pytest.raises(GenreclfError, match=r"x\.?(wav|png): .*too long"):
        read_clip(path, 30.0)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n and no picture"])
def test_what_is_no_clip_is_refused_as_upload(content):
    with pytest.raises(GenreclfError, match=r"^upload: ") as caught:
        read_upload(content, 30.0, 60.0)
    assert "/proc" not in str(caught.value)


def test_suffixes_of_clips():
    assert [name for name in ("a.wav", "b.Mp3", ".c.wav", "d.png", "e.txt", "wav") if is_clip(name)] == [
        "a.wav",
        "b.Mp3",
        "d.png",
    ]

"""Damaged and strange files become a clip or a row with a reason, in little time and memory, whatever their bytes."""

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import bad_audio
import numpy as np
import pytest
from av_files import av_encoded
from bad_audio import CASES, Case, aiff, comm, encoded, fmt, patched, summed, wav
from hypothesis import given, settings
from hypothesis import strategies as st

from genreclf.data.store import Row, open_store
from genreclf.errors import GenreclfError
from genreclf.frontend import limits
from genreclf.frontend.audio import SAMPLE_RATE_HZ, read_audio
from genreclf.frontend.av_audio import AvDecoder
from genreclf.frontend.content import TOO_SHORT
from genreclf.frontend.limits import MAX_SECONDS
from genreclf.frontend.sndfile_audio import SndfileDecoder

MAX_BYTES_OF_MEMORY = 2 * 10**9

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    bad_audio.write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def report(corpus, tmp_path_factory) -> dict:
    """The report of the process that reads the corpus. A file that hangs or crashes ends that process, not this one."""
    folder = tmp_path_factory.mktemp("report")
    words = [sys.executable, bad_audio.__file__, corpus, folder / "cache", folder / "report.json"]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}  # of the tests' modules
    process = subprocess.run(
        words, capture_output=True, text=True, errors="replace", check=False, env={**os.environ, **paths}
    )
    assert process.returncode == 0, process.stderr[-2_000:]
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def rows(report) -> dict[str, Row]:
    return {row.path: row for row in open_store(Path(report["store"])).rows}


def told(message: str, path: Path) -> str:
    """Returns the part of a message after the file name, and checks that it is one line."""
    assert message.startswith(f"{path}: ")
    said = message.removeprefix(f"{path}: ")
    assert one_clear_line(said)
    return said


def one_clear_line(text: str) -> bool:
    return text.isprintable() and len(text) < 200 and "Traceback" not in text and "Error:" not in text


# --- The corpus -------------------------------------------------------------------------------------------------------


def test_the_corpus_holds_many_files_of_all_three_outcomes():
    assert len({case.path for case in CASES}) == len(CASES)
    ends = [case.path.split("/")[0] for case in CASES]
    assert min(ends.count(end) for end in ("whole", "noted", "refused")) >= 30


@each_case
def test_each_file_is_a_clip_or_a_row_with_a_reason(case, corpus, report, rows):
    if (corpus / case.path).is_dir():
        assert case.path not in rows
        return
    row = rows[case.path]
    if case.refused:
        assert (row.columns, row.frames, row.source_seconds) == (0, 0, 0)
        assert re.fullmatch(case.refused, told(row.problem, corpus / case.path))
        return
    unsuitable = report["read"][case.path]["unsuitable"]
    if unsuitable and not unsuitable.startswith(TOO_SHORT):  # a tone, silence
        assert (row.columns, row.frames) == (0, 0)
        assert unsuitable in row.problem
    else:
        assert row.columns == row.frames >= 1
        assert row.source_rate_hz == case.rate_hz
        assert row.source_seconds == pytest.approx(case.seconds, abs=0.025)
        assert re.fullmatch(case.problem, row.problem)


@each_case
def test_each_file_is_read_or_refused(case, corpus, report):  # after the report has shown that none hangs or crashes
    path = corpus / case.path
    if case.refused:
        with pytest.raises(GenreclfError) as caught:
            read_audio(path)
        assert re.fullmatch(case.refused, told(str(caught.value), path))
        return
    result = read_audio(path)
    assert result.source_rate_hz == case.rate_hz
    assert re.fullmatch(case.problem, result.problem)
    assert len(result.waveform) == pytest.approx(result.source_seconds * SAMPLE_RATE_HZ, abs=1)
    if case.sound:
        assert missed(result.waveform, case) <= case.error


def missed(waveform: np.ndarray, case: Case) -> float:
    """Returns the RMS difference between a waveform and the sound, except at the ends, which resampling changes."""
    difference = waveform - case.sound(np.arange(len(waveform)) / SAMPLE_RATE_HZ)
    inner = difference[len(waveform) // 20 : -(len(waveform) // 8)]
    return float(np.sqrt(np.mean(inner**2)))


def test_no_file_takes_long(report):
    assert len(report["read"]) == len(CASES)
    assert max(one["seconds"] for one in report["read"].values()) < bad_audio.MAX_SECONDS_A_FILE


@pytest.mark.skipif(sys.platform != "linux", reason="the memory is read from Linux's /proc")
def test_all_of_it_takes_little_memory(report):
    assert report["peak_bytes"] < MAX_BYTES_OF_MEMORY


OUT_OF_BOUNDS = [case for case in CASES if re.match(r"sample rate|\d+ channels|longer than|more than", case.refused)]


@pytest.mark.parametrize("case", OUT_OF_BOUNDS, ids=lambda case: case.path)
def test_what_is_out_of_bounds_is_refused_before_it_is_decoded(case, corpus, report, monkeypatch):
    for decoder in (SndfileDecoder, AvDecoder):
        monkeypatch.setattr(decoder, "blocks", None)  # decoding would be a TypeError
    with pytest.raises(GenreclfError):
        read_audio(corpus / case.path)


def test_decoding_stops_at_the_bounds_when_the_header_lied(tmp_path, monkeypatch):
    path = tmp_path / "liar.flac"
    path.write_bytes(bad_audio.flac(0))
    with pytest.raises(GenreclfError, match=r"longer than 0\.3 s"):
        read_audio(path, max_seconds=0.3)
    monkeypatch.setattr(limits, "MAX_SAMPLES", 20_000)
    with pytest.raises(GenreclfError, match="more than 20,000 samples"):
        read_audio(path)


# --- Any bytes --------------------------------------------------------------------------------------------------------

SEEDS = {
    "pcm.wav": wav(fmt(), bad_audio.DATA[:1_000]),
    "adpcm.wav": encoded("WAV", "IMA_ADPCM", seconds=0.05),
    "gsm.wav": encoded("WAV", "GSM610", seconds=0.05),
    "float.wavex": encoded("WAVEX", "FLOAT", channels=2, seconds=0.02),
    "pcm.rf64": encoded("RF64", "PCM_16", seconds=0.02),
    "pcm.w64": encoded("W64", "PCM_24", seconds=0.02),
    "pcm.aiff": aiff(comm(), bad_audio.SSND[:1_000]),
    "ulaw.aiff": encoded("AIFF", "ULAW", seconds=0.02),
    "pcm.au": bad_audio.au()[:1_000],
    "alac.caf": encoded("CAF", "ALAC_16", seconds=0.02),
    "pcm.flac": bad_audio.flac(seconds=0.1),
    "vorbis.ogg": encoded("OGG", "VORBIS", 44_100, 2, seconds=0.1),
    "opus.ogg": encoded("OGG", "OPUS", 48_000, 2, seconds=0.1),
    "aac.m4a": av_encoded("ipod", "aac", seconds=0.1),
    "alac.m4a": av_encoded("ipod", "alac", seconds=0.02),
    "adts.aac": av_encoded("adts", "aac", seconds=0.1),
    "opus.webm": av_encoded("webm", "libopus", 48_000, seconds=0.1),
    "flac.mka": av_encoded("matroska", "flac", seconds=0.05),
    "wmav2.wma": av_encoded("asf", "wmav2", seconds=0.2),
    "ac3.ac3": av_encoded("ac3", "ac3", seconds=0.1),
    "wavpack.wv": av_encoded("wv", "wavpack", seconds=0.02),
    "tta.tta": av_encoded("tta", "tta", seconds=0.02),
    "mp3.avi": av_encoded("avi", "libmp3lame", seconds=0.1, video="mpeg4"),
    "aac.ts": av_encoded("mpegts", "aac", seconds=0.1),
    "aac.flv": av_encoded("flv", "aac", seconds=0.1),
    "layer-3.mp3": bad_audio.id3v2(20) + bytes(20) + bad_audio.mp3(seconds=0.1),
}
BOUNDARIES = [0, 1, 2, 3, 16, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1]
EDITS = {
    "flip": lambda data, at, value: patched(data, at, bytes([data[at] ^ (value % 255 + 1)])),
    "two bytes": lambda data, at, value: patched(data, at, struct.pack("<H", value % 2**16)),
    "two bytes, swapped": lambda data, at, value: patched(data, at, struct.pack(">H", value % 2**16)),
    "four bytes": lambda data, at, value: patched(data, at, struct.pack("<I", value)),
    "four bytes, swapped": lambda data, at, value: patched(data, at, struct.pack(">I", value)),
    "eight bytes": lambda data, at, value: patched(data, at, struct.pack("<Q", value << 32 | value)),
    "insert": lambda data, at, value: data[:at] + value.to_bytes(4, "little") * (value % 5 + 1) + data[at:],
    "remove": lambda data, at, value: data[:at] + data[at + value % 50 + 1 :],
    "cut": lambda data, at, value: data[: at + 1],
}
edits = st.tuples(
    st.sampled_from(sorted(EDITS)), st.integers(0, 255), st.sampled_from(BOUNDARIES) | st.integers(0, 2**32 - 1)
)


@settings(max_examples=600)
@given(name=st.sampled_from(sorted(SEEDS)), changes=st.lists(edits, min_size=1, max_size=5))
def test_a_damaged_header_gives_a_sound_clip_or_one_line(name, changes, tmp_path_factory):
    data = SEEDS[name]
    for kind, at, value in changes:
        data = EDITS[kind](data, at % len(data), value) or b"\0"
    path = tmp_path_factory.getbasetemp() / f"damaged-{name}"
    path.write_bytes(summed(data) if name.endswith(".ogg") else data)
    try:
        result = read_audio(path)
    except GenreclfError as error:
        assert told(str(error), path)
    else:
        assert result.waveform.dtype == np.float32
        assert np.isfinite(result.waveform).all()
        assert 0 < len(result.waveform) <= MAX_SECONDS * SAMPLE_RATE_HZ + 1
        assert 0 < result.source_seconds <= MAX_SECONDS
        assert one_clear_line(result.problem)

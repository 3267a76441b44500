"""Intact, damaged and strange files with audio suffixes, and the expected result of reading each: `CASES`.

As a script, `bad_audio.py FOLDER CACHE REPORT` reads the files and builds a store from them, so that a hang or a crash
ends that process and not the tests.
"""

import io
import json
import os
import re
import signal
import struct
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from av_files import av_encoded

from genreclf.data.build_store import build_store
from genreclf.data.sources import list_sources
from genreclf.errors import GenreclfError
from genreclf.frontend.audio import AUDIO_SUFFIXES
from genreclf.frontend.clip import read_clip

RATE_HZ = 22_050
TONE_HZ = 440
SECONDS = 0.5
MAX_SECONDS_A_FILE = 10
SIX_HOURS = 6 * 3_600 * 8_000
NOISE = np.random.default_rng(0).bytes(20_000)
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0" + NOISE
TEXT = b"these are words and no music at all\n" * 500


@dataclass(frozen=True)
class Case:
    """A file, and the expected result of reading it.

    `content` is the file's bytes or a function that writes it. `refused` is the reason for a refusal and `problem` the
    note on a clip, each as a regular expression for the whole text, or "". A clip's `sound` is a function of time, and
    `error` is the largest RMS difference from it.
    """

    name: str
    content: bytes | Callable[[Path], object]
    refused: str = ""
    problem: str = ""
    seconds: float = SECONDS
    rate_hz: int = RATE_HZ
    channels: int = 1
    sound: Callable[[np.ndarray], np.ndarray] | None = None
    error: float = 1e-4

    @property
    def path(self) -> str:
        return f"{'refused' if self.refused else 'noted' if self.problem else 'whole'}/{self.name}"


def write_corpus(folder: Path) -> None:
    """Writes each file to the folder of its expected result: whole, noted or refused."""
    for case in CASES:
        path = folder / case.path
        path.parent.mkdir(exist_ok=True, parents=True)
        if isinstance(case.content, bytes):
            path.write_bytes(case.content)
        else:
            case.content(path)


# --- Sounds -----------------------------------------------------------------------------------------------------------


def tone(time: np.ndarray) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * TONE_HZ * time)


def chord(time: np.ndarray) -> np.ndarray:
    frequencies_hz = np.geomspace(100, 7_000, 60)
    return 0.02 * np.sin(2 * np.pi * frequencies_hz * time[:, None] + frequencies_hz).sum(axis=1)


def clipped(time: np.ndarray) -> np.ndarray:
    return np.clip(10 * tone(time), -1, 1)


def steady(time: np.ndarray) -> np.ndarray:
    return np.full(len(time), 0.25)


def silence(time: np.ndarray) -> np.ndarray:
    return np.zeros(len(time))


def samples(sound=tone, seconds: float = SECONDS, rate_hz: int = RATE_HZ, channels: int = 1) -> np.ndarray:
    """Returns (frames, channels). The channels differ, and their mean is the sound."""
    loudness = np.linspace(0.6, 1.4, channels) if channels > 1 else np.ones(1)
    return sound(np.arange(round(seconds * rate_hz)) / rate_hz)[:, None] * loudness


@cache
def encoded(format_: str, subtype: str, rate_hz: int = RATE_HZ, channels: int = 1, **options) -> bytes:
    """Encodes the tone with libsndfile. The options are those of `samples` and soundfile."""
    shape = {key: options.pop(key) for key in ("sound", "seconds") if key in options}
    buffer = io.BytesIO()
    sound = samples(rate_hz=rate_hz, channels=channels, **shape)
    soundfile.write(buffer, sound, rate_hz, format=format_, subtype=subtype, **options)
    return buffer.getvalue()


# --- Parts of files ---------------------------------------------------------------------------------------------------

PCM = (samples()[:, 0] * 2**15).round().astype("<i2").tobytes()
SWAPPED_PCM = np.frombuffer(PCM, "<i2").byteswap().tobytes()


def chunk(name: bytes, data: bytes = b"", size: int | None = None, order: str = "<") -> bytes:
    return name + struct.pack(order + "I", len(data) if size is None else size) + data + bytes(len(data) % 2)


def fmt(tag=1, channels=1, rate_hz=RATE_HZ, bytes_a_second=None, align=None, bits=16, extra=b"") -> bytes:
    align = channels * bits // 8 % 2**16 if align is None else align
    bytes_a_second = rate_hz * align % 2**32 if bytes_a_second is None else bytes_a_second
    fields = struct.pack("<HHIIHH", tag, channels, rate_hz, bytes_a_second, align, bits)
    return chunk(b"fmt ", fields + extra)


def wav(*chunks: bytes, size: int | None = None) -> bytes:
    return chunk(b"RIFF", b"WAVE" + b"".join(chunks), size)


DATA = chunk(b"data", PCM)
LONG = ("RF64", "BW64")


def long_wav(kind: str, fmt: bytes, data: bytes, *chunks: bytes) -> bytes:
    """A WAV file of more than 4 GB according to its header, which has the lengths in a separate chunk."""
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, len(data) - 8, 0, 0))
    content = b"WAVE" + ds64 + fmt + patched(data, 4, b"\xff" * 4) + b"".join(chunks)
    return chunk(kind.encode(), content, 2**32 - 1)


def w64_with_marks() -> bytes:
    """A W64 file with a chunk after the samples, as editors write it."""
    guid = b"levl" + bytes.fromhex("f3acd3118cd100c04f8edb8a")
    return encoded("W64", "PCM_16") + guid + struct.pack("<Q", 24 + len(NOISE)) + NOISE


def aiff(*chunks: bytes, size: int | None = None) -> bytes:
    return chunk(b"FORM", b"AIFF" + b"".join(chunks), size, ">")


def comm(channels=1, frames=11_025, bits=16, rate=b"\x40\x0d\xac\x44" + bytes(6)) -> bytes:
    """AIFF's header. The rate is an 80-bit float, by default 22,050."""
    return chunk(b"COMM", struct.pack(">hIh", channels, frames, bits) + rate, order=">")


SSND = chunk(b"SSND", bytes(8) + SWAPPED_PCM, order=">")


def au(offset=24, size=22_050, encoding=3, rate_hz=RATE_HZ, channels=1) -> bytes:
    return struct.pack(">4sIIIII", b".snd", offset, size, encoding, rate_hz, channels) + SWAPPED_PCM


def flac(frames: int | None = None, rate_hz: int = 44_100, channels: int = 2, **options) -> bytes:
    """A FLAC file. `frames` is the number in the header, 0 for unknown: the last 36 bits before the checksum."""
    data = encoded("FLAC", "PCM_16", rate_hz, channels, **options)
    if frames is None:
        return data
    return patched(data, 21, struct.pack(">BI", data[21] & 0xF0 | frames >> 32, frames & 0xFFFF_FFFF))


def flac_head(rate_hz: int, channels: int, frames: int) -> bytes:
    """The first 42 bytes of a FLAC file, for one with nothing useful after them."""
    packed = rate_hz << 44 | (channels - 1) << 41 | 15 << 36 | frames
    return b"fLaC\x80\0\0\x22" + struct.pack(">HH", 4_096, 4_096) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)


def mp3(**options) -> bytes:
    return encoded("MP3", "MPEG_LAYER_III", 44_100, 2, **options)


def headless(mp3: bytes) -> bytes:
    """Removes the frame that gives the length, before the first frame of music."""
    return mp3[mp3.index(mp3[:2], 100) :]


def xing(mp3: bytes, frames: int) -> bytes:
    """Changes the number of frames in the frame that gives the length."""
    mark = b"Xing" if b"Xing" in mp3 else b"Info"
    return patched(mp3, mp3.index(mark) + 8, struct.pack(">I", frames))


def pages(ogg: bytes) -> list[bytes]:
    return [b"OggS" + rest for rest in ogg.split(b"OggS")[1:]]


def summed(ogg: bytes) -> bytes:
    """Corrects the checksum of each page, because pages with a wrong one are skipped."""
    return b"".join(patched(page, 22, struct.pack("<I", ogg_sum(patched(page, 22, bytes(4))))) for page in pages(ogg))


def ogg_sum(data: bytes) -> int:
    """CRC-32 with the most significant bit first; zlib has the least significant one first. Nothing is inverted."""
    remainder = zlib.crc32(data.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{remainder:032b}"[::-1], 2)


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def last_page_at(ogg: bytes, frames: int) -> bytes:
    """Changes the position in the last page, which alone gives the length of an Ogg file."""
    *rest, last = pages(ogg)
    return summed(b"".join(rest) + patched(last, 6, struct.pack("<q", frames)))


def even_mp3() -> bytes:
    return mp3(seconds=3, bitrate_mode="CONSTANT", compression_level=0.5)


def ogg() -> bytes:
    """An Ogg file of a chord, because a tone has too few pages to lose some."""
    return encoded("OGG", "VORBIS", 44_100, 2, sound=chord, seconds=3)


def opus() -> bytes:
    return encoded("OGG", "OPUS", 48_000, 2, sound=chord, seconds=3)


def id3v2(size: int) -> bytes:
    """The head of a tag of this size, which is stored with seven bits per byte."""
    return b"ID3\x04\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


ID3V1 = b"TAG" + b"a song".ljust(125, b"\0")
APE_TAG = b"APETAGEX" + struct.pack("<4I", 2_000, 32, 0, 0xA000_0000) + bytes(8 + 32)


def ape_tag(cover: bytes) -> bytes:
    """An APE tag with a header and a footer, which differ in one flag."""
    item = struct.pack("<2I", len(cover), 2) + b"Cover Art (Front)\0" + cover
    ends = [struct.pack("<4I8x", 2_000, len(item) + 32, 1, flags) for flags in (0xA000_0000, 0x8000_0000)]
    return b"APETAGEX" + ends[0] + item + b"APETAGEX" + ends[1]


def six_hours_of_wavpack() -> bytes:
    """A WavPack file that claims six hours: the number of samples is in bytes 12 to 16 of the first block."""
    return patched(av_encoded("wv", "wavpack"), 12, struct.pack("<I", SIX_HOURS // 8_000 * 44_100))


def at_rate(alac: bytes, rate_hz: int) -> bytes:
    """Changes the sample rate in the sample entry and in the decoder's configuration."""
    rate = struct.pack(">I", 44_100)
    return alac.replace(rate, struct.pack(">I", rate_hz)).replace(rate[2:] + b"\0\0", struct.pack(">HH", rate_hz, 0))


def patched(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def hole(data: bytes, filling: bytes = bytes(2_000)) -> bytes:
    return patched(data, len(data) // 2, filling)


def sparse(head: bytes, size: int, tail: bytes = b"") -> Callable[[Path], object]:
    """Returns a function that writes a file with zeros between head and tail, which take no space on the disk."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size - len(tail))
            file.seek(0, os.SEEK_END)
            file.write(tail)

    return write


def unreadable(path: Path) -> None:
    path.write_bytes(wav(fmt(), DATA))
    path.chmod(0)


# --- The table --------------------------------------------------------------------------------------------------------

NO_SOUND = r".*NaN.*; scale or repair them"
NO_FILE = r"not a regular file; give a .+ file"
BROKEN_LINK = r"a broken link; give a .+ file"
NO_RIGHT = r".+ change its permissions"
TOO_LONG = r"longer than 2 hours; cut it into shorter files"
TOO_MUCH = r"more than 1,073,741,824 samples in its channels; cut it or resample it"


def bad_rate(rate: str) -> str:
    return rf"sample rate {rate} Hz; resample it to 1,000 to 768,000 Hz"


def no_audio(why: str = ".+") -> str:
    return rf"cannot be read as audio \({why}\); give a .+ audio file"


UNKNOWN = no_audio("format not recognised")
NO_SAMPLES = no_audio("no samples could be decoded")
NO_CHANNELS = no_audio("its header gives no sample rate or no channels")
NO_CODING = no_audio("its coding is not known")
NO_DATA = no_audio("libsndfile: Error in WAV file. No 'data' chunk marker")


def truncated(said: float, decoded: float) -> str:
    return rf"truncated: header says {said} s, {decoded} s decoded"


CLIPPED = r"clipped: \d\d.\d% of the samples at full scale"


def left_out(percent: str, decoded: float) -> str:
    return rf"{percent}% of the file not decoded \(tags, or more music\), {decoded} s decoded"


ENCODINGS = [
    Case(name, encoded(*how), sound=tone, error=error)
    for name, how, error in [
        ("u8.wav", ("WAV", "PCM_U8"), 5e-3),
        ("s16.wav", ("WAV", "PCM_16"), 1e-4),
        ("s24.wav", ("WAV", "PCM_24"), 1e-6),
        ("s32.wav", ("WAV", "PCM_32"), 1e-6),
        ("float.wav", ("WAV", "FLOAT"), 1e-6),
        ("double.wav", ("WAV", "DOUBLE"), 1e-6),
        ("ulaw.wav", ("WAV", "ULAW"), 6e-3),
        ("alaw.wav", ("WAV", "ALAW"), 6e-3),
        ("ima-adpcm.wav", ("WAV", "IMA_ADPCM"), 5e-3),
        ("ms-adpcm.wav", ("WAV", "MS_ADPCM"), 2e-3),
        ("gsm.wav", ("WAV", "GSM610"), 2e-2),
        ("g721.wav", ("WAV", "G721_32"), 2e-3),
        ("nms-adpcm.wav", ("WAV", "NMS_ADPCM_32"), 1e-3),
        ("s24.wavex.wav", ("WAVEX", "PCM_24"), 1e-6),
        ("float.wavex.wav", ("WAVEX", "FLOAT"), 1e-6),
        ("s16.rf64.wav", ("RF64", "PCM_16"), 1e-4),
        ("s16.w64.wav", ("W64", "PCM_16"), 1e-4),
        ("s8.aiff", ("AIFF", "PCM_S8"), 5e-3),
        ("s16.aiff", ("AIFF", "PCM_16"), 1e-4),
        ("s24.aif", ("AIFF", "PCM_24"), 1e-6),
        ("float.aiff", ("AIFF", "FLOAT"), 1e-6),
        ("ulaw.aiff", ("AIFF", "ULAW"), 6e-3),
        ("ima-adpcm.aiff", ("AIFF", "IMA_ADPCM"), 5e-3),
        ("dwvw.aiff", ("AIFF", "DWVW_16"), 1e-4),
        ("s16.au", ("AU", "PCM_16"), 1e-4),
        ("double.au", ("AU", "DOUBLE"), 1e-6),
        ("ulaw.au", ("AU", "ULAW"), 6e-3),
        ("g721.au", ("AU", "G721_32"), 2e-3),
        ("s8.flac", ("FLAC", "PCM_S8"), 5e-3),
        ("s16.flac", ("FLAC", "PCM_16"), 1e-4),
        ("s24.flac", ("FLAC", "PCM_24"), 1e-6),
        ("vorbis.ogg", ("OGG", "VORBIS"), 5e-3),
        ("layer-3.mp3", ("MP3", "MPEG_LAYER_III"), 5e-3),
        ("s16.caf.wav", ("CAF", "PCM_16"), 1e-4),
        ("alac.caf.wav", ("CAF", "ALAC_16"), 1e-4),
    ]
]

# The sound that most files in the table below decode to.
STEREO = {"rate_hz": 44_100, "channels": 2, "sound": tone}
MP3 = STEREO | {"error": 5e-3}
OGG = STEREO | {"sound": chord, "error": 2e-2}
OPUS = OGG | {"rate_hz": 48_000}
MOVED_UP = STEREO | {"sound": None}  # the sound after lost frames comes too early
BROKEN_OGG = OGG | {"sound": None}
HEADLESS = STEREO | {"sound": None}  # begins with the encoder's silence
HALF = {"seconds": 0.25, "sound": tone, "problem": truncated(0.5, 0.2)}
HALF_AV = {"rate_hz": 48_000, "channels": 2, "problem": r"truncated: header says 3.0 s, 1.\d s decoded"}
CUT_BLOCK = r"truncated: the last block is cut off, \d\.\d s decoded"
CUT_AAC = {"rate_hz": 44_100, "channels": 2, "problem": CUT_BLOCK}
HALF_ADPCM = {"seconds": 0.277, "problem": truncated(0.6, 0.3), "error": 5e-3}  # in whole blocks

RATES_AND_CHANNELS = [
    Case("1-hz.wav", wav(fmt(rate_hz=1), DATA), refused=bad_rate("1")),
    Case("999-hz.wav", wav(fmt(rate_hz=999), DATA), refused=bad_rate("999")),
    Case("1-khz.flac", flac(rate_hz=1_000), rate_hz=1_000, channels=2, sound=tone, error=5e-3),
    Case("opus.ogg", encoded("OGG", "OPUS", 48_000, 2), rate_hz=48_000, channels=2, sound=tone, error=5e-3),
    Case("768-khz.wav", encoded("WAV", "PCM_24", 768_000), rate_hz=768_000, sound=tone, error=1e-6),
    Case("768001-hz.wav", wav(fmt(rate_hz=768_001), DATA), refused=bad_rate("768,001")),
    Case("2-ghz.au", au(rate_hz=2**31 - 1), refused=bad_rate("2,147,483,647")),
    Case("4-ghz.wav", wav(fmt(rate_hz=2**32 - 1), DATA), refused=no_audio()),
    Case("2-ghz.ogg", summed(patched(ogg(), 40, b"\xff\xff\xff\x7f")), refused=bad_rate("2,147,483,647")),
    Case("0-hz.wav", wav(fmt(rate_hz=0), DATA), refused=NO_CHANNELS),
    Case("0-hz.au", au(rate_hz=0), refused=no_audio()),
    Case("nan-hz.aiff", aiff(comm(rate=b"\xff" * 10), SSND), refused=no_audio()),
    Case("0-channels.wav", wav(fmt(channels=0), DATA), refused=NO_CHANNELS),
    Case("0-channels.aiff", aiff(comm(channels=0), SSND), refused=no_audio("libsndfile: Bad channel count")),
    Case("0-channels.ogg", summed(patched(ogg(), 39, b"\0")), refused=NO_CHANNELS),
    Case("32-channels.wav", encoded("WAV", "PCM_16", channels=32), channels=32, sound=tone),
    Case("33-channels.wav", encoded("WAV", "PCM_16", channels=33), refused="33 channels; mix it down to 32 or fewer"),
    Case("65535-channels.wav", wav(fmt(channels=65_535), DATA), refused=NO_CHANNELS),
    Case("2147483648-channels.au", au(channels=2**31), refused=no_audio()),
]
LENGTHS = [
    Case("empty.wav", b"", refused="empty; copy it again"),
    Case("one-byte.mp3", b"\xff", refused=UNKNOWN),
    Case("no-sample.wav", wav(fmt(), chunk(b"data")), refused=NO_SAMPLES),
    Case("no-sample.flac", flac_head(44_100, 2, 0), refused=NO_SAMPLES),
    Case("no-sample.aiff", aiff(comm(frames=0), SSND[:16]), refused=NO_SAMPLES),
    Case("one-sample.wav", wav(fmt(), chunk(b"data", PCM[:2])), seconds=1 / RATE_HZ),
    Case("one-sample.flac", encoded("FLAC", "PCM_16", seconds=1 / RATE_HZ), seconds=1 / RATE_HZ),
    Case("10-ms.wav", encoded("WAV", "PCM_16", seconds=0.01), seconds=0.01, sound=tone, error=0.01),
    Case("10-ms.ogg", encoded("OGG", "VORBIS", seconds=0.01), seconds=0.01),
    Case("10-ms.mp3", mp3(seconds=0.01), seconds=0.01, rate_hz=44_100, channels=2),
    Case(
        "six-hours.wav", sparse(wav(fmt(rate_hz=8_000, bits=8)) + chunk(b"data", size=SIX_HOURS), SIX_HOURS), TOO_LONG
    ),
    Case("six-hours.flac", flac_head(44_100, 2, 6 * 3_600 * 44_100) + NOISE, refused=TOO_LONG),
    Case("six-hours.ogg", last_page_at(ogg(), 6 * 3_600 * 44_100), refused=TOO_LONG),
    Case("six-hours.mp3", xing(mp3(), 6 * 3_600 * 44_100 // 1_152), refused=TOO_LONG),
    Case("2-hours-at-655-khz.flac", flac_head(655_350, 1, 7_200 * 655_350), refused=TOO_MUCH),
    Case("longer-than-told.flac", flac(11_025), **STEREO),
    Case("shorter-than-told.flac", flac(44_100), **STEREO, problem=truncated(1.0, 0.5)),
    Case("a-quarter-of-told.flac", flac(88_200), **STEREO, problem=truncated(2.0, 0.5)),
    Case("length-not-told.flac", flac(0), **STEREO),
    Case("longer-than-told.mp3", xing(mp3(seconds=3), 40), seconds=3, **MOVED_UP),
    Case("shorter-than-told.mp3", xing(mp3(), 100), **MP3, problem=truncated(2.6, 0.5)),
    Case("longer-than-told.ogg", last_page_at(ogg(), 44_100), seconds=3, **OGG),
    Case("shorter-than-told.ogg", last_page_at(ogg(), 441_000), seconds=3, **OGG, problem=truncated(10.0, 3.0)),
    Case("data-size-0.wav", wav(fmt(), chunk(b"data", PCM, 0)), sound=tone),
    Case("data-size-ffffffff.wav", wav(fmt(), chunk(b"data", PCM, 2**32 - 1)), sound=tone),
    Case("data-size-80000000.wav", wav(fmt(), chunk(b"data", PCM, 2**31)), sound=tone),
    Case("data-size-too-short.wav", wav(fmt(), chunk(b"data", PCM, 11_026)), **HALF | {"problem": left_out("50", 0.3)}),
    Case("data-size-too-long.wav", wav(fmt(), chunk(b"data", PCM, 88_200)), sound=tone, problem=truncated(2.0, 0.5)),
    Case("data-size-triple.wav", wav(fmt(), chunk(b"data", PCM, 132_300)), sound=tone, problem=truncated(3.0, 0.5)),
    Case("riff-size-0.wav", wav(fmt(), DATA, size=0), sound=tone),
    Case("riff-size-ffffffff.wav", wav(fmt(), DATA, size=2**32 - 1), sound=tone),
    Case("frames-lie.aiff", aiff(comm(frames=2**32 - 1), SSND), sound=tone),
    Case("ssnd-size-ffffffff.aiff", aiff(comm(), patched(SSND, 4, b"\xff" * 4)), sound=tone),
    Case("size-unknown.au", au(size=2**32 - 1), sound=tone),
]
VALUES = [
    Case("nan.wav", encoded("WAV", "FLOAT", sound=lambda t: np.where(t > 0.4, np.nan, t)), refused=NO_SOUND),
    Case("one-infinity.wav", encoded("WAV", "DOUBLE", sound=lambda t: np.where(t == 0, np.inf, t)), refused=NO_SOUND),
    Case("minus-infinity.au", encoded("AU", "FLOAT", sound=lambda t: np.where(t == 0, -np.inf, t)), refused=NO_SOUND),
    Case("1e30.aiff", encoded("AIFF", "FLOAT", sound=lambda t: np.where(t > 0.1, 1e30, t)), refused=NO_SOUND),
    Case("1e300.wav", encoded("WAV", "DOUBLE", sound=lambda t: np.where(t > 0.1, 1e300, t)), refused=NO_SOUND),
    Case("1e-40.wav", encoded("WAV", "FLOAT", sound=lambda t: 1e-40 * tone(t)), sound=silence, error=1e-39),
    Case("silence.wav", encoded("WAV", "PCM_16", sound=silence), sound=silence, error=0),
    Case("silence.mp3", mp3(sound=silence), rate_hz=44_100, channels=2, sound=silence, error=1e-6),
    Case("silence.ogg", encoded("OGG", "VORBIS", sound=silence), sound=silence, error=1e-6),
    Case("steady.flac", encoded("FLAC", "PCM_16", sound=steady), sound=steady),
    Case("clipped.wav", encoded("WAV", "PCM_16", sound=clipped), sound=clipped, problem=CLIPPED),
]
CHUNKS = [
    Case("list-before-data.wav", wav(fmt(), chunk(b"LIST", b"INFO" + chunk(b"INAM", b"a song")), DATA), sound=tone),
    Case("unknown-chunk.wav", wav(fmt(), chunk(b"what", NOISE), DATA), sound=tone),
    Case("unknown-chunk-of-size-0.wav", wav(fmt(), chunk(b"what"), DATA), sound=tone),
    Case("unknown-chunk-of-4-gb.wav", wav(fmt(), chunk(b"what", size=2**32 - 1), DATA), refused=NO_DATA),
    Case("unknown-chunk-of-2-gb.wav", wav(fmt(), chunk(b"what", size=2**31), DATA), refused=NO_DATA),
    Case("list-too-long.wav", wav(fmt(), chunk(b"LIST", b"INFO", 10**6), DATA), refused=NO_DATA),
    Case("100000-chunks.wav", wav(fmt(), chunk(b"what") * 100_000, DATA), sound=tone),
    Case("tag-behind-data.wav", wav(fmt(), DATA, chunk(b"id3 ", NOISE)), sound=tone),
    Case(
        "two-tags-behind-data.wav", wav(fmt(), DATA, chunk(b"LIST", b"INFO" + NOISE), chunk(b"id3 ", NOISE)), sound=tone
    ),
    Case(
        "cut-tag-behind-data.wav",
        wav(fmt(), DATA, chunk(b"id3 ", NOISE, 10**6)),
        sound=tone,
        problem=left_out("48", 0.5),
    ),
    Case("tag-behind-data.aiff", aiff(comm(), SSND, chunk(b"ID3 ", NOISE, order=">")), sound=tone),
    Case("noise-behind-data.wav", wav(fmt(), DATA, NOISE), sound=tone, problem=left_out("48", 0.5)),
    Case("no-fmt.wav", wav(DATA), refused=NO_DATA),
    Case("fmt-behind-data.wav", wav(DATA, fmt()), sound=tone),
    Case("two-fmts.wav", wav(fmt(), fmt(rate_hz=8_000), DATA), sound=tone),
    Case("fmt-size-0.wav", wav(chunk(b"fmt "), DATA), refused=no_audio(".*Short 'fmt ' chunk")),
    Case("fmt-size-ffffffff.wav", wav(patched(fmt(), 4, b"\xff" * 4), DATA), refused=no_audio(".*Short 'fmt ' chunk")),
    Case("no-data.wav", wav(fmt()), refused=NO_DATA),
    Case("zeros-for-data.wav", wav(fmt(), bytes(20_000)), refused=NO_DATA),
    Case("two-datas.wav", wav(fmt(), DATA, DATA), sound=tone, problem=left_out("50", 0.5)),
    Case("two-files.wav", wav(fmt(), DATA) * 2, sound=tone, problem=left_out("50", 0.5)),
    Case("two-files.aiff", aiff(comm(), SSND) * 2, sound=tone, problem=left_out("50", 0.5)),
    *(
        Case(f"tag-behind-data.{kind}.wav", long_wav(kind, fmt(), DATA, chunk(b"axml", NOISE)), sound=tone)
        for kind in LONG
    ),
    Case("marks-behind-data.w64.wav", w64_with_marks(), sound=tone, problem=left_out("47", 0.5)),
    Case("align-0.wav", wav(fmt(align=0), DATA), sound=tone),
    Case("align-7.wav", wav(fmt(align=7), DATA), sound=tone),
    Case("bits-0.wav", wav(fmt(bits=0), DATA), refused=NO_CODING),
    Case("bits-65535.wav", wav(fmt(bits=65_535), DATA), refused=NO_CODING),
    Case("bytes-a-second-0.wav", wav(fmt(bytes_a_second=0), DATA), sound=tone),
    Case("bytes-a-second-lie.wav", wav(fmt(bytes_a_second=2**32 - 1), DATA), sound=tone),
    Case("unknown-coding.wav", wav(fmt(tag=0x1234), DATA), refused=NO_CODING),
    Case("mp3-inside.wav", wav(fmt(tag=0x55), chunk(b"data", mp3())), seconds=0.57, rate_hz=44_100),
    Case(
        "ima-adpcm-align-0.wav",
        wav(fmt(tag=17, align=0, bits=4, extra=b"\2\0\xf9\1"), DATA),
        seconds=1.11,
        problem=".*",
    ),
    Case(
        "ms-adpcm-without-table.wav",
        wav(fmt(tag=2, align=256, bits=4), DATA),
        refused=no_audio("most of it is damaged or protected"),
    ),
    Case("wavex-without-guid.wav", wav(fmt(tag=0xFFFE), DATA), refused=NO_CODING),
    Case("rifx.wav", encoded("WAV", "PCM_16", endian="BIG"), sound=tone),
    Case("little-endian.au", encoded("AU", "PCM_16", endian="LITTLE"), sound=tone),
    Case("sowt.aiff", encoded("AIFF", "PCM_16", endian="LITTLE"), sound=tone),
    Case("riff-of-avi.wav", chunk(b"RIFF", b"AVI " + fmt() + DATA), refused=UNKNOWN),
    Case("ssnd-before-comm.aiff", aiff(SSND, comm()), sound=tone),
    Case("no-comm.aiff", aiff(SSND), refused=no_audio()),
    Case("no-ssnd.aiff", aiff(comm()), refused=no_audio()),
    Case("offset-0.au", au(offset=0), sound=tone),
    Case("offset-behind-the-end.au", au(offset=10**6), refused=NO_SAMPLES),
    Case("unknown-coding.au", au(encoding=99), refused=UNKNOWN),
]
CUT = [
    Case("half.wav", half(encoded("WAV", "PCM_16")), **HALF),
    Case("half.u8.wav", half(encoded("WAV", "PCM_U8")), **HALF, error=5e-3),
    Case("half.adpcm.wav", half(encoded("WAV", "IMA_ADPCM")), **HALF | HALF_ADPCM),
    Case("half.rf64.wav", half(encoded("RF64", "PCM_16")), **HALF),
    Case("half.w64.wav", half(encoded("W64", "PCM_16")), **HALF | {"problem": CUT_BLOCK}),
    Case("half.caf.wav", half(encoded("CAF", "PCM_16")), seconds=0.2, sound=tone, problem=CUT_BLOCK),
    Case("half.aiff", half(encoded("AIFF", "PCM_16")), **HALF),
    Case("half.au", half(encoded("AU", "PCM_16")), **HALF),
    Case("half.flac", half(flac(seconds=3)), seconds=1.49, **STEREO, problem=truncated(3.0, 1.5)),
    Case("half-length-not-told.flac", half(flac(0, seconds=3)), seconds=1.49, **STEREO, problem=CUT_BLOCK),
    Case("half.ogg", half(ogg()), seconds=1.25, **OGG, problem=r"truncated: no end page, 1.2 s decoded"),
    Case("half.opus.ogg", half(opus()), seconds=0.97, **OPUS, problem=r"truncated: no end page, 1.0 s decoded"),
    Case("half.mp3", half(mp3(seconds=3)), seconds=1.44, **MP3, problem=truncated(3.0, 1.4)),
    Case("head.wav", wav(fmt(), DATA)[:30], refused=NO_DATA),
    Case("head.aiff", aiff(comm(), SSND)[:30], refused=no_audio()),
    Case("head.au", au()[:20], refused=no_audio()),
    Case("head.flac", flac()[:30], refused=no_audio()),
    Case("head.ogg", ogg()[:100], refused=no_audio(".*file is malformed")),
    Case("head.mp3", mp3()[:100], refused=no_audio()),
]
HOLES = [
    Case("hole.flac", hole(flac(seconds=3)), seconds=2.91, **MOVED_UP, problem=truncated(3.0, 2.9)),
    Case("hole-length-not-told.flac", hole(flac(0, seconds=3)), seconds=2.91, **MOVED_UP),
    Case("mono-inside.flac", half(flac(seconds=3)) + half(flac(channels=1, seconds=3)), seconds=2.97, **MOVED_UP),
    Case("hole.ogg", hole(ogg()), seconds=2.56, **BROKEN_OGG, problem=truncated(3.0, 2.6)),
    Case("noise-inside.ogg", hole(ogg(), NOISE[:2_000]), seconds=2.56, **BROKEN_OGG, problem=truncated(3.0, 2.6)),
    Case("hole.opus.ogg", hole(opus()), seconds=2, **BROKEN_OGG | {"rate_hz": 48_000}, problem=truncated(3.0, 2.0)),
    Case("hole.mp3", hole(mp3(seconds=3)), seconds=2.67, **MOVED_UP, problem=truncated(3.0, 2.7)),
    Case(
        "noise-inside.mp3", hole(mp3(seconds=3), NOISE[:5_000]), seconds=2.22, **MOVED_UP, problem=truncated(3.0, 2.2)
    ),
    Case("broken-frame.mp3", hole(mp3(seconds=3), bytes(40)), seconds=3, **MP3 | {"error": 0.1}),
    Case("head-of-zeros.wav", patched(wav(fmt(), DATA), 0, bytes(44)), refused=UNKNOWN),
    Case("head-of-zeros.flac", patched(flac(), 0, bytes(42)), refused=UNKNOWN),
    Case("head-of-zeros.ogg", patched(ogg(), 0, bytes(58)), refused=UNKNOWN),
    Case("zeros-before.mp3", bytes(3_000) + mp3(), seconds=0.57, **HEADLESS),
]
TAGS = [  # and joined files
    Case("id3v2-of-100-mb.mp3", sparse(id3v2(100 * 2**20), 100 * 2**20 + 10 + len(mp3()), mp3()), **MP3),
    Case("id3v2-of-200-mb-that-are-not-there.mp3", id3v2(200 * 2**20) + mp3(), refused=UNKNOWN),
    Case("ten-id3v2.mp3", (id3v2(1_000) + bytes(1_000)) * 10 + mp3(), **MP3),
    Case("id3v1.mp3", mp3() + ID3V1, **MP3),
    Case("ape.mp3", mp3() + APE_TAG + ID3V1, **MP3),
    Case("ape-with-cover.mp3", mp3() + ape_tag(NOISE), **MP3),
    Case("ape-with-cover-and-id3v1.mp3", mp3() + ape_tag(NOISE) + ID3V1, **MP3),
    Case("id3v2.flac", id3v2(1_000) + bytes(1_000) + flac(), **STEREO),
    # The last frames were once lost because of a tag after them.
    Case("id3v1.flac", flac() + ID3V1, **STEREO),
    Case("length-not-told-id3v1.flac", flac(0) + ID3V1, **STEREO),
    Case("id3v2.wav", id3v2(1_000) + bytes(1_000) + wav(fmt(), DATA), sound=tone),
    Case("no-length.mp3", headless(mp3(seconds=3)), seconds=3.03, **HEADLESS),
    Case("no-length-even-bit-rate.mp3", headless(even_mp3()), seconds=3.03, **HEADLESS),
    Case("joined.mp3", mp3(seconds=3) * 3, seconds=9.12, **MOVED_UP),
    Case("joined.ogg", ogg() * 3, seconds=9.01, **BROKEN_OGG),
    Case("joined.flac", flac(seconds=3) * 3, seconds=9, **STEREO),
    Case("mono-joined-to-stereo.mp3", mp3() + encoded("MP3", "MPEG_LAYER_III"), seconds=1.11),
]
NO_MUSIC = [
    *(Case(f"text{suffix}", TEXT, refused=UNKNOWN) for suffix in AUDIO_SUFFIXES),
    *(Case(f"noise{suffix}", NOISE, refused=UNKNOWN) for suffix in AUDIO_SUFFIXES),
    Case("html.mp3", b"<!DOCTYPE html><html><body>404 Not Found</body></html>", refused=UNKNOWN),
    Case("picture.wav", PNG, refused=UNKNOWN),
    Case("archive.flac", b"PK\x03\x04" + NOISE, refused=UNKNOWN),
    Case("all-zeros.wav", bytes(100_000), refused=UNKNOWN),
    Case("all-ff.mp3", b"\xff" * 100_000, refused=UNKNOWN),
    # The fault of jazz.00054.wav in GTZAN: the correct size, but a header that is not RIFF.
    Case("jazz.00054.wav", NOISE[:44] + PCM, refused=UNKNOWN),
    # Two bytes by which libsndfile takes any file for a sampler's, and formats in which it invents missing samples.
    Case("sampler.wav", b"\x01\x04" + PCM, refused=UNKNOWN),
    Case("midi-dump.wav", encoded("SDS", "PCM_16"), refused=UNKNOWN),
    Case("matlab.wav", encoded("MAT5", "PCM_16"), refused=UNKNOWN),
    Case("folder.wav", Path.mkdir, refused=NO_FILE),
    Case("link-to-nowhere.wav", lambda path: path.symlink_to("nowhere"), refused=BROKEN_LINK),
    Case("link-to-itself.wav", lambda path: path.symlink_to(path), refused=BROKEN_LINK),
    Case("pipe.wav", os.mkfifo, refused=NO_FILE),
    *([Case("no-right.wav", unreadable, refused=NO_RIGHT)] if os.getuid() else []),
]
AV = STEREO | {"error": 2e-2}
OTHER_FORMATS = [
    Case("aac.m4a", av_encoded("ipod", "aac", seconds=1.0), seconds=1.02, **AV),
    Case("alac.m4a", av_encoded("ipod", "alac", seconds=1.0), seconds=1, **STEREO),
    Case("adts.aac", av_encoded("adts", "aac", seconds=1.0), seconds=1.02, **STEREO | {"sound": None}),
    Case("opus.webm", av_encoded("webm", "libopus", 48_000, seconds=1.0), seconds=1, **AV | {"rate_hz": 48_000}),
    Case("wmav2.wma", av_encoded("asf", "wmav2", seconds=1.0), seconds=0.98, **STEREO | {"sound": None}),
    Case("ac3.ac3", av_encoded("ac3", "ac3", seconds=1.0), seconds=1.01, **STEREO | {"sound": None}),
    Case("wavpack.wv", av_encoded("wv", "wavpack", seconds=1.0), seconds=1, **STEREO),
    Case("video.mp4", av_encoded("mp4", "aac", seconds=1.0, video="mpeg4"), seconds=1.02, **AV),
    Case("half.m4a", half(av_encoded("ipod", "aac", seconds=1.0)), refused=no_audio("its index is missing or damaged")),
    Case("half.webm", half(av_encoded("webm", "libopus", 48_000, seconds=3.0)), seconds=1.5, **HALF_AV),
    Case("half.mka", half(av_encoded("matroska", "flac", seconds=3.0)), seconds=1.46, **HALF_AV | {"rate_hz": 44_100}),
    Case("half.tta", half(av_encoded("tta", "tta", seconds=3.0)), seconds=1.04, **HALF_AV | {"rate_hz": 44_100}),
    Case("half.aac", half(av_encoded("adts", "aac", seconds=3.0)), seconds=1.53, **CUT_AAC),
    Case("six-hours.wv", six_hours_of_wavpack(), refused=TOO_LONG),
    Case("1-hz.m4a", at_rate(av_encoded("ipod", "alac", seconds=1.0), 1), refused=bad_rate("1")),
    Case(
        "hole.m4a", hole(av_encoded("ipod", "aac", seconds=3.0), bytes(2_000)), seconds=2.86, rate_hz=44_100, channels=2
    ),
    Case("mdat-only.m4a", b"\0\0\0\x14ftypM4A \0\0\0\0M4A " + NOISE, refused=no_audio()),
    Case("no-track.mkv", b"\x1a\x45\xdf\xa3\x84webm" + NOISE, refused=no_audio()),
    Case("playlist.m4a", b"ffconcat version 1.0\nfile 'whole/s16.wav'\n", refused=UNKNOWN),
]
CASES = [*ENCODINGS, *RATES_AND_CHANNELS, *LENGTHS, *VALUES, *CHUNKS, *CUT, *HOLES, *TAGS, *NO_MUSIC, *OTHER_FORMATS]


# --- The process that reads them --------------------------------------------------------------------------------------


def read_corpus(folder: Path) -> dict[str, dict[str, float | str]]:
    """Returns, for each file, the seconds that it took, and why a clip is not suitable ("" if it is).

    If a file takes too long, the process ends; its name is last on stderr.
    """
    read = {}
    for case in CASES:
        print(f"reading {case.path}", file=sys.stderr, flush=True)
        signal.alarm(MAX_SECONDS_A_FILE)
        start, unsuitable = time.perf_counter(), ""
        with suppress(GenreclfError):
            unsuitable = read_clip(folder / case.path, picture_seconds=30.0).unsuitable
        read[case.path] = {"seconds": time.perf_counter() - start, "unsuitable": unsuitable}
        signal.alarm(0)
    return read


def peak_bytes() -> int:
    """Returns the peak memory of this process. getrusage may return its parent's, if that is larger."""
    status = Path("/proc/self/status")
    return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) * 1024 if status.exists() else 0


def main(folder: Path, cache: Path, report: Path) -> None:
    read = read_corpus(folder)
    print("making the store", file=sys.stderr, flush=True)
    signal.alarm(6 * MAX_SECONDS_A_FILE)
    store = build_store(folder, list_sources(folder), cache, picture_seconds=30.0)
    report.write_text(json.dumps({"read": read, "store": str(store.folder), "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

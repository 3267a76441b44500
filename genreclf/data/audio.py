"""Any audio file -> mono float32 at 22,050 Hz. The only file that opens audio."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from genreclf.errors import GenreclfError

SAMPLE_RATE_HZ = 22_050
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".au", ".aif", ".aiff")

MAX_BYTES = 2 * 1024**3
MAX_SECONDS = 7_200
MAX_CHANNELS = 32
MIN_SOURCE_RATE_HZ, MAX_SOURCE_RATE_HZ = 1_000, 768_000
# Far above unscaled 32-bit integers (2e9), far below where a spectrogram's squares leave float32.
MAX_AMPLITUDE = 1e10

# A decoding error costs the block that it falls in, so blocks are short: 0.1 s at 44.1 kHz. Plain samples know no such
# error, and long blocks of them are read three times as fast.
_BLOCK_FRAMES = 4_096
_PLAIN_BLOCK_FRAMES = 65_536
_PLAIN_SUBTYPES = ("PCM_", "FLOAT", "DOUBLE")
_PLAIN_FORMATS = ("WAV", "WAVEX", "RF64", "AU", "AIFF")
# Encoders may be a frame out in the length that they write; less than this is not called truncated.
_TOLERANCE_SECONDS = 0.1
# Tags may follow the music of an MP3; more than this share of the file is music that was left out.
_UNREAD_SHARE = 0.1
# libsndfile's count of frames for a FLAC whose header gives none (written to a pipe).
_UNKNOWN_FRAMES = 2**63 - 1
# Writers that cannot seek (pipes) leave a placeholder from here up as the length in bytes.
_PLACEHOLDER_BYTES = 0x7FFF_F000


@dataclass(frozen=True)
class Audio:
    """A decoded file.

    `waveform` is (samples,) float32, mono at 22,050 Hz, full scale -1..1; resampling may overshoot it, and a float
    file may hold more. `source_seconds` is what was decoded. `problem` is empty when all is well, else one line that
    says what is missing.
    """

    waveform: np.ndarray
    source_rate_hz: int
    source_seconds: float
    source_channels: int
    problem: str


class _Stream(soundfile.SoundFile):
    """A file that is only read forwards. soundfile seeks after each read, which upsets libsndfile's MP3 decoder: every
    block would begin with noise.
    """

    def seekable(self) -> bool:
        return False


def read_audio(path: Path) -> Audio:
    """The file as mono at 22,050 Hz: mean of the channels, then band-limited resampling (soxr, HQ), block by block.

    WAV, FLAC, OGG, MP3, AU, AIFF and whatever else libsndfile knows by content; the name's ending does not matter,
    save that headerless samples (.raw) are refused. A file that ends early gives what there is, and says so in
    `problem`; so does an MP3 of varying bit rate without a Xing header, whose length libsndfile guesses too short.

    Raises GenreclfError for a file that is missing, is no audio, holds no samples, samples that are not finite, or
    more than the bounds above; the bounds are checked on the header, before decoding, and again while decoding.
    """
    _check_file(path)
    with path.open("rb") as handle, _opened(path, handle) as file:
        _check_header(path, file)
        pieces, frames = [np.zeros(0, np.float32)], 0
        resampler = soxr.ResampleStream(file.samplerate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        as_it_is = file.samplerate == SAMPLE_RATE_HZ
        for block in _mono_blocks(path, file):
            pieces.append(block if as_it_is else resampler.resample_chunk(block))
            frames += len(block)
        if not as_it_is:
            pieces.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        waveform = np.concatenate(pieces)
        if not waveform.size:
            raise GenreclfError(f"{path}: no samples could be decoded; save the audio again")
        seconds = frames / file.samplerate
        unread_share = 1 - os.lseek(handle.fileno(), 0, os.SEEK_CUR) / path.stat().st_size
        return Audio(waveform, file.samplerate, seconds, file.channels, _problem(file, seconds, unread_share))


def _check_file(path: Path) -> None:
    if not (path.is_file() and os.access(path, os.R_OK)):
        raise GenreclfError(f"{path}: no such file, or no right to read it")
    if path.stat().st_size > MAX_BYTES:
        raise GenreclfError(f"{path}: larger than {MAX_BYTES / 1024**3:g} GiB; cut it into shorter files")


def _opened(path: Path, handle: BinaryIO) -> _Stream:
    """The descriptor, not the path: by its name alone, libsndfile takes any .au, .vox or .gsm for headerless samples.

    Nor the handle, which libsndfile would call back for every few kilobytes, one thread after another.
    """
    try:
        return _Stream(handle.fileno(), closefd=False)
    except soundfile.LibsndfileError as error:
        text = f"{path}: cannot be read as audio; give a WAV, FLAC, OGG, MP3, AU or AIFF file"
        raise GenreclfError(text) from error


def _check_header(path: Path, file: _Stream) -> None:
    if not MIN_SOURCE_RATE_HZ <= file.samplerate <= MAX_SOURCE_RATE_HZ:
        bounds = f"{MIN_SOURCE_RATE_HZ:,} to {MAX_SOURCE_RATE_HZ:,} Hz"
        raise GenreclfError(f"{path}: sample rate {file.samplerate:,} Hz; resample it to {bounds}")
    if file.channels > MAX_CHANNELS:
        raise GenreclfError(f"{path}: {file.channels} channels; mix it down to {MAX_CHANNELS} or fewer")
    if file.frames != _UNKNOWN_FRAMES:
        _check_length(path, file.frames / file.samplerate)


def _check_length(path: Path, seconds: float) -> None:
    if seconds > MAX_SECONDS:
        raise GenreclfError(f"{path}: longer than {MAX_SECONDS / 3600:g} hours; cut it into shorter files")


def _mono_blocks(path: Path, file: _Stream) -> Iterator[np.ndarray]:
    """The mean of the channels, (frames,) at a time, until the file ends or can be decoded no further."""
    plain = file.format in _PLAIN_FORMATS and file.subtype.startswith(_PLAIN_SUBTYPES)
    size = _PLAIN_BLOCK_FRAMES if plain else _BLOCK_FRAMES
    frames = 0
    while True:
        try:
            block = file.read(size, dtype="float32", always_2d=True)  # (frames, channels)
        except soundfile.LibsndfileError:
            return
        if not len(block):
            return
        if not (block.min() >= -MAX_AMPLITUDE and block.max() <= MAX_AMPLITUDE):  # so for NaN, too
            raise GenreclfError(f"{path}: holds samples that are NaN, infinite or absurdly large; export it again")
        frames += len(block)
        _check_length(path, frames / file.samplerate)
        # NumPy's mean over an axis of one costs as much as the decoding.
        yield block[:, 0] if file.channels == 1 else block.mean(axis=1)


def _problem(file: _Stream, seconds: float, unread_share: float) -> str:
    if file.frames == _UNKNOWN_FRAMES:
        return ""
    if "lacks an end-of-stream bit" in file.extra_info:
        return f"truncated: no end page, {seconds:.1f} s decoded"
    said = _seconds_in_header(file)
    if said - seconds > _TOLERANCE_SECONDS:
        return f"truncated: header says {said:.1f} s, {seconds:.1f} s decoded"
    if file.format == "MP3" and unread_share > _UNREAD_SHARE:
        return f"no length in the header: {unread_share:.0%} of the file not decoded, {seconds:.1f} s decoded"
    return ""


def _seconds_in_header(file: _Stream) -> float:
    """The header's own length. For WAV, AU and AIFF, libsndfile cuts it to the file's size and notes it in its log."""
    seconds = file.frames / file.samplerate
    cut = re.search(r"^ *(?:data|Data Size|SSND) *: (\d{1,10}) \(should be (\d{1,10})\)", file.extra_info, re.MULTILINE)
    if not cut:
        return seconds
    said_bytes, true_bytes = int(cut[1]), int(cut[2])
    return seconds * said_bytes / true_bytes if true_bytes and said_bytes < _PLACEHOLDER_BYTES else seconds

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
# As many 16-bit ones as MAX_BYTES hold. A small file may hold far more: silence at high rates takes hardly any room.
MAX_SAMPLES = 2**30
MIN_SOURCE_RATE_HZ, MAX_SOURCE_RATE_HZ = 1_000, 768_000
# Far above unscaled 32-bit integers (2e9), far below where a spectrogram's squares leave float32.
MAX_AMPLITUDE = 1e10

# What music comes in. libsndfile knows others by as little as two bytes, so that damaged files may pass for them.
_FORMATS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")
# A decoding error costs the block that it falls in, so blocks are short: 0.1 s at 44.1 kHz. Plain samples know no such
# error, and long blocks of them are read three times as fast.
_BLOCK_FRAMES = 4_096
_PLAIN_BLOCK_FRAMES = 65_536
_PLAIN_SUBTYPES = ("PCM_", "FLOAT", "DOUBLE")
_PLAIN_FORMATS = ("WAV", "WAVEX", "RF64", "AU", "AIFF")
# Encoders may be a frame out in the length that they write; less than this is not called truncated.
_TOLERANCE_SECONDS = 0.1
# The last step of 16 bits, whose range is not symmetric. A loud master touches it now and then.
FULL_SCALE = 1 - 2**-15
_CLIPPED_SHARE = 0.005
# How the notes in `Audio.problem` are recognized.
TRUNCATED, UNDECODED, CLIPPED = "truncated", "not decoded", "clipped"
# Tags may follow the music; more than this share of the file may be music that was left out.
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
    says what is missing, or how much is clipped.
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


def read_audio(path: Path, max_seconds: float = MAX_SECONDS) -> Audio:
    """The file as mono at 22,050 Hz: mean of the channels, then band-limited resampling (soxr, HQ), block by block.

    WAV, FLAC, OGG, MP3, AU, AIFF and a few more, known by content; the name's ending does not matter. A file that ends
    early gives what there is, and says so in `problem`. So does one that goes on behind what its header tells of, such
    as joined files, or an MP3 of varying bit rate without a Xing header, whose length libsndfile guesses too short.

    Raises GenreclfError for a file that is missing, is no audio, holds no samples, samples that are not finite, or
    more than the bounds above and `max_seconds`; they are checked on the header, before decoding, and again while
    decoding.
    """
    _check_file(path)
    with path.open("rb") as handle, _opened(path, handle) as file:
        _check_header(path, file, max_seconds)
        samples, frames, clipped = bytearray(), 0, 0  # joining a list of blocks would hold a long clip twice
        resampler = soxr.ResampleStream(file.samplerate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        as_it_is = file.samplerate == SAMPLE_RATE_HZ
        for block, at_full_scale in _mono_blocks(path, file, max_seconds):
            samples += (block if as_it_is else resampler.resample_chunk(block)).data
            frames += len(block)
            clipped += at_full_scale
        if not as_it_is:
            samples += resampler.resample_chunk(np.zeros(0, np.float32), last=True).data
        waveform = np.frombuffer(samples, np.float32)
        if not waveform.size:
            raise GenreclfError(f"{path}: no samples could be decoded; save the audio again")
        seconds = frames / file.samplerate
        unread_share = 1 - os.lseek(handle.fileno(), 0, os.SEEK_CUR) / path.stat().st_size
        notes = _unread(file, seconds, unread_share), _clipped(clipped / (frames * file.channels))
        return Audio(waveform, file.samplerate, seconds, file.channels, "; ".join(filter(None, notes)))


def mono(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """(samples,) or (samples, channels) at `rate_hz`, integer or float of any scale -> (samples,) float32 at 22,050 Hz.

    Mixed and resampled as `read_audio` does. Raises GenreclfError for another shape, no samples, samples that are not
    finite, and a rate or length beyond the bounds above.
    """
    if samples.ndim not in (1, 2) or not samples.size or samples.dtype.kind not in "fiu":
        raise GenreclfError(
            f"samples: {samples.dtype} of shape {samples.shape}; give numbers, (samples,) or (samples, channels)"
        )
    if not MIN_SOURCE_RATE_HZ <= rate_hz <= MAX_SOURCE_RATE_HZ:
        bounds = f"{MIN_SOURCE_RATE_HZ:,} to {MAX_SOURCE_RATE_HZ:,} Hz"
        raise GenreclfError(f"samples: sample rate {rate_hz:,} Hz; resample them to {bounds}")
    if len(samples) > MAX_SECONDS * rate_hz or samples.size > MAX_SAMPLES:
        raise GenreclfError(f"samples: longer than {_spoken(MAX_SECONDS)}; give shorter pieces")
    mixed = (samples if samples.ndim == 1 else samples.mean(axis=1)).astype(np.float32)
    low, high = mixed.min(), mixed.max()
    if not (low >= -MAX_AMPLITUDE and high <= MAX_AMPLITUDE):  # so for NaN, too
        raise GenreclfError("samples: some are NaN, infinite or absurdly large")
    resampled = mixed if rate_hz == SAMPLE_RATE_HZ else soxr.resample(mixed, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    if not resampled.size:
        raise GenreclfError(f"samples: {len(samples)} are too few to be heard; give more")
    return resampled


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise GenreclfError(f"{path}: no such file, or no plain one; give an audio file")
    if not os.access(path, os.R_OK):
        raise GenreclfError(f"{path}: no right to read it; change its permissions")
    if path.stat().st_size > MAX_BYTES:
        raise GenreclfError(f"{path}: larger than {MAX_BYTES / 1024**3:g} GiB; cut it into shorter files")


def _opened(path: Path, handle: BinaryIO) -> _Stream:
    """The descriptor, not the path: by its name alone, libsndfile takes any .au, .vox or .gsm for headerless samples.

    Nor the handle, which libsndfile would call back for every few kilobytes, one thread after another.
    """
    try:
        file = _Stream(handle.fileno(), closefd=False)
    except soundfile.LibsndfileError as error:
        raise _no_audio(path, error.error_string) from error
    if file.format not in _FORMATS:
        raise _no_audio(path, f"looks like {file.format}")
    return file


def _no_audio(path: Path, why: str) -> GenreclfError:
    why = " ".join(why.split()).rstrip(".")  # some of libsndfile's reasons have two lines
    return GenreclfError(
        f"{path}: cannot be read as audio (libsndfile: {why}); give a WAV, FLAC, OGG, MP3, AU or AIFF file"
    )


def _check_header(path: Path, file: _Stream, max_seconds: float) -> None:
    if not MIN_SOURCE_RATE_HZ <= file.samplerate <= MAX_SOURCE_RATE_HZ:
        bounds = f"{MIN_SOURCE_RATE_HZ:,} to {MAX_SOURCE_RATE_HZ:,} Hz"
        raise GenreclfError(f"{path}: sample rate {file.samplerate:,} Hz; resample it to {bounds}")
    if file.channels > MAX_CHANNELS:
        raise GenreclfError(f"{path}: {file.channels} channels; mix it down to {MAX_CHANNELS} or fewer")
    if file.frames != _UNKNOWN_FRAMES:
        _check_length(path, file, file.frames, max_seconds)


def _check_length(path: Path, file: _Stream, frames: int, max_seconds: float) -> None:
    if frames > max_seconds * file.samplerate:
        raise GenreclfError(f"{path}: longer than {_spoken(max_seconds)}; cut it into shorter files")
    if frames * file.channels > MAX_SAMPLES:
        raise GenreclfError(f"{path}: more than {MAX_SAMPLES:,} samples in its channels; cut it or resample it")


def _spoken(seconds: float) -> str:
    hours = seconds / 3600
    return f"{seconds:g} s" if hours < 1 else f"{hours:g} hour{'s' * (hours > 1)}"


def _mono_blocks(path: Path, file: _Stream, max_seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """The mean of the channels, (frames,) at a time, until the file ends or can be decoded no further.

    With each, how many samples of all channels stand at full scale or above it.
    """
    plain = file.format in _PLAIN_FORMATS and file.subtype.startswith(_PLAIN_SUBTYPES)
    size = _PLAIN_BLOCK_FRAMES if plain else _BLOCK_FRAMES
    frames = 0
    while True:
        try:
            # Not beyond the header's own end: a tag behind it is a decoding error to FLAC, which costs the last block.
            block = file.read(min(size, file.frames - frames), dtype="float32", always_2d=True)  # (frames, channels)
        except soundfile.LibsndfileError:
            return
        if not len(block):
            return
        low, high = block.min(), block.max()
        if not (low >= -MAX_AMPLITUDE and high <= MAX_AMPLITUDE):  # so for NaN, too
            raise GenreclfError(f"{path}: holds samples that are NaN, infinite or absurdly large; export it again")
        frames += len(block)
        _check_length(path, file, frames, max_seconds)
        loud = max(-low, high) >= FULL_SCALE
        # NumPy's mean over an axis of one costs as much as the decoding.
        yield (
            block[:, 0] if file.channels == 1 else block.mean(axis=1),
            np.count_nonzero(np.abs(block) >= FULL_SCALE) if loud else 0,
        )


def _unread(file: _Stream, seconds: float, unread_share: float) -> str:
    if "lacks an end-of-stream bit" in file.extra_info:
        return f"{TRUNCATED}: no end page, {seconds:.1f} s decoded"
    said = _seconds_in_header(file)
    if said - seconds > _TOLERANCE_SECONDS:
        return f"{TRUNCATED}: header says {said:.1f} s, {seconds:.1f} s decoded"
    if unread_share > _UNREAD_SHARE:
        return f"{unread_share:.0%} of the file {UNDECODED} (tags, or more music), {seconds:.1f} s decoded"
    return ""


def _clipped(share: float) -> str:
    return f"{CLIPPED}: {share:.1%} of the samples at full scale" if share >= _CLIPPED_SHARE else ""


def _seconds_in_header(file: _Stream) -> float:
    """The header's own length, 0 if unknown. For WAV, W64, AU and AIFF, libsndfile cuts it to the file's size and notes
    that in its log.
    """
    if file.frames == _UNKNOWN_FRAMES:
        return 0.0
    seconds = file.frames / file.samplerate
    # RF64 and W64 have no line but that of the whole file's size.
    lines = r"^ *(?:data|Data Size|SSND|Riff size|riff) *: (\d{1,10}) \(should be (\d{1,10})\)"
    cut = re.search(lines, file.extra_info, re.MULTILINE)
    if not cut:
        return seconds
    said_bytes, true_bytes = int(cut[1]), int(cut[2])
    return seconds * said_bytes / true_bytes if true_bytes and said_bytes < _PLACEHOLDER_BYTES else seconds

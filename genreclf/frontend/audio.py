"""Any audio file -> mono float32 at 22,050 Hz."""

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

_READABLE = "WAV, FLAC, OGG, MP3, AU or AIFF"
MAX_BYTES = 2 * 1024**3
MAX_SECONDS = 7_200
MAX_CHANNELS = 32
# As many 16-bit samples as MAX_BYTES hold. A small file may hold far more, because silence compresses well.
MAX_SAMPLES = 2**30
MIN_SOURCE_RATE_HZ, MAX_SOURCE_RATE_HZ = 1_000, 768_000
# Above unscaled 32-bit integers (2e9); their squares still fit into float32.
MAX_AMPLITUDE = 1e10

# Formats of music. libsndfile detects others by as little as two bytes, which damaged files may contain.
_FORMATS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")
# A decoding error loses its block, so blocks are short. Uncompressed samples have no such errors: long ones are faster.
_BLOCK_FRAMES = 4_096
_UNCOMPRESSED_BLOCK_FRAMES = 65_536
_UNCOMPRESSED_SUBTYPES = ("PCM_", "FLOAT", "DOUBLE")
_UNCOMPRESSED_FORMATS = ("WAV", "WAVEX", "RF64", "AU", "AIFF")
# Encoders may write a length that is a frame too long; a smaller difference than this is not called truncated.
_TOLERANCE_SECONDS = 0.1
# The highest 16-bit level. Loud masters reach it now and then, so a share is allowed.
FULL_SCALE = 1 - 2**-15
_CLIPPED_SHARE = 0.005
# Words in the notes of `Audio.problem`, by which data audits recognize the kind of problem.
TRUNCATED, UNDECODED, CLIPPED = "truncated", "not decoded", "clipped"
# Tags may follow the music. If more than this share of the file was not read, it may be music.
_UNREAD_SHARE = 0.1
# libsndfile's number of frames for a FLAC whose header gives none (written to a pipe).
_UNKNOWN_FRAMES = 2**63 - 1
# Writers that cannot seek (pipes) leave a placeholder of at least this value as the length in bytes.
_PLACEHOLDER_BYTES = 0x7FFF_F000


@dataclass(frozen=True)
class Audio:
    """A decoded file."""

    waveform: np.ndarray  # (samples,) float32, mono at 22,050 Hz, full scale -1..1; may exceed it after resampling
    source_rate_hz: int
    source_seconds: float  # decoded
    problem: str  # empty, or one line that says what is missing or how much is clipped


class _Stream(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no type hints
    """A file that is only read forwards.

    soundfile seeks after each read of a seekable file, after which libsndfile's MP3 decoder begins blocks with noise.
    """

    def seekable(self) -> bool:
        return False


def read_audio(path: Path, max_seconds: float = MAX_SECONDS) -> Audio:
    """Decodes a file to mono at 22,050 Hz: the mean of the channels, then band-limited resampling (soxr, HQ).

    The type is sniffed from the content; the suffix is ignored. A truncated file gives the part that exists. `problem`
    says so, and also where a file continues after the end that its header gives: joined files, or an MP3 of variable
    bit rate without a Xing header, whose length libsndfile estimates too short.

    Raises GenreclfError for a file that is missing, not audio, empty, has samples that are not finite, or exceeds
    `max_seconds` or the bounds above, which are checked before and while decoding.
    """
    check_input_file(path, _READABLE, MAX_BYTES)
    with path.open("rb") as handle, _opened(path, handle, max_seconds) as file:
        samples, frames, clipped = bytearray(), 0, 0  # joining a list of blocks would hold a long clip in memory twice
        resampler = soxr.ResampleStream(file.samplerate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        needs_no_resampling = file.samplerate == SAMPLE_RATE_HZ
        for block, at_full_scale in _mono_blocks(path, file, max_seconds):
            samples += (block if needs_no_resampling else resampler.resample_chunk(block)).data
            frames += len(block)
            clipped += at_full_scale
        if not needs_no_resampling:
            samples += resampler.resample_chunk(np.zeros(0, np.float32), last=True).data
        waveform = np.frombuffer(samples, np.float32)
        if not waveform.size:
            raise GenreclfError(f"{path}: no samples could be decoded; save the audio again")
        seconds = frames / file.samplerate
        unread_share = 1 - os.lseek(handle.fileno(), 0, os.SEEK_CUR) / path.stat().st_size
        notes = [_unread(file, seconds, unread_share)]
        if (share := clipped / (frames * file.channels)) >= _CLIPPED_SHARE:
            notes.append(f"{CLIPPED}: {share:.1%} of the samples at full scale")
        return Audio(waveform, file.samplerate, seconds, "; ".join(filter(None, notes)))


def mono(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """(samples,) or (samples, channels) at `rate_hz`, integer or float of any scale -> (samples,) float32 at 22,050 Hz.

    Mixes and resamples as `read_audio` does. Raises GenreclfError for another shape, no samples, samples that are not
    finite, and a rate or length beyond the bounds above.
    """
    if samples.ndim not in (1, 2) or not samples.size or samples.dtype.kind not in "fiu":
        raise GenreclfError(
            f"samples: {samples.dtype} of shape {samples.shape}; give numbers, (samples,) or (samples, channels)"
        )
    _check_rate("samples", rate_hz)
    if len(samples) > MAX_SECONDS * rate_hz or samples.size > MAX_SAMPLES:
        raise GenreclfError(f"samples: longer than {_duration(MAX_SECONDS)}; give shorter pieces")
    mixed = (samples if samples.ndim == 1 else samples.mean(axis=1)).astype(np.float32)
    _peak("samples", mixed)
    resampled = mixed if rate_hz == SAMPLE_RATE_HZ else soxr.resample(mixed, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    if not resampled.size:
        raise GenreclfError(f"samples: {len(samples)} are too few; give more")
    return resampled


def check_input_file(path: Path, formats: str, max_bytes: int) -> None:
    """Raises GenreclfError unless `path` is a regular, readable file of at most `max_bytes`.

    `formats` names in the message what to give. (A pipe is not regular: opening it would wait for a writer.)
    """
    if not path.is_file():
        what = "not a regular file" if path.exists() else "no such file"
        raise GenreclfError(f"{path}: {what}; give a {formats} file")
    if not os.access(path, os.R_OK):
        raise GenreclfError(f"{path}: no permission to read it; change its permissions")
    if path.stat().st_size > max_bytes:
        raise GenreclfError(f"{path}: larger than {max_bytes / 1024**3:g} GiB; cut it into shorter files")


def _opened(path: Path, handle: BinaryIO, max_seconds: float) -> _Stream:
    """Opens the descriptor: given a path, libsndfile reads any .au, .vox or .gsm as headerless samples.

    Given the Python file, it would call back for every few kilobytes, which only one thread at a time can serve.
    """
    try:
        file = _Stream(handle.fileno(), closefd=False)
    except soundfile.LibsndfileError as error:
        raise _not_audio(path, error.error_string) from error
    if file.format not in _FORMATS:
        raise _not_audio(path, f"looks like {file.format}")
    _check_rate(str(path), file.samplerate)
    if file.channels > MAX_CHANNELS:
        raise GenreclfError(f"{path}: {file.channels} channels; mix it down to {MAX_CHANNELS} or fewer")
    if file.frames != _UNKNOWN_FRAMES:
        _check_length(path, file, file.frames, max_seconds)
    return file


def _not_audio(path: Path, why: str) -> GenreclfError:
    why = " ".join(why.split()).rstrip(".")  # some of libsndfile's messages have two lines
    return GenreclfError(f"{path}: cannot be read as audio (libsndfile: {why}); give a {_READABLE} file")


def _check_rate(source: str, rate_hz: int) -> None:
    if not MIN_SOURCE_RATE_HZ <= rate_hz <= MAX_SOURCE_RATE_HZ:
        bounds = f"{MIN_SOURCE_RATE_HZ:,} to {MAX_SOURCE_RATE_HZ:,} Hz"
        raise GenreclfError(f"{source}: sample rate {rate_hz:,} Hz; resample it to {bounds}")


def _peak(source: str, samples: np.ndarray) -> float:
    peak = float(max(-samples.min(), samples.max()))
    if not peak <= MAX_AMPLITUDE:  # true for NaN, too
        raise GenreclfError(f"{source}: some samples are NaN, infinite or above 1e10; scale or repair them")
    return peak


def _check_length(path: Path, file: _Stream, frames: int, max_seconds: float) -> None:
    if frames > max_seconds * file.samplerate:
        raise GenreclfError(f"{path}: longer than {_duration(max_seconds)}; cut it into shorter files")
    if frames * file.channels > MAX_SAMPLES:
        raise GenreclfError(f"{path}: more than {MAX_SAMPLES:,} samples in its channels; cut it or resample it")


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    return f"{seconds:g} s" if hours < 1 else f"{hours:g} hour{'s' * (hours > 1)}"


def _mono_blocks(path: Path, file: _Stream, max_seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """(frames,) means of the channels, until the file ends or fails, each with the number of samples at full scale."""
    uncompressed = file.format in _UNCOMPRESSED_FORMATS and file.subtype.startswith(_UNCOMPRESSED_SUBTYPES)
    size = _UNCOMPRESSED_BLOCK_FRAMES if uncompressed else _BLOCK_FRAMES
    frames = 0
    while True:
        try:
            # Not beyond the end that the header gives: FLAC fails on a tag after it, which would lose the last block.
            block = file.read(min(size, file.frames - frames), dtype="float32", always_2d=True)  # (frames, channels)
        except soundfile.LibsndfileError:
            return
        if not len(block):
            return
        loud = _peak(str(path), block) >= FULL_SCALE
        frames += len(block)
        _check_length(path, file, frames, max_seconds)
        yield _mixed(block), int(np.count_nonzero(np.abs(block) >= FULL_SCALE)) if loud else 0


def _mixed(block: np.ndarray) -> np.ndarray:
    """(frames, channels) float32 -> (frames,), the mean. NumPy's mean over a short axis costs more than decoding."""
    if block.shape[1] == 1:
        return block[:, 0]
    total: np.ndarray = block[:, 0] + block[:, 1]
    for channel in range(2, block.shape[1]):
        total += block[:, channel]
    total /= block.shape[1]
    return total


def _unread(file: _Stream, seconds: float, unread_share: float) -> str:
    if "lacks an end-of-stream bit" in file.extra_info:
        return f"{TRUNCATED}: no end page, {seconds:.1f} s decoded"
    expected = _seconds_in_header(file)
    if expected - seconds > _TOLERANCE_SECONDS:
        return f"{TRUNCATED}: header says {expected:.1f} s, {seconds:.1f} s decoded"
    if unread_share > _UNREAD_SHARE:
        return f"{unread_share:.0%} of the file {UNDECODED} (tags, or more music), {seconds:.1f} s decoded"
    return ""


def _seconds_in_header(file: _Stream) -> float:
    """The length that the header gives, 0 if unknown.

    For WAV, W64, AU and AIFF, libsndfile limits it to the file's size and writes both into its log.
    """
    if file.frames == _UNKNOWN_FRAMES:
        return 0.0
    seconds: float = file.frames / file.samplerate
    # RF64 and W64 have only the line with the size of the whole file.
    lines = r"^ *(?:data|Data Size|SSND|Riff size|riff) *: (\d{1,10}) \(should be (\d{1,10})\)"
    cut = re.search(lines, file.extra_info, re.MULTILINE)
    if not cut:
        return seconds
    header_bytes, file_bytes = int(cut[1]), int(cut[2])
    return seconds * header_bytes / file_bytes if file_bytes and header_bytes < _PLACEHOLDER_BYTES else seconds

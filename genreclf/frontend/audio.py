"""Any audio file -> mono float32 at 22,050 Hz."""

import os
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import soxr

from genreclf.errors import GenreclfError
from genreclf.frontend.av_audio import AvDecoder
from genreclf.frontend.decoder import UNRECOGNISED, Decoder, UndecodableError
from genreclf.frontend.sndfile_audio import SndfileDecoder

SAMPLE_RATE_HZ = 22_050
AUDIO_SUFFIXES = (
    *(".wav", ".w64", ".rf64", ".flac", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
    *(".ogg", ".oga", ".opus", ".spx", ".mp3", ".mp2", ".mpga", ".m4a", ".m4b", ".aac", ".amr", ".wma", ".asf", ".ra"),
    *(".ac3", ".eac3", ".dts", ".wv", ".ape", ".tta", ".tak", ".mpc", ".shn", ".dsf", ".mka", ".weba"),
    # The sound of videos.
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".rm", ".ogv"),
)

_READABLE = "WAV, FLAC, MP3, OGG, M4A or other audio"
MAX_BYTES = 2 * 1024**3
MAX_SECONDS = 7_200
MAX_CHANNELS = 32
# As many 16-bit samples as MAX_BYTES hold. A small file may hold far more, because silence compresses well.
MAX_SAMPLES = 2**30
MIN_SOURCE_RATE_HZ, MAX_SOURCE_RATE_HZ = 1_000, 768_000
# Above unscaled 32-bit integers (2e9); their squares still fit into float32.
MAX_AMPLITUDE = 1e10

# libsndfile first: it is exact, and a fifth faster.
_DECODERS = (SndfileDecoder, AvDecoder)
_SAME_SECONDS = 0.1  # the decoders may differ by a frame
# The highest 16-bit level. Loud masters reach it now and then, so a share is allowed.
FULL_SCALE = 1 - 2**-15
_CLIPPED_SHARE = 0.005
# Words in the notes of `Audio.problem`, by which data audits recognize the kind of problem.
TRUNCATED, UNDECODED, CLIPPED = "truncated", "not decoded", "clipped"
# Tags may follow the music. If more than this share of the file was not read, it may be music.
_UNREAD_SHARE = 0.1


@dataclass(frozen=True)
class Audio:
    """A decoded file."""

    waveform: np.ndarray  # (samples,) float32, mono at 22,050 Hz, full scale -1..1; may exceed it after resampling
    source_rate_hz: int
    source_seconds: float  # decoded
    problem: str  # empty, or one line that says what is missing or how much is clipped


def read_audio(path: Path, max_seconds: float = MAX_SECONDS) -> Audio:
    """Decodes a file to mono at 22,050 Hz: the mean of the channels, then band-limited resampling (soxr, HQ).

    The type is sniffed from the content; the suffix is ignored. Of a video, it is the first audio stream. A truncated
    file gives the part that exists. `problem` says so, and also where most of a file's end could not be decoded. Float
    samples above full scale are scaled down to it.

    Raises GenreclfError for a file that is missing, not audio, empty, has samples that are not finite, or exceeds
    `max_seconds` or the bounds above, which are checked before and while decoding.
    """
    check_input_file(path, _READABLE, MAX_BYTES)
    best: Audio | None = None
    reasons = []
    with path.open("rb", buffering=0) as handle:
        for decoder in _DECODERS:
            try:
                audio, is_final = _decoded(path, handle, decoder, max_seconds)
            except UndecodableError as error:
                reasons.append(str(error))
                continue
            if best is None or audio.source_seconds > best.source_seconds + _SAME_SECONDS:
                best = audio
            if is_final:
                break
    if best is None:
        raise GenreclfError(f"{path}: cannot be read as audio ({_clearest(reasons)}); give a {_READABLE} file")
    return best


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


def _decoded(
    path: Path, handle: FileIO, opened: type[SndfileDecoder] | type[AvDecoder], max_seconds: float
) -> tuple[Audio, bool]:
    """What a decoder makes of the file, and whether another one could not make more of it."""
    with closing(opened(handle)) as decoder:
        _check_rate(str(path), decoder.rate_hz)
        _check_channels(path, decoder.channels)
        expected_samples = decoder.expected_seconds * decoder.rate_hz * decoder.channels
        _check_length(path, decoder.expected_seconds, expected_samples, max_seconds)
        waveform, level = _Waveform(), _Level(decoder.has_float_samples)
        for block, rate_hz in decoder.blocks():
            _check_rate(str(path), rate_hz)
            _check_channels(path, block.shape[1])
            level.add(block, _peak(str(path), block))
            waveform.add(_mixed(block), rate_hz)
            _check_length(path, waveform.seconds, level.samples, max_seconds)
        samples = waveform.finished()
        if not samples.size:
            raise UndecodableError("no samples could be decoded")
        if level.exceeds_full_scale:
            samples /= level.peak
        missing = _missing(decoder, waveform)
        problem = "; ".join(filter(None, [missing, level.note()]))
        return Audio(samples, waveform.first_rate_hz, waveform.seconds, problem), decoder.is_certain or not missing


class _Waveform:
    """Joins blocks of mono samples to one waveform at 22,050 Hz."""

    def __init__(self) -> None:
        self._samples = bytearray()  # joining a list of blocks would hold a long clip in memory twice
        self._frames: Counter[int] = Counter()  # by sample rate, which changes where files were joined
        self._rate_hz = SAMPLE_RATE_HZ
        self._resampler: soxr.ResampleStream | None = None

    @property
    def first_rate_hz(self) -> int:
        """The sample rate of the source, where it begins."""
        return next(iter(self._frames))

    @property
    def has_one_rate(self) -> bool:
        """Whether the sample rate never changed."""
        return len(self._frames) == 1

    @property
    def seconds(self) -> float:
        """The length of the source."""
        return sum(frames / rate_hz for rate_hz, frames in self._frames.items())

    def add(self, block: np.ndarray, rate_hz: int) -> None:
        """Appends (frames,) float32."""
        if rate_hz != self._rate_hz:
            self._end_resampling()
            self._rate_hz = rate_hz
            if rate_hz != SAMPLE_RATE_HZ:
                self._resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        self._frames[rate_hz] += len(block)
        self._samples += (self._resampler.resample_chunk(block) if self._resampler else block).data

    def finished(self) -> np.ndarray:
        """(samples,) float32 at 22,050 Hz."""
        self._end_resampling()
        return np.frombuffer(self._samples, np.float32)

    def _end_resampling(self) -> None:
        if self._resampler:
            self._samples += self._resampler.resample_chunk(np.zeros(0, np.float32), last=True).data
        self._resampler = None


class _Level:
    """The peak of all channels, and how many samples are at full scale."""

    def __init__(self, is_float: bool) -> None:
        self.peak, self.samples = 0.0, 0
        self._is_float, self._at_full_scale = is_float, 0

    def add(self, block: np.ndarray, peak: float) -> None:
        """Counts in (frames, channels) with this peak."""
        self.peak = max(self.peak, peak)
        self.samples += block.size
        if peak >= FULL_SCALE:
            size = np.abs(block)
            # Float samples above full scale are not cut off there.
            clipped = (size >= FULL_SCALE) & (size <= 1) if self._is_float else size >= FULL_SCALE
            self._at_full_scale += int(np.count_nonzero(clipped))

    @property
    def exceeds_full_scale(self) -> bool:
        """Whether the samples need to be scaled down; decoders of lossy formats overshoot a little."""
        return self._is_float and self.peak > 1

    def note(self) -> str:
        """For `Audio.problem`."""
        share = self._at_full_scale / self.samples
        return f"{CLIPPED}: {share:.1%} of the samples at full scale" if share >= _CLIPPED_SHARE else ""


def _missing(decoder: Decoder, waveform: _Waveform) -> str:
    seconds = waveform.seconds
    if decoder.lacks_end():
        return f"{TRUNCATED}: no end page, {seconds:.1f} s decoded"
    expected = decoder.header_seconds if waveform.has_one_rate else 0.0  # of joined files, it is that of the first
    if expected - seconds > decoder.header_tolerance_seconds:
        return f"{TRUNCATED}: header says {expected:.1f} s, {seconds:.1f} s decoded"
    if (share := decoder.unread_share()) > _UNREAD_SHARE:
        return f"{share:.0%} of the file {UNDECODED} (tags, or more music), {seconds:.1f} s decoded"
    return ""


def _clearest(reasons: list[str]) -> str:
    """The last decoder's reason, unless it is only that the format is not known."""
    return next((reason for reason in reversed(reasons) if not reason.startswith(UNRECOGNISED)), UNRECOGNISED)


def _check_rate(source: str, rate_hz: int) -> None:
    if not MIN_SOURCE_RATE_HZ <= rate_hz <= MAX_SOURCE_RATE_HZ:
        bounds = f"{MIN_SOURCE_RATE_HZ:,} to {MAX_SOURCE_RATE_HZ:,} Hz"
        raise GenreclfError(f"{source}: sample rate {rate_hz:,} Hz; resample it to {bounds}")


def _peak(source: str, samples: np.ndarray) -> float:
    peak = float(max(-samples.min(), samples.max()))
    if not peak <= MAX_AMPLITUDE:  # true for NaN, too
        raise GenreclfError(f"{source}: some samples are NaN, infinite or above 1e10; scale or repair them")
    return peak


def _check_channels(path: Path, channels: int) -> None:
    if channels > MAX_CHANNELS:
        raise GenreclfError(f"{path}: {channels} channels; mix it down to {MAX_CHANNELS} or fewer")


def _check_length(path: Path, seconds: float, samples: float, max_seconds: float) -> None:
    """`samples` counts those of all channels."""
    if seconds > max_seconds:
        raise GenreclfError(f"{path}: longer than {_duration(max_seconds)}; cut it into shorter files")
    if samples > MAX_SAMPLES:
        raise GenreclfError(f"{path}: more than {MAX_SAMPLES:,} samples in its channels; cut it or resample it")


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    return f"{seconds:g} s" if hours < 1 else f"{hours:g} hour{'s' * (hours > 1)}"


def _mixed(block: np.ndarray) -> np.ndarray:
    """(frames, channels) float32 -> (frames,), the mean. NumPy's mean over a short axis costs more than decoding."""
    if block.shape[1] == 1:
        return block[:, 0]
    total: np.ndarray = block[:, 0] + block[:, 1]
    for channel in range(2, block.shape[1]):
        total += block[:, channel]
    total /= block.shape[1]
    return total

"""Decodes any audio file to mono float32 at 22,050 Hz."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import soxr

from genreclf.errors import GenreclfError
from genreclf.frontend.content import LevelMeter
from genreclf.frontend.decoder import NO_AUDIO, UNRECOGNISED, Decoder, UndecodableError
from genreclf.frontend.file_end import CUT_BLOCK, file_end
from genreclf.frontend.file_start import content_begin, suits_libsndfile
from genreclf.frontend.limits import (
    MAX_BYTES,
    MAX_SECONDS,
    check_channels,
    check_input_file,
    check_length,
    check_rate,
    checked_peak,
)
from genreclf.frontend.ogg_pages import chain_bounds
from genreclf.frontend.tag_bytes import tag_bytes, unread_sample_bytes

SAMPLE_RATE_HZ = 22_050
AUDIO_SUFFIXES = (
    *(".wav", ".w64", ".rf64", ".flac", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
    *(".ogg", ".oga", ".opus", ".spx", ".mp3", ".mp2", ".mpga", ".m4a", ".m4b", ".aac", ".amr", ".wma", ".asf", ".ra"),
    *(".ac3", ".eac3", ".dts", ".wv", ".ape", ".tta", ".tak", ".mpc", ".shn", ".dsf", ".dff", ".mka", ".weba"),
    # Videos with sound
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".rm", ".ogv"),
)

_READABLE = "16-bit WAV, FLAC, MP3, OGG, M4A or other audio"

_SAME_SECONDS = 0.1  # decoders may differ by a frame
# The highest 16-bit level. Loud masters reach it occasionally, so a share of the samples may.
FULL_SCALE = 1 - 2**-15
_CLIPPED_SHARE = 0.005
# Words in the notes of `Audio.problem` by which data audits recognise the kind of problem.
TRUNCATED, UNDECODED, CLIPPED = "truncated", "not decoded", "clipped"
# Unknown tags may follow the music. If more than this share of the file was not read, it may be music.
_UNREAD_SHARE = 0.1


class Sink(Protocol):
    """Receives a waveform piece by piece."""

    def add(self, samples: np.ndarray) -> None:
        """Adds the next (samples,) float32, mono at 22,050 Hz."""
        ...


AnySink = TypeVar("AnySink", bound=Sink)


@dataclass(frozen=True)
class Source:
    """Information on a decoded file, or on samples, without its waveform."""

    source_rate_hz: int
    source_seconds: float  # decoded length
    problem: str  # one line on what is missing, how much is clipped, offsets, and channels that cancel; may be empty
    unsuitable: str  # why no genre can be predicted, such as "silence: ..."; empty if one can
    peak: float  # the peak of float samples if it is above full scale, else 1


@dataclass(frozen=True)
class Audio(Source):
    """A decoded file, or samples."""

    waveform: np.ndarray  # (samples,) float32, mono at 22,050 Hz, full scale -1..1; may exceed it after resampling


def read_audio(path: Path, max_seconds: float = MAX_SECONDS) -> Audio:
    """Reads the waveform of `stream_audio` into memory, which takes 635 MB for two hours.

    Float samples above full scale are scaled down to it. Raises GenreclfError as `stream_audio` does.
    """
    samples, source = stream_audio(path, _Samples, max_seconds)
    waveform = np.frombuffer(samples.content, np.float32)
    return Audio(**vars(source), waveform=waveform / np.float32(source.peak) if source.peak > 1 else waveform)


def stream_audio(path: Path, new_sink: Callable[[], AnySink], max_seconds: float) -> tuple[AnySink, Source]:
    """Decodes a file to mono at 22,050 Hz: the mean of the channels, then band-limited resampling (soxr, HQ).

    The type is detected from the content, not from the suffix. Of several audio streams, as in a video, the default one
    is read. The existing part of a truncated file is used. `problem` states this, and if more than a tenth of the file
    could not be decoded. If the channels cancel (a stereo file in antiphase), only the loudest is used; a strong offset
    (DC) is subtracted: the file is then decoded again. Float samples keep their scale.

    Raises GenreclfError if the file is missing, not audio or empty, has samples that are not finite, or exceeds
    `max_seconds` or the limits of `limits`, which are checked before and during decoding.
    """
    check_input_file(path, _READABLE, MAX_BYTES)
    best: tuple[AnySink, Source] | None = None
    reasons = []
    with path.open("rb", buffering=0) as handle:
        for decoder in _decoders(handle):
            try:
                sink, source, is_final = _decoded(path, handle, decoder, new_sink, max_seconds, LevelMeter())
            except UndecodableError as error:
                reasons.append(str(error))
                continue
            if best is None or source.source_seconds > best[1].source_seconds + _SAME_SECONDS:
                best = sink, source
            if is_final:
                break
    if best is None:
        known = [why for why in reasons if not why.startswith(UNRECOGNISED)]
        why = known[-1] if known else UNRECOGNISED
        or_picture = "PNG picture, or a " if why.startswith((UNRECOGNISED, NO_AUDIO)) else ""
        raise GenreclfError(f"{path}: cannot be read as audio ({why}); give a {or_picture}{_READABLE} file")
    return best


def _decoders(handle: FileIO) -> Iterator[Callable[[FileIO], Decoder]]:
    """Yields the decoders to try: libsndfile first, because it is exact, and a fifth faster.

    Each is imported only for files that it reads: of the time to the first prediction, importing libsndfile takes a
    thirtieth, and PyAV a tenth.
    """
    if len(bounds := chain_bounds(handle)) > 2:
        from genreclf.frontend.ogg_chain import OggChain

        yield partial(OggChain, bounds=bounds)
        return
    if suits_libsndfile(handle):
        from genreclf.frontend.sndfile_audio import SndfileDecoder

        yield SndfileDecoder
    from genreclf.frontend.av_audio import AvDecoder

    yield AvDecoder
    if (begin := content_begin(handle)) > 0:  # ffmpeg recognises few formats after ID3v2 tags
        yield partial(AvDecoder, begin=begin)


def _decoded(
    path: Path,
    handle: FileIO,
    opened: Callable[[FileIO], Decoder],
    new_sink: Callable[[], AnySink],
    max_seconds: float,
    meter: LevelMeter,
) -> tuple[AnySink, Source, bool]:
    """Decodes the file, mixed by `meter`. Returns the sink, the source, and whether no other decoder is needed."""
    sink, before = new_sink(), os.fstat(handle.fileno())
    with closing(opened(handle)) as decoder:
        check_rate(str(path), decoder.rate_hz)
        check_channels(path, decoder.channels)
        expected_samples = decoder.expected_seconds * decoder.rate_hz * decoder.channels
        check_length(path, decoder.expected_seconds, expected_samples, max_seconds)
        waveform, level = _Waveform(sink), _Level(decoder.has_float_samples)
        for block, rate_hz in decoder.blocks():
            check_rate(str(path), rate_hz)
            check_channels(path, block.shape[1])
            level.add(block, checked_peak(str(path), block))
            waveform.add(meter.mix(block, rate_hz), rate_hz)
            check_length(path, waveform.seconds, level.samples, max_seconds)
        waveform.end_resampling()
        if not waveform.samples:
            raise UndecodableError("no samples could be decoded")
        missing, is_final = _missing(handle, before, decoder, waveform), decoder.is_certain
    if better := meter.better():
        return _decoded(path, handle, opened, new_sink, max_seconds, better)
    problem = "; ".join(filter(None, [missing, level.note(), meter.note(), decoder.note]))
    source = Source(next(iter(waveform.frames)), waveform.seconds, problem, meter.unsuitable(), level.scale)
    return sink, source, is_final or not missing


class _Samples:
    """A `Sink` that stores the waveform."""

    def __init__(self) -> None:
        self.content = bytearray()  # joining a list of blocks would hold a long clip in memory twice

    def add(self, samples: np.ndarray) -> None:
        """See `Sink`."""
        self.content += samples.data


class _Waveform:
    """Resamples blocks of mono samples to 22,050 Hz, and passes them on to a sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self.samples = sink, 0
        self.frames: Counter[int] = Counter()  # by sample rate, which changes where files were joined
        self._rate_hz = SAMPLE_RATE_HZ
        self._resampler: soxr.ResampleStream | None = None

    @property
    def seconds(self) -> float:
        """The length of the source in seconds."""
        return sum(frames / rate_hz for rate_hz, frames in self.frames.items())

    def add(self, block: np.ndarray, rate_hz: int) -> None:
        """Appends (frames,) float32."""
        if rate_hz != self._rate_hz:
            self.end_resampling()
            self._rate_hz = rate_hz
            if rate_hz != SAMPLE_RATE_HZ:
                self._resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        self.frames[rate_hz] += len(block)
        self._pass_on(self._resampler.resample_chunk(block) if self._resampler else block)

    def end_resampling(self) -> None:
        """Passes on what the resampler still holds."""
        if self._resampler:
            self._pass_on(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        self._resampler = None

    def _pass_on(self, samples: np.ndarray) -> None:
        self.samples += len(samples)
        self._sink.add(samples)


class _Level:
    """The peak of all channels, and the number of samples at full scale."""

    def __init__(self, is_float: bool) -> None:
        self.peak, self.samples = 0.0, 0
        self._is_float, self._at_full_scale = is_float, 0

    def add(self, block: np.ndarray, peak: float) -> None:
        """Adds a block (frames, channels) that has this peak."""
        self.peak = max(self.peak, peak)
        self.samples += block.size
        if peak >= FULL_SCALE:
            size = np.abs(block)
            # Float samples above full scale are not clipped.
            clipped = (size >= FULL_SCALE) & (size <= 1) if self._is_float else size >= FULL_SCALE
            self._at_full_scale += int(np.count_nonzero(clipped))

    @property
    def scale(self) -> float:
        """The value of `Source.peak`: 1 for integer samples, although decoders of lossy formats overshoot a little."""
        return max(1.0, self.peak) if self._is_float else 1.0

    def note(self) -> str:
        """Returns a note for `Audio.problem`."""
        share = self._at_full_scale / self.samples
        return f"{CLIPPED}: {share:.1%} of the samples at full scale" if share >= _CLIPPED_SHARE else ""


def _missing(handle: FileIO, before: os.stat_result, decoder: Decoder, waveform: _Waveform) -> str:
    """Returns a note on what was not decoded, or "". `before` is the file's status before decoding."""
    seconds, now = waveform.seconds, os.fstat(handle.fileno())
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        return f"{TRUNCATED}: the file changed while it was read, {seconds:.1f} s decoded"
    # The header of joined files is the first one's.
    expected = decoder.header_seconds if len(waveform.frames) == 1 else 0.0
    if expected - seconds > decoder.header_tolerance_seconds:
        return f"{TRUNCATED}: header says {expected:.1f} s, {seconds:.1f} s decoded"
    end, size = file_end(handle), now.st_size
    if fault := end.fault or (CUT_BLOCK if decoder.ends_inside_frame() else ""):
        return f"{TRUNCATED}: {fault}, {seconds:.1f} s decoded"
    bytes_behind = min(end.bytes_behind, size - decoder.end)  # joined files may all be decoded
    behind = max(decoder.unread_share(), bytes_behind / size) - tag_bytes(handle) / size
    share = max(behind, unread_sample_bytes(handle) / size)
    if share > _UNREAD_SHARE:
        return f"{share:.0%} of the file {UNDECODED} (tags, or more music), {seconds:.1f} s decoded"
    return ""

"""Decodes audio with ffmpeg's libraries (PyAV): MP3, Opus, what libsndfile cannot read, and the sound of videos."""

import os
from collections.abc import Iterator
from io import FileIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard, Disposition

from genreclf.frontend.av_file import FilePart, open_container
from genreclf.frontend.decoder import NO_AUDIO, NO_RATE, Decoder, UndecodableError

# Sequences of frames without a header that gives the length (MP3 may have one). They end where no frame follows.
_BARE = ("aac", "ac3", "amr", "dts", "eac3", "loas", "mlp", "mp3", "truehd")
# Their length is the difference of the first and last time stamp, which may jump, or a placeholder if they were written
# to a pipe, or it includes what follows the samples. Their blocks show whether they are complete (`file_end`).
_UNRELIABLE = ("asf", "avi", "mpeg", "mpegts", "rm", "w64")
# Their headers count the samples, or the frames (26 ms for MP3). In others, the length includes the silence that
# encoders add before and after the music: up to 5,186 samples for HE-AAC, two frames of 4,096 for WMA.
_COUNTED, _FRAME_SECONDS, _PADDING_SECONDS = ("flac", "mp3", "ogg", "tta", "wv"), 0.05, 0.3
# Packets follow each other, with little besides tags between and after them.
_SEQUENTIAL = ("aiff", "au", "flac", "mpegts", "tta", "w64", "wav", "wv")
# Sound of this length without a fault cannot be chance, however much of the file cannot be decoded.
_MIN_RUN_SECONDS = 1.0
# The first frame of an MP3 file may contain the number of frames: largest size of a frame in bytes (320 kbit/s at
# 32 kHz), place of the number from the beginning of these names, and Xing's flag for having it. Frames have 576 samples
# below 32 kHz, and 1,152 from there on.
_MP3_FRAME_BYTES, _MP3_FRAMES_AT, _XING_FLAGS_AT, _XING_FRAMES = 1_441, {b"Xing": 8, b"Info": 8, b"VBRI": 14}, 7, 1
_SYNC_BYTES = {"amr": 1, "loas": 1}  # number of bytes that are equal in all frames' beginnings; two in other formats
_OPUS_RATE_HZ = 48_000  # for all lengths in its headers
_SPOKEN_OVER = Disposition.comment | Disposition.visual_impaired
_BLOCK_FRAMES = 65_536
_MAX_ERRORS = 16  # in a row; ffmpeg searches for the next packet piece by piece


class AvDecoder(Decoder):
    """A `Decoder` of the audio stream in a file, or in its bytes from `begin` to `end`.

    If there are several streams, it uses the first one marked as the default, or else the first. No other file is
    opened, whatever this one contains. Raises UndecodableError if the file is not audio.
    """

    def __init__(self, handle: FileIO, begin: int = 0, end: int | None = None) -> None:
        self._handle, self._begin = handle, begin
        self._source = FilePart(handle, begin, end)
        self._container = open_container(self._source)
        try:
            self._stream = _audio_stream(self._container)
            self.note = _choice_note(self._stream, self._container)
            self.rate_hz, self.channels = self._stream.rate, self._stream.channels
            if not self.rate_hz or not self.channels:
                raise UndecodableError(NO_RATE)
            self._stream.codec_context.thread_count = 1  # because several files are read at once
            self._packets = self._container.demux(self._stream)
            self._first = self._next_packet()
            exact = self._container.format.name in _COUNTED
            self.header_tolerance_seconds = _FRAME_SECONDS if exact else _PADDING_SECONDS
            if self._container.format.name == "mp3":  # at low rates, two frames are lost if something else follows
                self.header_tolerance_seconds = max(_FRAME_SECONDS, 2 * self._mp3_frame_seconds())
            self.header_seconds = self.expected_seconds = self._seconds_in_header()
        except UndecodableError:
            self.close()
            raise
        self.has_float_samples = self._stream.codec_context.name.startswith("pcm_f")
        self._decoded_bytes = self._lost_bytes = 0  # sizes of packets
        self._damaged_bytes = 0  # lost bytes without zeros at the packets' ends
        self._lost_before_end = 0  # lost bytes before the last packet that was decoded
        self._run_seconds = self._longest_run_seconds = 0.0  # without a fault
        self._end = self._largest = 0  # end of the last decoded packet; size of the largest packet except the last
        self._last: Packet[AudioStream] | None = None
        self._is_last_damaged = False

    def blocks(self) -> Iterator[tuple[np.ndarray, int]]:
        """See `Decoder`. Raises UndecodableError if most of the stream cannot be decoded or the disk fails."""
        queue, kind = av.AudioFifo(), None
        for frame in self._frames():
            last_kind, kind = kind, (frame.rate, frame.layout.nb_channels, frame.format.name)
            # The kind may change where files were joined. The queue itself does not check the channels.
            if kind != last_kind or queue.samples >= _BLOCK_FRAMES:
                yield from _block(queue)
                queue = av.AudioFifo()
            frame.pts = None  # closes gaps
            queue.write(frame)
        yield from _block(queue)
        if self._source.fault:
            raise UndecodableError(self._source.fault)
        if self._damaged_bytes > self._decoded_bytes and self._longest_run_seconds < _MIN_RUN_SECONDS:
            raise UndecodableError("most of it is damaged or protected")

    def unread_share(self) -> float:
        """See `Decoder`."""
        name, is_alone = self._container.format.name, len(self._container.streams) == 1
        if name in _BARE or (name in _SEQUENTIAL and is_alone and self._end):
            return (self._lost_before_end + self._source.size - self._end) / self._source.size
        return self._lost_bytes / max(1, self._lost_bytes + self._decoded_bytes)

    def ends_inside_frame(self) -> bool:
        """See `Decoder`. Only judged if no header gives a length, and not for what follows the frames, such as tags."""
        if self.header_seconds or self._first is None or self._last is None:
            return False
        sync_bytes = _SYNC_BYTES.get(self._container.format.name, 2)
        begins_as_frame = bytes(self._last)[:sync_bytes] == bytes(self._first)[:sync_bytes]
        follows = self._last.pos is None or self._last.pos <= self._end  # decoded packets, not other bytes
        if not begins_as_frame or not follows or self._last.size > self._largest:  # a tag may be attached to it
            return False
        return self._is_last_damaged or self._last.size < _mpeg_frame_bytes(self._last)

    def close(self) -> None:
        """See `Decoder`."""
        self._container.close()

    def _frames(self) -> Iterator[AudioFrame]:
        packet = self._first
        while packet is not None:
            is_damaged = packet.is_corrupt
            try:
                for frame in packet.decode():
                    is_damaged |= frame.is_corrupt
                    self._run_seconds += frame.samples / frame.rate
                    yield frame
                decoded = True
            except FFmpegError:
                decoded = False
            self._count(packet, decoded)
            if packet.size:  # an empty packet only flushes the decoder
                self._largest = max(self._largest, self._last.size if self._last else 0)
                self._last, self._is_last_damaged = packet, is_damaged or not decoded
            if decoded and packet.pos is not None:
                self._end, self._lost_before_end = max(self._end, packet.pos + packet.size), self._lost_bytes
                self.end = self._begin + self._end
            packet = self._next_packet()

    def _count(self, packet: "Packet[AudioStream]", decoded: bool) -> None:
        self._longest_run_seconds = max(self._longest_run_seconds, self._run_seconds)
        if decoded:
            self._decoded_bytes += packet.size
        else:
            self._run_seconds = 0.0
            self._lost_bytes += packet.size
            # Zeros are what an interrupted download had not fetched yet.
            self._damaged_bytes += len(bytes(packet).rstrip(b"\0"))

    def _next_packet(self) -> "Packet[AudioStream] | None":  # only the stub is generic
        for _ in range(_MAX_ERRORS):
            try:
                return next(self._packets, None)
            except FFmpegError:  # the file is damaged, but more packets may follow
                self._packets = self._container.demux(self._stream)
        return None

    def _seconds_in_header(self) -> float:
        name, stream, container = self._container.format.name, self._stream, self._container
        if name == "mp3":
            return self._seconds_of_mp3()
        if name in _BARE or name in _UNRELIABLE:
            return 0.0
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base) - self._skipped_seconds()
        if container.duration is None or len(container.streams) > 1:  # a video's may be the duration of the pictures
            return 0.0
        return container.duration / av.time_base

    def _skipped_seconds(self) -> float:
        """Returns the seconds to skip at the beginning of Opus in Ogg (RFC 7845, 5.1)."""
        head = self._stream.codec_context.extradata or b""
        is_counted = self._container.format.name == "ogg" and head.startswith(b"OpusHead")
        return int.from_bytes(head[10:12], "little") / _OPUS_RATE_HZ if is_counted else 0.0

    def _seconds_of_mp3(self) -> float:
        """Returns the length from the header without the encoder's silence.

        For joined files, ffmpeg estimates the duration from the bit rate.
        """
        stream = self._stream
        if stream.duration is None or stream.time_base is None:
            return 0.0
        return min(float(stream.duration * stream.time_base), self._mp3_frames() * self._mp3_frame_seconds())

    def _mp3_frame_seconds(self) -> float:
        return (1_152 if self.rate_hz >= 32_000 else 576) / self.rate_hz

    def _mp3_frames(self) -> int:
        """Returns the number of frames from the header of an MP3 file, or 0 if it has none."""
        if self._first is None or self._first.pos is None:
            return 0
        begin = max(0, self._first.pos - _MP3_FRAME_BYTES)
        before = os.pread(self._handle.fileno(), self._first.pos - begin, begin)  # does not move ffmpeg's position
        for name, at in _MP3_FRAMES_AT.items():
            _, found, after = before.partition(name)
            if found and (name == b"VBRI" or (name + after)[_XING_FLAGS_AT] & _XING_FRAMES):
                return int.from_bytes((name + after)[at : at + 4], "big")
        return 0


def _audio_stream(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        kinds = sorted({stream.type for stream in container.streams})
        raise UndecodableError(f"{NO_AUDIO}, only {' and '.join(kinds) or 'a header'}")
    chosen = next(filter(_is_default, container.streams.audio), container.streams.audio[0])
    if chosen.codec_context is None:
        raise UndecodableError("its coding is not known")
    for stream in container.streams:
        if stream.index != chosen.index:
            stream.discard = Discard.all
    return chosen


def _is_default(stream: AudioStream) -> bool:
    """Returns whether players choose the stream. A video may have several languages, commentary and descriptions."""
    return bool(stream.disposition & Disposition.default) and not stream.disposition & _SPOKEN_OVER


def _choice_note(chosen: AudioStream, container: InputContainer) -> str:
    streams = container.streams.audio
    return f"audio stream {streams.index(chosen) + 1} of {len(streams)} read" if len(streams) > 1 else ""


def _mpeg_frame_bytes(packet: "Packet[AudioStream]") -> int:
    """Returns the size of an MP1, MP2 or MP3 frame from its header; 0 for other formats.

    (The decoders accept cut frames silently.)
    """
    name = packet.stream.codec_context.name[:3]
    if name not in ("mp1", "mp2", "mp3"):
        return 0
    frames = av.CodecContext.create(name, "r").parse(bytes(packet) + bytes(_MP3_FRAME_BYTES))
    return frames[0].size if frames else 0


def _block(queue: av.AudioFifo) -> Iterator[tuple[np.ndarray, int]]:
    """Yields all samples of a queue, (frames, channels) float32, and their rate; nothing if it is empty."""
    frame = queue.read()
    if frame is None:
        return
    values = _values(frame)  # (channels, frames) if planar, else (1, frames * channels)
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):  # infinite samples are refused later
            yield values.astype(np.float32, copy=False), frame.rate
    elif values.dtype.kind == "u":  # 8 bits
        yield (values.astype(np.float32) - 128) / 128, frame.rate
    else:
        yield np.multiply(values, np.float32(2.0 ** (1 - 8 * values.itemsize)), dtype=np.float32), frame.rate


def _values(frame: AudioFrame) -> np.ndarray:
    if not frame.format.name.startswith("s64"):
        return frame.to_ndarray()
    # PyAV does not convert this format.
    count = frame.samples * (1 if frame.format.is_planar else frame.layout.nb_channels)
    return np.stack([np.frombuffer(memoryview(plane), np.int64, count) for plane in frame.planes])

"""Encodes files with PyAV, in memory."""

import io
from collections.abc import Mapping
from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.container import OutputContainer
from av.stream import Disposition

SAMPLE_FORMATS = ("fltp", "flt", "s16p", "s16", "s32", "s64")
PICTURES_PER_SECOND, PICTURE_PIXELS = 10, 64


class Pipe:
    """A file that can only be written in order."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> int:
        self.content += data
        return len(data)

    def getvalue(self) -> bytes:
        return bytes(self.content)


@cache
def av_encoded(
    container: str,
    codec: str,
    rate_hz: int = 44_100,
    channels: int = 2,
    seconds: float = 1.0,
    video: str = "",
    piped: bool = False,
) -> bytes:
    """Encodes a 440 Hz tone with amplitude 0.5 in the mean over channels, perhaps with a video of grey pictures."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    loudness = np.linspace(0.6, 1.4, channels)[:, None] if channels > 1 else np.ones((1, 1))
    sound = (0.5 * np.sin(2 * np.pi * 440 * time) * loudness).astype(np.float32)
    return av_written(container, codec, sound, rate_hz, video, piped)


def av_written(
    container: str, codec: str, sound: np.ndarray, rate_hz: int, video: str = "", piped: bool = False
) -> bytes:
    """Encodes (channels, samples) float32, full scale -1..1, as a file, or as for a pipe (MP4: in fragments)."""
    buffer = Pipe() if piped else io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov"} if piped and container == "mp4" else {}
    with av.open(buffer, "w", format=container, options=options) as file:
        pictures = file.add_stream(video, rate=PICTURES_PER_SECOND) if video else None
        stream = _sound_stream(file, codec, sound, rate_hz)
        if pictures:
            pictures.width = pictures.height = PICTURE_PIXELS
            pictures.pix_fmt = "yuv420p"
            for number in range(round(PICTURES_PER_SECOND * sound.shape[1] / rate_hz)):
                pixels = np.full((PICTURE_PIXELS, PICTURE_PIXELS, 3), number % 256, np.uint8)
                file.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels)))
            file.mux(pictures.encode())
        _mux(file, {stream: sound}, rate_hz)
    return buffer.getvalue()


def several_streams(
    container: str, codec: str, sounds: Mapping[Disposition, np.ndarray], rate_hz: int = 48_000
) -> bytes:
    """A stream for each (channels, samples), with this disposition."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        streams = {_sound_stream(file, codec, sound, rate_hz): sound for sound in sounds.values()}
        for stream, disposition in zip(streams, sounds, strict=True):
            stream.disposition = disposition
        _mux(file, streams, rate_hz)
    return buffer.getvalue()


def _sound_stream(file: OutputContainer, codec: str, sound: np.ndarray, rate_hz: int) -> av.AudioStream:
    stream = file.add_stream(codec, rate=rate_hz, layout=_layout(sound))
    stream.bit_rate = 128_000
    formats = {format_.name for format_ in stream.codec.audio_formats}
    stream.format = next(name for name in SAMPLE_FORMATS if name in formats)
    return stream


def _mux(file: OutputContainer, sounds: Mapping[av.AudioStream, np.ndarray], rate_hz: int) -> None:
    for stream, sound in sounds.items():
        for frame in _frames(stream, sound, rate_hz, _layout(sound)):
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def _layout(sound: np.ndarray) -> str:
    return "mono" if len(sound) == 1 else "stereo"


def _frames(stream: av.AudioStream, sound: np.ndarray, rate_hz: int, layout: str) -> list[av.AudioFrame]:
    """Splits samples into frames with the encoder's sample format and frame size."""
    whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=layout)
    whole.rate, whole.pts, whole.time_base = rate_hz, 0, Fraction(1, rate_hz)
    stream.codec_context.open(strict=False)
    queue = av.AudioFifo()
    for frame in av.AudioResampler(stream.format.name, layout, rate_hz).resample(whole):
        queue.write(frame)
    frames = queue.read_many(stream.codec_context.frame_size or 4_096)
    rest = queue.read(0, partial=True)
    return [*frames, rest] if rest else frames

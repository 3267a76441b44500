"""Reads an audio file, a picture, an upload or samples as a clip, which all later stages use."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genreclf.errors import GenreclfError, reason
from genreclf.frontend.audio import AUDIO_SUFFIXES, Source, stream_audio
from genreclf.frontend.band_axis import ANY_AXIS, FigureAxis
from genreclf.frontend.limits import MAX_SECONDS
from genreclf.frontend.log_mel import FRAME_RATE_HZ, LogMel, log_mel
from genreclf.frontend.memory_file import memory_file
from genreclf.frontend.object_store import Location, StorePath, in_memory
from genreclf.frontend.samples import read_samples
from genreclf.frontend.spectrogram_content import unsuitable_levels, unsuitable_sound

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".tif", ".tiff", ".webp")
CLIP_SUFFIXES = AUDIO_SUFFIXES + PICTURE_SUFFIXES
_PICTURE = re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|BM.{4}\0{4}|II[*+]\0|MM\0[*+]|RIFF.{4}WEBP", re.DOTALL)


@dataclass(frozen=True)
class Clip:
    """A spectrogram and information on its source."""

    levels: np.ndarray  # (128, columns) uint8, row 0 the lowest band
    frames: int  # the clip's length, in frames of 512 samples (23.2 ms)
    source_rate_hz: int  # sample rate of the audio file; 0 for a picture
    source_seconds: float  # length of the audio file, or of the music that the picture shows
    note: str  # a note for the user, such as "truncated: ...", or ""
    unsuitable: str = ""  # why no genre can be predicted, such as "silence: ..."; empty if one can


def is_clip(name: str) -> bool:
    """Returns whether a file name belongs to an audio file or a picture."""
    return not name.startswith(".") and name.lower().endswith(CLIP_SUFFIXES)


def is_picture(content: bytes | bytearray) -> bool:
    """Returns whether a file's content begins as a picture that is read."""
    return bool(_PICTURE.match(content))


def read_clip(
    path: Location,
    picture_seconds: float,
    max_seconds: float = MAX_SECONDS,
    figure: FigureAxis = ANY_AXIS,
    suffix: str | None = None,
) -> Clip:
    """Reads audio of at most `max_seconds`, or a picture of `picture_seconds` of music, depending on the suffix.

    `figure` describes the axis of pictures that are drawn figures. `suffix` replaces the path's own.

    Raises GenreclfError if the file cannot be read.
    """
    with as_file(path) as file:
        try:
            if (suffix or path.suffix).lower() in PICTURE_SUFFIXES:
                return _picture_clip(file, picture_seconds, figure)
            return _audio_clip(file, max_seconds)
        except OSError as error:
            raise GenreclfError(f"{file}: cannot be read ({reason(error)}); check the file and its disk") from error


def as_file(path: Location) -> AbstractContextManager[Path]:
    """Provides a path to read from, for files and for objects in a store. Raises GenreclfError as `in_memory` does."""
    return in_memory(path) if isinstance(path, StorePath) else nullcontext(path)


def read_upload(
    content: bytes | bytearray, picture_seconds: float, max_seconds: float, figure: FigureAxis = ANY_AXIS
) -> Clip:
    """Reads a clip from the bytes of a file, whose type is detected. They are never written to a disk.

    Raises GenreclfError as `read_clip` does, with "upload" as the file's name.
    """
    with upload_path(content) as path:
        if is_picture(content):
            return _picture_clip(path, picture_seconds, figure)
        return _audio_clip(path, max_seconds)


@contextmanager
def upload_path(content: bytes | bytearray) -> Iterator[Path]:
    """Provides a path to read `content` from, without writing it to a disk.

    Raises GenreclfError if it is empty. In error messages, the file's name is "upload".
    """
    if not content:
        raise GenreclfError("upload: empty; send the bytes of an audio file or picture")
    with memory_file("upload", [content]) as path:
        yield path


def samples_clip(samples: np.ndarray, rate_hz: float) -> Clip:
    """Makes a clip from samples at `rate_hz`. For shapes and errors, see `read_samples`."""
    audio = read_samples(samples, rate_hz)
    return _sound_clip(log_mel(audio.waveform), audio)


def _picture_clip(path: Path, picture_seconds: float, figure: FigureAxis) -> Clip:
    from genreclf.frontend.picture import read_picture  # 1/20 of the time to the first prediction for an audio file

    picture = read_picture(path, figure)
    frames = max(1, round(picture_seconds * FRAME_RATE_HZ))
    unsuitable = picture.unsuitable or unsuitable_levels(picture.levels)
    return Clip(picture.levels, frames, 0, picture_seconds, picture.note, unsuitable)


def _audio_clip(path: Path, max_seconds: float) -> Clip:
    spectrogram, source = stream_audio(path, LogMel, max_seconds)
    return _sound_clip(spectrogram.finished(), source)


def _sound_clip(levels: np.ndarray, source: Source) -> Clip:
    unsuitable = unsuitable_sound(source.unsuitable, levels)
    return Clip(levels, levels.shape[1], source.source_rate_hz, source.source_seconds, source.problem, unsuitable)

"""A file on disk -> the clip that every later stage works on: audio and pictures come together here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genreclf.frontend.audio import AUDIO_SUFFIXES, MAX_SECONDS, read_audio
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.frontend.picture import PICTURE_SUFFIXES, read_picture

CLIP_SUFFIXES = AUDIO_SUFFIXES + PICTURE_SUFFIXES
# (samples,) float32 at 22,050 Hz -> (128, frames) uint8: LogMelSpectrogram().levels, or mel.log_mel
FrontEnd = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Clip:
    """`levels` is (128, columns) uint8, row 0 lowest; it covers `frames` frames of 23.2 ms. `note` is for the reader.

    `source_rate_hz` and `source_seconds` are the file's own; of a picture the rate is 0 and the seconds are given.
    """

    levels: np.ndarray
    frames: int
    source_rate_hz: int
    source_seconds: float
    note: str


def is_clip(name: str) -> bool:
    """Whether a file's name is that of an audio file or picture."""
    return not name.startswith(".") and name.lower().endswith(CLIP_SUFFIXES)


def read_clip(path: Path, front_end: FrontEnd, picture_seconds: float) -> Clip:
    """Reads audio, or a picture that shows `picture_seconds` of music. Raises GenreclfError where it cannot."""
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return picture_clip(path, picture_seconds)
    return audio_clip(path, front_end)


def picture_clip(path: Path, picture_seconds: float) -> Clip:
    """A picture, whatever its name."""
    picture = read_picture(path)
    frames = max(1, round(picture_seconds * FRAME_RATE_HZ))
    note = "" if picture.colours == "grey" else f"colours: {picture.colours}"
    return Clip(picture.levels, frames, 0, picture_seconds, note)


def audio_clip(path: Path, front_end: FrontEnd, max_seconds: float = MAX_SECONDS) -> Clip:
    """Audio, whatever its name; of more than `max_seconds` it is refused."""
    audio = read_audio(path, max_seconds)
    levels = front_end(audio.waveform)
    return Clip(levels, levels.shape[1], audio.source_rate_hz, audio.source_seconds, audio.problem)

"""Converts a file to its row of the store's table and its rows of the store's arrays."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genreclf.data.fingerprint import NO_PRINTS, Fingerprint, fingerprint
from genreclf.data.sources import Source
from genreclf.data.store import Row
from genreclf.errors import GenreclfError
from genreclf.frontend.band_axis import FigureAxis
from genreclf.frontend.clip import Clip, as_file, read_clip
from genreclf.frontend.content import TOO_SHORT
from genreclf.frontend.limits import MAX_BYTES
from genreclf.frontend.log_mel import N_BANDS
from genreclf.frontend.object_store import Location, StoreError
from genreclf.frontend.segments import trim_silence


class Content(NamedTuple):
    """Identifies a file's content: files of equal content have equal spectrograms."""

    digest: str
    suffix: str  # decides how the file is read


Read = tuple[Row, tuple[np.ndarray, np.ndarray, np.ndarray]]  # a clip's row of the table and its rows of the arrays
_NO_CLIP = Clip(np.zeros((N_BANDS, 0), np.uint8), 0, 0, 0.0, "")


@dataclass(frozen=True)
class ClipReader:
    """Reads the clips of a folder or below a URL, in any thread or process."""

    folder: Location
    picture_seconds: float
    figure: FigureAxis
    known: frozenset[Content] = field(repr=False)  # files that older stores contain

    def __call__(self, source: Source) -> Read | Content:
        """Returns a clip's row, without offset and group yet, and its arrays; for a known file only its Content.

        Raises StoreError if an object store fails, which may be temporary.
        """
        path, digest = self.folder / source.path, ""
        try:
            with as_file(path) as file:
                digest = _file_digest(file)
                content = Content(digest, path.suffix.lower())
                return content if content in self.known else self._read(source, path, file, digest)
        except StoreError:
            raise
        except (GenreclfError, OSError) as error:
            return _row(source, digest, _NO_CLIP, NO_PRINTS, str(error))

    def _read(self, source: Source, path: Location, file: Path, digest: str) -> Read:
        seconds, suffix = self.picture_seconds, path.suffix
        clip = read_clip(file, picture_seconds=seconds, figure=self.figure, suffix=suffix)
        if clip.unsuitable and not clip.unsuitable.startswith(TOO_SHORT):
            raise GenreclfError(f"{path}: {clip.unsuitable}")
        return _row(source, digest, clip, fingerprint(clip.levels, clip.frames), clip.note)

    def lost(self, source: Source, why: str) -> Read:
        """Returns the row of a clip that cannot be read for the reason `why`, with empty arrays."""
        path = self.folder / source.path
        digest = _file_digest(path) if isinstance(path, Path) else ""
        return _row(source, digest, _NO_CLIP, NO_PRINTS, str(GenreclfError(f"{path}: {why}")))


def _row(source: Source, digest: str, clip: Clip, prints: Fingerprint, problem: str) -> Read:
    first_sound, sound_columns, _, sound_frames = trim_silence(clip.levels, clip.frames)
    row = Row(
        path=source.path,
        label=source.label,
        columns=clip.levels.shape[1],
        frames=clip.frames,
        offset=0,
        first_sound=first_sound,
        sound_columns=sound_columns,
        sound_frames=sound_frames,
        steps=len(prints.sketch),
        tokens=len(prints.tokens),
        source_rate_hz=clip.source_rate_hz,
        source_seconds=round(clip.source_seconds, 6),
        digest=digest,
        group=digest,
        problem=problem,
    )
    return row, (clip.levels.T, prints.sketch, prints.tokens)


def _file_digest(path: Path) -> str:
    """Returns a file's SHA-256, or "" if it is unreadable, too large, or not a regular file (a pipe would block)."""
    with suppress(OSError):
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    return ""

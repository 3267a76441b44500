"""Where clips come from: a folder with one folder a class, or the demo music, rendered when it is missing."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from genreclf.data.clip import CLIP_SUFFIXES
from genreclf.data.demo import write_demo
from genreclf.data.gtzan import gtzan_folder
from genreclf.errors import GenreclfError
from genreclf.progress import progress_bar

UNKNOWN_ARTISTS = ("single", "together")
LABEL_CONFLICTS = ("keep", "drop")


@dataclass(frozen=True)
class DataConfig:
    """`path` holds the classes' folders, `cache` the stores; `picture_seconds` is the music that a picture shows.

    `fetch` is gtzan where `path` is to hold that data set, in a usual layout or fetched into it; else None.

    `table` is a CSV that tells artists or groups of clips; clips of one artist or group are never parted. Without an
    artist, a clip stands alone (`unknown_artists` is single) or with all such clips of its class (together). Clips of
    equal content in different classes are kept, together, or left out (`label_conflicts` is keep or drop).

    `demo_clips_per_style` of 0 means that `path` is the user's own and nothing is rendered. Raises GenreclfError for
    seconds that are not above 0, and for an unknown word.
    """

    name: str
    path: Path
    cache: Path
    picture_seconds: float
    fetch: str | None
    table: Path | None
    unknown_artists: str
    label_conflicts: str
    demo_clips_per_style: int
    demo_seconds: float
    demo_seed: int

    def __post_init__(self) -> None:
        if not 0 < self.picture_seconds < math.inf:
            raise GenreclfError(f"data.picture_seconds={self.picture_seconds}: give seconds, more than 0")
        if self.fetch not in (None, "gtzan"):
            raise GenreclfError(f"data.fetch={self.fetch!r}: unknown; known: gtzan, null")
        for key, known in (("unknown_artists", UNKNOWN_ARTISTS), ("label_conflicts", LABEL_CONFLICTS)):
            if getattr(self, key) not in known:
                raise GenreclfError(f"data.{key}={getattr(self, key)!r}: unknown; known: {', '.join(known)}")


@dataclass(frozen=True)
class Source:
    """A file below the data folder, with its class; `path` is relative and uses forward slashes."""

    path: str
    label: str


def data_folder(config: DataConfig) -> Path:
    """The folder that holds the classes; GTZAN is fetched, demo music rendered, where it is missing."""
    if config.fetch == "gtzan":
        return gtzan_folder(config.path)
    if config.demo_clips_per_style == 0:
        return config.path
    clips, seconds, seed = config.demo_clips_per_style, config.demo_seconds, config.demo_seed
    folder = config.path / f"{clips}x{seconds:g}s-seed{seed}"
    with progress_bar("rendering demo music", "clips") as report:
        write_demo(folder, clips, seconds, seed, report)
    return folder


def list_sources(folder: Path) -> list[Source]:
    """All audio files and pictures below `folder`, each labelled with its top folder, in order of path.

    Links to folders are followed. Raises GenreclfError where the folder is missing, a folder in it cannot be read, or
    it holds fewer than two classes.
    """
    if not folder.is_dir():
        raise GenreclfError(f"data.path={folder}: no such folder; give one that holds a folder for each genre")
    found = []
    for parent, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        here = Path(parent)
        folders[:] = [name for name in folders if not name.startswith(".") and not _encloses(here / name, here)]
        inside = here.relative_to(folder)
        if inside.parts:
            found += [Source((inside / name).as_posix(), inside.parts[0]) for name in files if is_clip(name)]
    labels = {source.label for source in found}
    if len(labels) < 2:
        raise GenreclfError(
            f"data.path={folder}: {len(found)} clips in {len(labels)} classes; "
            "it must hold at least two folders, one a genre, with audio files or pictures in each"
        )
    return sorted(found, key=lambda source: source.path)


def _refuse(error: OSError) -> None:
    raise GenreclfError(f"{error.filename}: cannot be read ({error.strerror}); give the right to read it") from error


def _encloses(folder: Path, inner: Path) -> bool:
    """Whether `folder` is a link back to `inner` or to a folder around it."""
    return folder.is_symlink() and inner.resolve().is_relative_to(folder.resolve())


def is_clip(name: str) -> bool:
    """Whether a file's name is that of an audio file or picture."""
    return not name.startswith(".") and name.lower().endswith(CLIP_SUFFIXES)

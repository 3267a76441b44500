"""Where clips come from: a folder with one folder a class, or the demo music, rendered when it is missing."""

import os
from dataclasses import dataclass
from pathlib import Path

from genreclf.data.clip import CLIP_SUFFIXES
from genreclf.data.demo import write_demo
from genreclf.errors import GenreclfError
from genreclf.progress import progress_bar


@dataclass(frozen=True)
class DataConfig:
    """`path` holds the classes' folders, `cache` the stores; `picture_seconds` is the music that a picture shows.

    `demo_clips_per_style` of 0 means that `path` is the user's own and nothing is rendered.
    """

    name: str
    path: Path
    cache: Path
    picture_seconds: float
    demo_clips_per_style: int
    demo_seconds: float
    demo_seed: int


@dataclass(frozen=True)
class Source:
    """A file below the data folder, with its class; `path` is relative and uses forward slashes."""

    path: str
    label: str


def data_folder(config: DataConfig) -> Path:
    """The folder that holds the classes; the demo music is rendered into a folder of its own settings first."""
    if config.demo_clips_per_style == 0:
        return config.path
    clips, seconds, seed = config.demo_clips_per_style, config.demo_seconds, config.demo_seed
    folder = config.path / f"{clips}x{seconds:g}s-seed{seed}"
    with progress_bar("rendering demo music", "clips") as report:
        write_demo(folder, clips, seconds, seed, report)
    return folder


def list_sources(folder: Path) -> list[Source]:
    """All audio files and pictures below `folder`, each labelled with its top folder, in order of path.

    Raises GenreclfError where the folder is missing, or holds fewer than two classes.
    """
    if not folder.is_dir():
        raise GenreclfError(f"data.path={folder}: no such folder; give one that holds a folder for each genre")
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(parent).relative_to(folder)
        if inside.parts:
            found += [Source((inside / name).as_posix(), inside.parts[0]) for name in files if is_clip(name)]
    labels = {source.label for source in found}
    if len(labels) < 2:
        raise GenreclfError(
            f"data.path={folder}: {len(found)} clips in {len(labels)} classes; "
            "it must hold at least two folders, one a genre, with audio files or pictures in each"
        )
    return sorted(found, key=lambda source: source.path)


def is_clip(name: str) -> bool:
    """Whether a file's name is that of an audio file or picture."""
    return not name.startswith(".") and name.lower().endswith(CLIP_SUFFIXES)

"""Where clips come from: a folder with one folder a class, or with a table of genres, or the demo music."""

import math
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genreclf.data.demo import write_demo
from genreclf.data.gtzan import gtzan_folder
from genreclf.data.table import read_genres
from genreclf.errors import GenreclfError
from genreclf.frontend.clip import is_clip
from genreclf.progress import progress_bar

UNKNOWN_ARTISTS = ("single", "together")
LABEL_CONFLICTS = ("keep", "drop")


@dataclass(frozen=True)
class DataConfig:
    """`path` holds the classes' folders, `cache` the stores; `picture_seconds` is the music that a picture shows.

    `fetch` is gtzan where `path` is to hold that data set, in a usual layout or fetched into it; else None.

    `table` is a CSV that tells genres, artists or groups of clips. Its column of genres takes the place of folders;
    clips of one artist or group are never parted. Without an artist, a clip stands alone (`unknown_artists` is single)
    or with all such clips of its class (together). Clips of equal content in different classes are kept, together, or
    left out (`label_conflicts` is keep or drop).

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


def list_sources(folder: Path, table: Path | None = None) -> list[Source]:
    """The clips below `folder` in order of path, each with its class: its top folder, or what `table` says.

    Without a column `genre` in the table, all audio files and pictures within the top folders are clips; with one,
    those that have a genre there, at any depth. Links to folders are followed. Raises GenreclfError where the folder is
    missing, a folder in it cannot be read, the table cannot serve, there are fewer than two classes, or two of them
    differ in case only.
    """
    if not folder.is_dir():
        raise GenreclfError(f"data.path={folder}: no such folder; give one that holds a folder for each genre")
    paths = sorted(_paths_below(folder))
    genres = None if table is None else read_genres(table, paths)
    if genres is None:
        sources = [Source(path, path.split("/")[0]) for path in paths if "/" in path]
        _check(
            sources,
            f"data.path={folder}",
            "hold at least two folders, one a genre, with audio or pictures in each; or name genres in data.table",
            "move the files of one into the other",
        )
    else:
        sources = [Source(path, genre) for path, genre in zip(paths, genres, strict=True) if genre]
        _check(sources, f"data.table={table}", "name clips of at least two genres", "write them alike")
    return sources


def _check(sources: Sequence[Source], where: str, want: str, mend: str) -> None:
    """Refuses fewer than two classes, and two that most likely are one: copies between file systems make such."""
    first: dict[str, str] = {}
    for label in sorted({source.label for source in sources}):
        form = unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).lower())
        other = first.setdefault(form, label)
        if other != label:
            raise GenreclfError(
                f"{where}: classes {other!r} and {label!r} differ only in case or form of accents; {mend}"
            )
    if len(first) < 2:
        raise GenreclfError(f"{where}: {len(sources)} clips in {len(first)} classes; it must {want}")


def _paths_below(folder: Path) -> Iterator[str]:
    """The audio files and pictures below a folder, as relative paths with forward slashes."""
    for parent, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        inside = Path(parent).relative_to(folder)
        folders[:] = [name for name in folders if not name.startswith(".") and not _leads_back(folder, inside / name)]
        yield from ((inside / name).as_posix() for name in files if is_clip(name))


def _refuse(error: OSError) -> None:
    raise GenreclfError(f"{error.filename}: cannot be read ({error.strerror}); give the right to read it") from error


def _leads_back(top: Path, inside: Path) -> bool:
    """Whether a folder below `top` is a link to one that encloses it, on the way that was taken or on the disk."""
    if not (top / inside).is_symlink():
        return False
    target = (top / inside).resolve()
    return any((top / parent).resolve().is_relative_to(target) for parent in inside.parents)

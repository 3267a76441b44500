"""Ballroom (Gouyon et al. 2006): WAV files of about 30 s in one folder per dance, without tables and a split."""

import re
from pathlib import Path

from genreclf.data.archives import Archive, Limits, obtain
from genreclf.data.table import metadata_of
from genreclf.data.tracks import Layout, Track
from genreclf.frontend.clip import is_clip

FOLDER = "BallroomData"
DANCES = ("ChaChaCha", "Jive", "Quickstep", "Rumba", "Samba", "Tango", "VienneseWaltz", "Waltz")
ARCHIVE = Archive(
    url="https://mtg.upf.edu/ismir2004/contest/tempoContest/data1.tar.gz",
    algorithm="md5",
    digest="2872a3e52070bc342a4510a95e2fa0b8",
    size=3 * 2**29,
    limits=Limits(2_000, 4 * 2**30),
)
OTHER_WAY = "get data1.tar.gz elsewhere, unpack it, and set data.path to its folder"
_ALBUM = re.compile(r"Albums-(.+)-\d+")  # the name of a file from a CD; others have names such as Media-105901


def find(path: Path, subset: str) -> Layout | None:
    """Finds the data set: `path` is BallroomData or contains it."""
    folders = (path / FOLDER, path)
    audio = next((folder for folder in folders if set(DANCES) <= set(_dances(folder).values())), None)
    return None if audio is None else Layout(audio, audio)


def _dances(folder: Path) -> dict[str, str]:
    """Returns the dance of each folder in `folder`.

    Rumba may be divided: Rumba-American, Rumba-International, Rumba-Misc.
    """
    if not folder.is_dir():
        return {}
    known = {dance.lower(): dance for dance in DANCES}
    names = [inside.name for inside in folder.iterdir() if inside.is_dir()]
    dances = {name: known.get(name.lower().partition("-")[0]) for name in names}
    return {name: dance for name, dance in dances.items() if dance}


def fetch(path: Path, subset: str) -> None:
    """Downloads the data set. Raises GenreclfError as `obtain` does."""
    obtain(ARCHIVE, path / FOLDER, "data=ballroom", OTHER_WAY)


def tracks(layout: Layout, subset: str, split: int) -> dict[str, Track]:
    """Returns the clips by path. The clips of one CD are a group, because no table names the artists."""
    found = {}
    for folder, dance in _dances(layout.audio).items():
        for file in (layout.audio / folder).rglob("*"):
            if is_clip(file.name):
                album = _ALBUM.fullmatch(file.stem)
                cells = {"genre": dance, "album": album[1] if album else ""}
                found[file.relative_to(layout.audio).as_posix()] = Track(metadata_of(cells))
    return found

"""Writes a playlist for each genre, as extended M3U8 files."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from genreclf.errors import GenreclfError
from genreclf.files import write_atomically
from genreclf.tags.file_tags import read_tags
from genreclf.tags.plan import KEEP, PlanRow, split_genres
from genreclf.text import one_line, spelling_key

SUFFIX = ".m3u8"
_HEADER = "#EXTM3U"
_OURS = "#genreclf: written by genreclf tag, and replaced by its next run"  # players treat it as a comment
_UNSAFE = re.compile(r'[<>:"/\\|?*]')  # in a file name on Windows or Linux
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows
_NAME_BYTES = 200  # a file name has at most 255, including the suffix and a number


def songs_by_genre(plan: Sequence[PlanRow]) -> dict[str, list[Path]]:
    """Returns the songs of each genre as they will be once the plan is applied.

    Different spellings of a genre count as one genre.
    """
    spelling: dict[str, str] = {}
    songs: defaultdict[str, list[Path]] = defaultdict(list)
    for row in plan:
        for genre in row.wanted or (split_genres(row.present) if row.action == KEEP else ()):
            songs[spelling.setdefault(spelling_key(genre), genre)].append(Path(row.path))
    return dict(sorted(songs.items()))


def write_playlists(songs: Mapping[str, Sequence[Path]], folder: Path) -> tuple[list[Path], list[GenreclfError]]:
    """Writes a playlist for each genre into `folder`, which is created. Paths are relative to it.

    Returns the files written and the problems. Files that this command has not written are not replaced, and songs
    whose names a playlist cannot contain are left out. Raises OSError if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, problems = [], []
    for genre, name in zip(songs, file_names(list(songs)), strict=True):
        file = folder / name
        if not _is_free(file):
            problems.append(GenreclfError(f"{file}: not a playlist of this command, so it stays; move or rename it"))
            continue
        lines = [_HEADER, "#EXTENC:UTF-8", f"#PLAYLIST:{one_line(genre)}", _OURS]
        for song in songs[genre]:
            if problem := _unlistable(song):
                problems.append(problem)
            else:
                lines += [f"#EXTINF:-1,{one_line(_title(song))}", _location(song, folder)]
        write_atomically(file, "\n".join([*lines, ""]))
        written.append(file)
    return written, problems


def file_names(genres: Sequence[str]) -> list[str]:
    """Returns a file name for each genre, valid on all systems and unique even if case is ignored."""
    taken: set[str] = set()
    names = []
    for genre in genres:
        stem, number = _safe(genre), 1
        name = stem
        while name.casefold() in taken:
            number += 1
            name = f"{stem} ({number})"
        taken.add(name.casefold())
        names.append(name + SUFFIX)
    return names


def _safe(genre: str) -> str:
    plain = _UNSAFE.sub("_", one_line(genre, lambda _: "_"))
    short = plain.encode(errors="replace")[:_NAME_BYTES].decode(errors="ignore")
    stem = short.strip(" .") or "_"  # a leading dot hides a file; Windows drops dots and spaces at the end
    return f"_{stem}" if _RESERVED.fullmatch(stem) else stem


def _is_free(file: Path) -> bool:
    """Returns whether no file has this name, or `write_playlists` wrote it."""
    if not os.path.lexists(file):
        return True
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            return _OURS in [line.rstrip("\n") for line, _ in zip(lines, range(4), strict=False)]
    except OSError:
        return False


def _unlistable(song: Path) -> GenreclfError | None:
    name = os.fspath(song)
    if "\n" in name or "\r" in name:
        return GenreclfError(f"{song}: a playlist cannot hold a name with a line break; rename the file")
    try:
        name.encode()
    except UnicodeEncodeError:
        return GenreclfError(f"{song}: a playlist cannot hold a name that is not UTF-8; rename the file")
    return None


def _title(song: Path) -> str:
    try:
        tags = read_tags(song)
    except GenreclfError:
        return song.stem
    return " - ".join(filter(None, (tags.artist, tags.title))) if tags.title else song.stem


def _location(song: Path, folder: Path) -> str:
    """Returns a song's path relative to a folder, with a prefix if it would start with # and read as a comment."""
    place = os.path.relpath(song.absolute(), folder.resolve())
    return f"./{place}" if place.startswith("#") else place

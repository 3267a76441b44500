"""Lists the clips and the other files in a folder."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from genreclf.errors import GenreclfError
from genreclf.files import walk
from genreclf.frontend.audio import AUDIO_SUFFIXES
from genreclf.frontend.clip import PICTURE_SUFFIXES, is_clip
from genreclf.frontend.object_store import Location, StorePath, objects_below
from genreclf.text import first_names

COVER_ART, PLOTS = "cover art", "plots of genreclf"
# The plots in the folders of runs, evaluations, comparisons and searches, and the files that show what the folder is
_PLOT = re.compile(
    r"(curves|comparison|history|importance|(confusion|per-class|reliability|average-precision|precision-recall)-.+)\.png"
)
_RESULTS = frozenset(("record.json", "metrics.json", "comparison.json", "study.db"))
# Folders that macOS adds to archives, network drives to folders, and Windows and Linux to disks
_SYSTEM_FOLDERS = frozenset(
    ("__MACOSX", "@eaDir", "#recycle", "#snapshot", "$RECYCLE.BIN", "System Volume Information", "lost+found")
)
# Words in the file names of cover art from players, shops and scanners.
_COVER_WORDS = frozenset(
    (
        *("album", "albumart", "albumcover", "art", "artist", "artwork", "back", "backcover", "background", "banner"),
        *("booklet", "cd", "cdcover", "cover", "coverart", "covers", "digipak", "disc", "disk", "dpi", "fanart"),
        *("folder", "front", "frontcover", "hires", "inlay", "insert", "inside", "jacket", "label", "large", "logo"),
        *("matrix", "medium", "obi", "poster", "scan", "scans", "sleeve", "small", "spine", "thumb", "thumbnail"),
        *("tray", "vinyl"),
    )
)


@dataclass(frozen=True)
class FolderContents:
    """The contents of a folder. Paths are relative to it, with forward slashes, and sorted."""

    clips: list[str]
    ignored: dict[str, list[str]]  # other files by extension (".txt"; "" for none), COVER_ART, PLOTS
    unreadable: list[GenreclfError]  # folders that cannot be read


def ignored_note(ignored: Mapping[str, Sequence[str]]) -> str:
    """Describes how many files of each kind in `FolderContents.ignored` there are, with the first names."""
    count = sum(map(len, ignored.values()))
    kinds = sorted(ignored.items(), key=lambda item: (-len(item[1]), item[0]))
    parts = [f"{len(names)} {kind or 'without an extension'} ({first_names(names)})" for kind, names in kinds]
    return f"{count} file{'s' if count > 1 else ''} ignored: {', '.join(parts)}"


def folder_contents(folder: Location) -> FolderContents:
    """Lists the audio files and pictures below a folder or a URL, and the other files; see `contents_of`.

    Links to folders are followed, but not in a loop. Raises GenreclfError if a URL cannot be listed.
    """
    if isinstance(folder, StorePath):
        return contents_of(objects_below(folder))
    names: list[str] = []
    unreadable: list[OSError] = []
    for parent, folders, files in walk(folder, onerror=unreadable.append):
        inside = Path(parent).relative_to(folder)
        folders[:] = [name for name in folders if not _is_hidden(name)]
        names += [(inside / name).as_posix() for name in files]
    return contents_of(names, [_unreadable(error) for error in unreadable])


def contents_of(names: Collection[str], unreadable: Sequence[GenreclfError] = ()) -> FolderContents:
    """Sorts `names`, which are relative to a folder, into clips and other files, without hidden and system files.

    Pictures beside songs that are named like cover art ("cover", "folder", "front", "AlbumArtSmall", ...) are not
    clips, and neither are the plots in a run's folder.
    """
    of_results = {folder for folder, _, name in (path.rpartition("/") for path in names) if name in _RESULTS}
    clips: list[str] = []
    ignored: defaultdict[str, list[str]] = defaultdict(list)
    for path in names:
        if any(map(_is_hidden, path.split("/"))):
            continue
        folder, _, name = path.rpartition("/")
        if folder in of_results and _PLOT.fullmatch(name):
            ignored[PLOTS].append(path)
        elif is_clip(path):
            clips.append(path)
        else:
            ignored[PurePosixPath(path).suffix.lower()].append(path)
    covers = _cover_art(clips)
    if covers:
        ignored[COVER_ART] = sorted(covers)
    return FolderContents(
        clips=sorted(set(clips) - covers),
        ignored={kind: sorted(paths) for kind, paths in ignored.items()},
        unreadable=list(unreadable),
    )


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _SYSTEM_FOLDERS


def _unreadable(error: OSError) -> GenreclfError:
    return GenreclfError(f"{error.filename}: cannot be read ({error.strerror}); change its permissions")


def _cover_art(clips: Sequence[str]) -> set[str]:
    """Returns the pictures named like cover art with songs beside them, below them, or in the folder above them."""
    of_songs = {PurePosixPath(path).parent for path in clips if path.lower().endswith(AUDIO_SUFFIXES)}
    around_songs = of_songs.union(*(folder.parents for folder in of_songs))
    covers = filter(_has_name_of_cover, clips)
    folders = {path: PurePosixPath(path).parent for path in covers}
    return {path for path, folder in folders.items() if folder in around_songs or folder.parent in of_songs}


def _has_name_of_cover(path: str) -> bool:
    name = PurePosixPath(path)
    words = re.findall("[a-z]+", name.stem.lower())
    if not words or name.suffix.lower() not in PICTURE_SUFFIXES:
        return False
    # Windows Media Player writes "AlbumArtSmall" and "AlbumArt_{GUID}_Large".
    return words[0].startswith("albumart") or _COVER_WORDS.issuperset(words)

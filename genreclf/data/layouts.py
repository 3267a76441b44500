"""Interprets the folders of a data set: genres, splits, or Kaggle's copy of GTZAN."""

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from genreclf.data.notices import print_once
from genreclf.data.split import folder_splits, split_word
from genreclf.errors import GenreclfError
from genreclf.files import walk
from genreclf.frontend.clip import is_clip
from genreclf.frontend.folder import folder_contents
from genreclf.frontend.object_store import Location
from genreclf.text import first_names, normalize_name

# Kaggle's GTZAN: the same clips as audio and as pictures, in the folder Data
KAGGLE_AUDIO, KAGGLE_PICTURES = "genres_original", "images_original"
# Names of folders that contain the genres' folders, without case, spaces and punctuation
_NO_GENRES = re.compile(
    r"audios?|audiofiles|wavs?|mp3s?|flac|data|dataset|genres(original)?|images?(original)?|pictures?|"
    r"(mel)?(spectrograms?|specs?)|features|raw|processed|original|(fold|split|cv)\d+"
)


def kaggle_folder(folder: Path) -> Path | None:
    """Returns the folder of the genres if `folder` is or contains Kaggle's `Data`: audio, or else pictures.

    Prints on standard error which one it is, how to choose the other, and which folders of clips are ignored.
    """
    for parent in (folder, folder / "Data"):
        audio, pictures = (parent / name for name in (KAGGLE_AUDIO, KAGGLE_PICTURES))
        found = [(one, what) for one, what in ((audio, "audio"), (pictures, "pictures")) if _has_clips(one)]
        if found:
            chosen, *others = found
            other = "".join(f"; for the {what}, give data.path={path}" for path, what in others)
            passed = _folders_beside(folder, [audio, pictures])
            other += f"; ignores the clips in {first_names(passed)}" if passed else ""
            print_once(f"data.path={folder}: GTZAN as on Kaggle; uses the {chosen[1]} in {chosen[0].name}{other}")
            return chosen[0]
    return None


def _folders_beside(folder: Path, known: Sequence[Path]) -> list[str]:
    """Returns the folders of the clips in `folder` that are not below the `known` ones."""
    inside = [one.relative_to(folder) for one in known]
    parents = {PurePosixPath(path).parent for path in folder_contents(folder).clips}
    return sorted(str(one) for one in parents if not any(map(one.is_relative_to, inside)))


def _has_clips(folder: Path) -> bool:
    return any(is_clip(name) for _, _, files in walk(folder) for name in files)


def labels_of_folders(folder: Location, paths: Sequence[str]) -> list[str]:
    """Returns the genre of each path: its top folder, or the next one if the top folders are train, val and test.

    Each path must have a folder. Raises GenreclfError if the folders are clearly not genres.
    """
    parts = [path.split("/") for path in paths]
    tops = sorted({part[0] for part in parts})
    if splits := [top for top in tops if split_word(top)]:
        _check_splits(folder, tops, splits, paths)
        parts = [part[1:] for part in parts]
    names = sorted({part[0] for part in parts})
    if names and all(map(_is_no_genre, names)):
        inside = os.path.commonpath(["/".join(part[:-1]) for part in parts]) or names[0]
        remedy = "move the genres' folders up" if splits else f"give data.path={folder / inside}"
        fault = f"its folders {', '.join(map(repr, names))} are not genres; {remedy}, or genres in data.table"
        raise GenreclfError(f"data.path={folder}: {fault}")
    if any(folder_splits(paths)):
        named = ", ".join(named_splits(paths))
        print_once(f"data.path={folder}: its folders {named} are a split; split=folders uses it")
    if parts and not splits:
        _check_numbers(folder, tops, parts)
        _check_inside(folder, parts)
    return [part[0] for part in parts]


def _is_no_genre(name: str) -> bool:
    return bool(_NO_GENRES.fullmatch(normalize_name(name)))


def named_splits(paths: Sequence[str]) -> list[str]:
    """Returns the names of the folders that are named like splits."""
    return sorted({part for path in paths for part in path.split("/")[:2] if split_word(part)})


def _check_splits(folder: Location, tops: Sequence[str], splits: Sequence[str], paths: Sequence[str]) -> None:
    """Raises GenreclfError if folders named like splits are mixed with others, or contain no genre folders."""
    named = f"data.path={folder}: its folders {', '.join(map(repr, splits))} are named as splits"
    others = [top for top in tops if top not in splits]
    if others:
        remedy = "move or rename one kind, or give genres in data.table"
        raise GenreclfError(f"{named}, but {first_names(others)} are not; {remedy}")
    loose = [path for path in paths if path.count("/") == 1]
    if loose:
        remedy = "give each genre a folder there, or genres in data.table"
        raise GenreclfError(f"{named}, but {first_names(loose)} are directly in them; {remedy}")


def _check_numbers(folder: Location, tops: Sequence[str], parts: Sequence[Sequence[str]]) -> None:
    """Raises GenreclfError if folders are the first or last digits of their files' numbers; reports short numbers."""
    where = f"data.path={folder}: its folders {first_names(tops)}"
    stems = [(part[0], part[-1].partition(".")[0]) for part in parts]
    if all(_is_part_of_number(top, stem) for top, stem in stems):
        remedy = "give genres in data.table, or data=fma or data=jamendo if it is one of these"
        raise GenreclfError(f"{where} are digits of the numbers of the files in them, not genres; {remedy}")
    # Parts may be named by hexadecimal digits, but genres a and b are not parts.
    if any(map(str.isdigit, tops)) and all(re.fullmatch(r"[0-9a-f]|\d\d", top) for top in tops):
        print_once(f"{where} are numbers; if they are folds or parts and not genres, give the genres in data.table")


def _is_part_of_number(top: str, stem: str) -> bool:
    are_numbers = top.isdecimal() and stem.isdecimal() and 1 < len(top) < len(stem)
    return are_numbers and (stem.startswith(top) or stem.endswith(top))


def _check_inside(folder: Location, parts: Sequence[Sequence[str]]) -> None:
    """Raises GenreclfError if one folder contains all genre folders; reports several with the same ones."""
    shared = os.path.commonpath(["/".join(part[:-1]) for part in parts])
    depth = len(shared.split("/")) if shared else 0
    inside: dict[str, set[str]] = {}  # by folder: the folders in it
    for part in parts:
        inside.setdefault("/".join(part[: depth or 1]), set()).update(part[depth or 1 : -1][:1])
    common = sorted(set.intersection(*inside.values()))
    names = first_names(common)
    if len(common) < 2:
        return
    if shared:
        raise GenreclfError(f"data.path={folder}: has one folder with {names} in it; give data.path={folder / shared}")
    if all(split_word(name) or _is_no_genre(name) for name in common):
        return
    remedy = "if these are the genres, give them in data.table"
    print_once(f"data.path={folder}: its folders {first_names(sorted(inside))} all have {names} in them; {remedy}")

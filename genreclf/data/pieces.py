"""Recognises pieces and stems of longer clips by their file names: blues.00000.3.wav, song_part2.mp3, song_vocals.wav.

Pure: no I/O.
"""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from genreclf.data.split import split_word
from genreclf.grouping import grouped
from genreclf.text import normalize_name

_WORD = "(?:part|pt|piece|segment|seg|chunk|slice|section|excerpt|snippet|fragment|window)"
_STEM = r"(?:no[\s_-]?)?(?:vocals?|drums?|bass|other|instrumental|accompaniment)"  # names by source separation programs
_POSITION = "(?:clip|cut|crop|split|frame|win|sample|start|offset|time|t|aug)"  # these may also number songs
_GAP = r"[\s._(\[#@~+-]"
_SECONDS, _UNIT = r"\d{1,4}(?:\.\d+)?", "(?:ms|s|secs?|seconds?)"  # blues.00000 has five digits


def _scheme(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# Names of pieces; the group `whole` is the name of the longer clip
_WITH_WORD = (
    _scheme(rf"(?P<whole>.+?){_GAP}+{_WORD}?{_GAP}*\d+{_GAP}*of{_GAP}*\d+[)\]]?"),  # song_01_of_10
    _scheme(rf"(?P<whole>.+?){_GAP}+{_WORD}(?:{_GAP}*\d+|{_GAP}+(?:[a-z]|[ivx]+))[)\]]?"),  # song - Part 2, song part b
    _scheme(rf"{_WORD}{_GAP}*\d+{_GAP}+(?P<whole>.+)"),  # part2_song
    _scheme(rf"(?P<whole>.+?){_GAP}+{_SECONDS}s?{_GAP}+{_SECONDS}s"),  # song_0-30s
    _scheme(rf"(?P<whole>.+?){_GAP}+{_STEM}[)\]]?"),  # song_vocals
)
# Names with a number, which may also number songs: song.3, song_t30s
_NUMBERED = _scheme(rf"(?P<whole>.+?){_GAP}+(?:{_POSITION}{_GAP}*)?(?P<number>\d+){_UNIT}?[)\]]?")
# Names that are compared if the schemes above find no other piece: song_3.0-6.0, 3_song, and song/3, without a whole
_RANGE = _scheme(rf"(?P<whole>.+?){_GAP}+(?P<number>\d{{1,4}})(?:\.\d+)?{_UNIT}?[_-]{_SECONDS}{_UNIT}?")
_NUMBER_FIRST = _scheme(rf"(?P<number>\d+){_GAP}+(?P<whole>.+)")
_IN_FOLDER = _scheme(rf"(?P<whole>)(?:{_POSITION}{_GAP}*)?(?P<number>\d+){_UNIT}?")
# Names that number songs, not the pieces of one song
_NO_CLIP = ("track", "audiotrack", "song", "title", "audio", "clip", "file", "sample", "music", "recording", "untitled")


@dataclass(frozen=True)
class Piece:
    """A piece, as recognised by its file name."""

    whole: str  # name of the whole clip, with its folder
    number: int | None  # None if a word in the name, such as "part", marks a piece


def whole_clips(paths: Sequence[str], labels: Sequence[str], evident: bool) -> list[str]:
    """Returns the name of the whole clip for each clip that is one of several pieces, and "" for other clips.

    Numbers after a class name (blues.00000) do not mark pieces. If `evident`, numbers without a word such as "part"
    count only if nearly all whole clips have consecutive numbers from 0 or 1, or even steps such as 0, 3, 6, and if
    they number most of the clips.
    """
    pieces = [_piece(path, label) for path, label in zip(paths, labels, strict=True)]
    several, of_classes = _several(pieces), _class_folders(paths, labels)
    for place, (path, label) in enumerate(zip(paths, labels, strict=True)):
        if (piece := pieces[place]) is None or piece.whole not in several:
            pieces[place] = _other_piece(path, label, of_classes)
    several = _several(pieces)
    if evident:
        numbers = {whole: [one.number for one in found if one.number is not None] for whole, found in several.items()}
        if not _run_on(list(filter(None, numbers.values())), len(paths)):
            several = {whole: found for whole, found in several.items() if not numbers[whole]}
    return [piece.whole if piece is not None and piece.whole in several else "" for piece in pieces]


def _several(pieces: Sequence[Piece | None]) -> dict[str, list[Piece]]:
    """Returns the pieces of each whole clip that has more than one."""
    by_whole = grouped((piece.whole, piece) for piece in pieces if piece is not None)
    return {whole: found for whole, found in by_whole.items() if len(found) > 1}


def _class_folders(paths: Sequence[str], labels: Sequence[str]) -> set[str]:
    """Returns the folders that hold all clips of a class, and so cannot be one song each."""
    found = grouped((label, "/".join(_around(path))) for path, label in zip(paths, labels, strict=True))
    return {folders[0] for folders in map(list, map(set, found.values())) if len(folders) == 1}


def _around(path: str) -> list[str]:
    """Returns the folders around a clip. Pieces of one clip may be in both train and test."""
    return [folder for folder in path.split("/")[:-1] if not split_word(folder)]


def _piece(path: str, label: str) -> Piece | None:
    folders, around, name = path.split("/")[:-1], _around(path), PurePosixPath(path).stem
    if len(around) > 1 and re.fullmatch(_STEM, name, re.IGNORECASE):  # song/vocals.wav
        return Piece("/".join(around), None)
    found = next(filter(None, (scheme.fullmatch(name) for scheme in (*_WITH_WORD, _NUMBERED))), None)
    whole = normalize_name(found["whole"]) if found else ""
    if found is None or whole in ("", *_NO_CLIP, normalize_name(label), *map(normalize_name, folders[-1:])):
        return None
    return Piece("/".join([*around, found["whole"]]), int(found["number"]) if found.re is _NUMBERED else None)


def _other_piece(path: str, label: str, of_classes: Collection[str]) -> Piece | None:
    """Returns the piece that a name means in itself, if no other clip's name is like it but for a number at its end."""
    around, name = _around(path), PurePosixPath(path).stem
    schemes = (_RANGE, _NUMBER_FIRST, _IN_FOLDER, _NUMBERED)
    found = next(filter(None, (scheme.fullmatch(name) for scheme in schemes)), None)
    if found is None:
        return None
    whole, folder = normalize_name(found["whole"]), "/".join(around)
    if whole in ("", *map(normalize_name, around[-1:])):  # song/3, song/song_3
        is_song = len(around) > 1 and folder not in of_classes and around[-1] != label
        return Piece(folder, int(found["number"])) if is_song else None
    if found.re is _NUMBERED or whole in (*_NO_CLIP, normalize_name(label)):
        return None
    return Piece("/".join([*around, found["whole"]]), int(found["number"]))


def _run_on(numbers: Sequence[Sequence[int]], clips: int) -> bool:
    """Returns whether the numbers are clearly those of pieces, which must be most of the clips.

    9 of 10 whole clips, and at least two, must have nearly all numbers from 0 or 1 to their last one, or multiples.
    """
    complete = [found for found in numbers if max(found) <= 1.25 * len(found) * _step(found)]
    return len(complete) >= max(2, 0.9 * len(numbers)) and 2 * sum(map(len, complete)) >= clips


def _step(numbers: Sequence[int]) -> int:
    """Returns the largest number of which all are multiples, such as the seconds of a piece; 1 for few numbers."""
    return math.gcd(*numbers) or 1 if len(set(numbers)) > 2 else 1

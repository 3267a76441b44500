"""Recognises pieces and stems of longer clips by their file names: blues.00000.3.wav, song_part2.mp3, song_vocals.wav.

Pure: no I/O.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from genreclf.data.split import split_word
from genreclf.grouping import grouped
from genreclf.text import normalize_name

_WORD = "(?:part|pt|piece|segment|seg|chunk|slice|section|excerpt|snippet|fragment|window)"
_STEM = r"(?:no[\s_-]?)?(?:vocals?|drums?|bass|other|instrumental|accompaniment)"  # names by source separation programs
_GAP = r"[\s._(\[-]"
_SECONDS = r"\d+(?:\.\d+)?"


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
_NUMBERED = _scheme(rf"(?P<whole>.+?){_GAP}+(?P<number>\d+)[)\]]?")  # song.3, which may also be the third song
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
    count only if nearly all whole clips have consecutive numbers from 0 or 1, and if they number most of the clips.
    """
    pieces = [_piece(path, label) for path, label in zip(paths, labels, strict=True)]
    by_whole = grouped((piece.whole, piece) for piece in pieces if piece is not None)
    several = {whole: found for whole, found in by_whole.items() if len(found) > 1}
    if evident:
        numbers = {whole: [one.number for one in found if one.number is not None] for whole, found in several.items()}
        if not _run_on(list(filter(None, numbers.values())), len(paths)):
            several = {whole: found for whole, found in several.items() if not numbers[whole]}
    return [piece.whole if piece is not None and piece.whole in several else "" for piece in pieces]


def _piece(path: str, label: str) -> Piece | None:
    folders, name = path.split("/")[:-1], PurePosixPath(path).stem
    around = [folder for folder in folders if not split_word(folder)]  # pieces of a clip may be in both train and test
    if len(around) > 1 and re.fullmatch(_STEM, name, re.IGNORECASE):  # song/vocals.wav
        return Piece("/".join(around), None)
    found = next(filter(None, (scheme.fullmatch(name) for scheme in (*_WITH_WORD, _NUMBERED))), None)
    whole = normalize_name(found["whole"]) if found else ""
    if found is None or whole in ("", *_NO_CLIP, normalize_name(label), *map(normalize_name, folders[-1:])):
        return None
    return Piece("/".join([*around, found["whole"]]), int(found["number"]) if found.re is _NUMBERED else None)


def _run_on(numbers: Sequence[Sequence[int]], clips: int) -> bool:
    """Returns whether the numbers are clearly those of pieces, which must be most of the clips.

    9 of 10 whole clips, and at least two, must have nearly all numbers from 0 or 1 to their last one.
    """
    complete = [found for found in numbers if max(found) <= 1.25 * len(found)]
    return len(complete) >= max(2, 0.9 * len(numbers)) and 2 * sum(map(len, complete)) >= clips

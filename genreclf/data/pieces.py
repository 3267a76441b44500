"""Clips whose file names number them as pieces of one longer clip: blues.00000.3.wav, song_part2.mp3. Pure: no I/O."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from genreclf.data.split import split_word
from genreclf.text import normalize_name

# What follows the name of the whole clip: separators, a word for a piece (if any) and its number.
_END = re.compile(
    r"[\s._(\[-]+(?P<word>part|pt|piece|segment|seg|chunk|slice|section|excerpt|snippet|fragment|window)?"
    r"[\s._-]*(?P<number>\d+)[)\]]?$",
    re.IGNORECASE,
)
# Names that number songs, not the pieces of one
_NO_CLIP = ("track", "audiotrack", "song", "title", "audio", "clip", "file", "sample", "music", "recording", "untitled")


@dataclass(frozen=True)
class Piece:
    """What a file's name says."""

    whole: str  # the name of the whole clip, with its folder
    number: int
    has_word: bool  # it is called a part, a segment or the like


def whole_clips(paths: Sequence[str], labels: Sequence[str], evident: bool) -> list[str]:
    """For each clip that is one of several pieces, the name of the whole clip; empty for other clips.

    Numbers behind a class's own name (blues.00000) are no pieces. If only `evident` ones are asked for, numbers without
    a word such as "part" have to run on from 0 or 1 in nearly all of them, and to number most of the clips.
    """
    pieces = [_piece(path, label) for path, label in zip(paths, labels, strict=True)]
    by_whole: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        if piece is not None:
            by_whole[piece.whole].append(piece)
    several = {whole: found for whole, found in by_whole.items() if len(found) > 1}
    if evident:
        numbered = {whole: found for whole, found in several.items() if not all(piece.has_word for piece in found)}
        if not _run_on(numbered, len(paths)):
            several = {whole: found for whole, found in several.items() if whole not in numbered}
    return [piece.whole if piece is not None and piece.whole in several else "" for piece in pieces]


def _piece(path: str, label: str) -> Piece | None:
    parts, name = path.split("/")[:-1], PurePosixPath(path).stem
    end = _END.search(name)
    stem = normalize_name(name[: end.start()]) if end else ""
    if end is None or stem in ("", *_NO_CLIP, normalize_name(label), *map(normalize_name, parts[-1:])):
        return None
    folders = [part for part in parts if not split_word(part)]  # pieces of one clip may be in train and in test
    return Piece("/".join([*folders, name[: end.start()]]), int(end["number"]), bool(end["word"]))


def _run_on(numbered: dict[str, list[Piece]], clips: int) -> bool:
    """Whether these are evidently pieces: 9 of 10 whole clips have nearly all numbers from 0 or 1 to their last."""
    ends = [(found, max(piece.number for piece in found)) for found in numbered.values()]
    complete = [found for found, last in ends if last <= 1.25 * len(found)]
    return len(complete) >= max(2, 0.9 * len(ends)) and 2 * sum(map(len, complete)) >= clips

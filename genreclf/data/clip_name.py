"""Matches names and paths of clips, however lists and tables spell them."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from urllib.parse import unquote, urlsplit

from genreclf.frontend.clip import is_clip
from genreclf.grouping import grouped

_ADDRESS = re.compile("(?:file|https?)://", re.IGNORECASE)  # addresses, which contain escaped characters


def path_parts(path: str) -> list[str]:
    """Splits a path, or the path in an address, at slashes and backslashes. The parts are in lower case."""
    parts = map(str.strip, _slashed(path).casefold().split("/"))
    return [part for part in parts if part not in ("", ".")]


def _slashed(path: str) -> str:
    """Returns a path, or the path in an address, with slashes instead of backslashes."""
    is_address = "://" in path and _ADDRESS.match(path)
    return (unquote(urlsplit(path).path) if is_address else path).replace("\\", "/")


def path_among(clips: Iterable[str]) -> Callable[[str], str]:
    """Returns a function that maps a path to the path of the clip that it means, or to itself if it means none.

    The two may differ in case, slashes, spaces around the parts, "./" and the form of accents. A path that matches two
    clips means neither.
    """
    known = set(clips)

    @cache  # most lists have the clips' own spelling, and need no others
    def alike() -> dict[str, list[str]]:
        return grouped((_plain(clip), clip) for clip in known)

    def meant(path: str) -> str:
        found = [path] if path in known else alike().get(_plain(path), [])
        return found[0] if len(found) == 1 else path

    return meant


def _plain(path: str) -> str:
    return unicodedata.normalize("NFC", "/".join(path_parts(unicodedata.normalize("NFC", path))))


def file_name(path: str) -> str:
    """Returns the last part of a path with slashes or backslashes."""
    return _slashed(path).rpartition("/")[2]


def clip_name(path: str) -> str:
    """Returns a file's name without folder and suffix, or `blues.00000` for each usual spelling of GTZAN's names."""
    last = file_name(path.strip())
    known = gtzan_name(last)
    return last.rpartition(".")[0] if known == last and is_clip(last) else known


def gtzan_name(path: str) -> str:
    """Converts `.../blues00000.png` to `blues.00000`, and returns other names without their folder."""
    last = file_name(path)
    match = re.match(r"([a-z]+)\.?(\d{5})(\.[A-Za-z][A-Za-z0-9]*)?$", last)  # .3 is a piece's number, not a suffix
    return f"{match[1]}.{match[2]}" if match else last

"""Checks the class names of a data set: refuses unusable ones, and reports odd ones."""

import re
import unicodedata
from collections.abc import Sequence

from genreclf.data.genre_map import NO_GENRE
from genreclf.data.labels import genres_of
from genreclf.data.notices import print_once
from genreclf.errors import GenreclfError
from genreclf.grouping import grouped
from genreclf.text import first_names, spelling_key


def _classes(labels: Sequence[str], task: str) -> list[str]:
    return sorted({genre for label in labels for genre in genres_of(label, task)})


def check_classes(labels: Sequence[str], task: str, where: str, need: str, remedy: str) -> None:
    """Raises GenreclfError for fewer than two classes, and for two spellings of one class, as copying between file
    systems produces.

    `labels` are the clips' labels. The message begins with `where` and ends with `need` or `remedy`.
    """
    first: dict[str, str] = {}
    for label in _classes(labels, task):
        other = first.setdefault(_plain(label), label)
        if other != label:
            fault = f"classes {other!r} and {label!r} differ only in case, spaces or form of accents"
            raise GenreclfError(f"{where}: {fault}; {remedy}")
    if len(first) < 2:
        raise GenreclfError(f"{where}: {len(labels)} clips in {len(first)} classes; it must {need}")


def _plain(label: str) -> str:
    """Returns a class name without case and surplus spaces, in Unicode's composed form."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold()).split())


def report_odd_classes(labels: Sequence[str], task: str, where: str, none: str | None) -> None:
    """Prints on standard error which classes are probably not genres, and which ones are probably the same genre.

    `none` is the class of out-of-scope music.
    """
    names = _classes(labels, task)
    if several := [name for name in names if _joins_genres(name, names)]:
        remedy = "to give a clip several genres, use task=multilabel, and semicolons between them"
        print_once(f"{where}: there are classes named {first_names(several)}; {remedy}")
    for key, alike in grouped((spelling_key(name), name) for name in names).items():
        if key in NO_GENRE and none not in alike:
            remedy = f"if they belong to none of the genres, give data.none={alike[0]}"
            print_once(f"{where}: the clips of {alike[0]!r} are a class like the others; {remedy}")
        if len(alike) > 1:
            both = " and ".join(map(repr, alike))
            print_once(f"{where}: {both} are two classes; if they are one genre, use one spelling")


def _joins_genres(name: str, known: Sequence[str]) -> bool:
    """Returns whether a name lists several genres: "rock;pop", or "rock, pop" if there is a class rock or pop."""
    parts = [part.strip() for part in re.split(r"[;,|/]", name)]
    return len(parts) > 1 and (";" in name or not set(parts).isdisjoint(known))

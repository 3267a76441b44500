"""Maps the words in a file's tags to genres: `data.genre_map`."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from genreclf.csv_text import CsvText, read_csv_text
from genreclf.data.artists import UNKNOWN
from genreclf.data.labels import genres_of
from genreclf.errors import GenreclfError
from genreclf.files import user_path
from genreclf.inference.task import MULTICLASS, MULTILABEL
from genreclf.tags.plan import join_genres
from genreclf.text import spelling_key

BUILT_IN = "gtzan"  # the spellings of GTZAN's ten genres
_SPELLINGS = Path(__file__).with_name("genre_spellings.csv")
NONE = "none"  # the genre in a map for out-of-scope music
_LIST, _COMPOUND = re.compile(r"[;\0]"), re.compile(r"[/|,]")  # "Rock; Live" is two tags, "Pop/Funk" is one
# Words that programs write for a missing genre, as keys from `spelling_key`
NO_GENRE = frozenset(
    (
        *(*UNKNOWN, "default", "genre", "misc", "miscellaneous", "nogenre", "other", "unclassifiable"),
        *("unclassified", "undefined", "unknowngenre", "unspecified"),
    )
)
# Reasons why a file has no genre
NO_TAG, NOT_IN_MAP = "no genre in its tags", "genre not in data.genre_map"
SEVERAL, EXCLUDED = "tags of several genres", "excluded by data.genre_map"
OF_NONE = "none of the genres (data.none=none trains with them)"


class Choice(NamedTuple):
    """The genre from a file's tags, or the reason why they give none."""

    genre: str  # several are joined as in tables; empty for none
    reason: str = ""  # one of the reasons above if `genre` is empty


@dataclass(frozen=True)
class GenreMap:
    """A mapping from words in tags to genres. Without `genres`, each word is its own genre."""

    genres: Mapping[str, str] | None  # genre by `spelling_key`; "" leaves the file out
    none: str | None  # the class of out-of-scope music (`data.none`)
    task: str = MULTICLASS  # MULTILABEL: a file has all genres that its tags mean

    def choose(self, tags: Sequence[str]) -> Choice:
        """Returns the genre of a file with these genres in its tags.

        With a map, this is the genre that they map to; two different ones give no genre. Without a map, it is the first
        tag. With the task MULTILABEL, it is all of them.
        """
        parts = (part.strip() for tag in tags for part in _LIST.split(tag))
        named = list(filter(self._is_meaningful, parts))
        if not named:
            return Choice("", NO_TAG)
        if self.genres is None:
            return Choice(join_genres(named if self.task == MULTILABEL else named[:1]))
        found = {genre for tag in named for genre in self._meanings(tag)}
        if not found:
            return Choice("", NOT_IN_MAP)
        if "" in found:
            return Choice("", EXCLUDED)
        if self.task == MULTILABEL:
            genres = sorted(found - {NONE})
            return Choice(join_genres(genres), "" if genres else EXCLUDED)
        if len(found) > 1:
            return Choice("", SEVERAL)
        (genre,) = found
        if genre == NONE:
            return Choice(self.none or "", "" if self.none else OF_NONE)
        return Choice(genre)

    def corrected(self, cell: str) -> str:
        """Returns the label that a person means by a table's `cell`: genres from the map, or else the cell's words."""
        return join_genres(map(self._meant, genres_of(cell, self.task)))

    def _meant(self, genre: str) -> str:
        meant = (self.genres or {}).get(spelling_key(genre), "")
        return meant if meant not in ("", NONE) else genre

    def _meanings(self, tag: str) -> list[str]:
        """Returns the map's genres for a tag. A tag such as "Hip-Hop/Rap" needs a genre for each of its parts."""
        genres = self.genres or {}
        whole = spelling_key(tag)
        keys = [whole] if whole in genres else list(map(spelling_key, _COMPOUND.split(tag)))
        return [genres[key] for key in keys] if all(key in genres for key in keys) else []

    def _is_meaningful(self, tag: str) -> bool:
        key = spelling_key(tag)
        is_genre = key not in NO_GENRE or key == spelling_key(self.none or "") or key in (self.genres or {})
        return is_genre and any(map(str.isalnum, tag))


def load_genre_map(name: str | None, none: str | None, task: str = MULTICLASS) -> GenreMap:
    """Loads the map `gtzan` or a CSV file with the columns tag and genre. None gives a map that keeps tags unchanged.

    Raises GenreclfError if the file cannot be read, lacks these columns, or gives one tag two genres.
    """
    if name is None:
        return GenreMap(None, none, task)
    file = _SPELLINGS if name == BUILT_IN else user_path(name)
    return GenreMap(_read(read_csv_text(file, f"data.genre_map={name}")), none, task)


def absolute_genre_map(name: str | None) -> str | None:
    """Returns a value of `data.genre_map` that means the same in any working folder."""
    return name if name in (None, BUILT_IN) else str(user_path(name).resolve())


def _read(text: CsvText) -> dict[str, str]:
    first: dict[str, tuple[str, str]] = {}  # by key: the tag and the genre
    for line, (tag, genre) in text.columns("tag", "genre"):
        key = spelling_key(tag)
        if not key:
            raise GenreclfError(f"{text.where}: line {line} has no tag; fill it in, or delete the line")
        other, meant = first.setdefault(key, (tag, genre))
        if meant != genre:
            fault = f"{other!r} is {meant or 'left out'!r} and {tag!r} is {genre or 'left out'!r}"
            raise GenreclfError(f"{text.where}: {fault}, which are one spelling; give them one genre")
    return {key: genre for key, (_, genre) in first.items()}


def one_spelling(genres: Sequence[str], preferred: Iterable[str]) -> list[str]:
    """Returns the genres in one spelling each: the one in `preferred`, or else the most frequent one."""
    counts = Counter(filter(None, genres))
    spelling: dict[str, str] = {}
    for name in [*dict.fromkeys(preferred), *sorted(counts, key=lambda name: (-counts[name], name))]:
        spelling.setdefault(spelling_key(name), name)
    return [spelling[spelling_key(name)] if name else "" for name in genres]

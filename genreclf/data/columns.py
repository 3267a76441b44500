"""Reads the header line of a table, and finds the meaning of each column under any of its usual names."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from genreclf.csv_text import CsvText
from genreclf.errors import GenreclfError
from genreclf.frontend.clip import is_clip
from genreclf.text import NAMES_SHOWN, first_names, normalize_name, spelling_key

# The usual names by meaning, without case, spaces and punctuation. A plural means the same.
NAMES = {
    "path": "path file filename fname filepath pathname relativepath relpath fullpath abspath absolutepath audio "
    "audiofile audiofilename audiofilepath audiopath mp3path wavpath image imagefile imagepath soundfile",
    "clip": "clip clipid clipname track trackid song songid sample sampleid audioid fileid id stem",
    "genre": "genre label class category style genrename genrelabel genretop musicgenre labelname classname",
    "artist": "artist artistname performer performername band bandname singer musician",
    "album": "album albumname albumtitle release",
    "title": "title name tracktitle trackname songtitle songname",
    "group": "group groupname recording",
    "fold": "fold foldnumber foldname split splitname partition",
    "license": "license licence licensename licencename licenseurl licenceurl",
}
# Names in German, French, Spanish, Portuguese and Italian exports, without accents
_OTHER_LANGUAGES = {
    "path": "datei dateiname dateipfad pfad fichier nomfichier nomdefichier chemin archivo nombrearchivo ruta arquivo "
    "caminho percorso nomefile",
    "genre": "genero genere gattung musikrichtung stil estilo",
    "artist": "kunstler interpret artiste artista interprete cantante cantor",
    "title": "titel titre titulo titolo",
}
# Used only if no other column has the meaning: they contain the same information, or less
_SECOND_CHOICE = {
    "path": "location filelocation",
    "genre": "maingenre primarygenre topgenre playlistgenre songgenre trackgenre",
    "artist": "albumartist artistid",
    "album": "albumid",
    "group": "groupid recordingid",
    "fold": "foldid subset",
}
MEANING = {
    name: meaning
    for known in (NAMES, _OTHER_LANGUAGES, _SECOND_CHOICE)
    for meaning, names in known.items()
    for name in names.split()
}
KEYS = ("path", "clip")
# Columns in a plan of `genreclf tag`: the one that a person fills in, and those that identify a plan
CORRECT, PLAN_COLUMNS = "correct", ("action", "present")
# Tables of public data sets that cannot be used here, by the names in their first rows: what they are, what to give
_PUBLIC_TABLES = {
    frozenset(("", "album", "artist", "set", "track")): (
        "FMA's tracks.csv, whose header has three rows",
        "data=fma, or a table with one header row, of its columns track_id, artist_id, genre_top and split",
    ),
    frozenset(("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")): (
        "a table of MTG-Jamendo, with tags beyond its columns",
        "data=jamendo, or a table with the columns PATH, ARTIST_ID and genre",
    ),
}
USEFUL = ("genre", "artist", "album", "title", "group", "fold")


@dataclass(frozen=True)
class Columns:
    """The columns of a table, from its header line."""

    delimiter: str
    number_of: dict[str, int]  # by meaning: the column, counted from 0
    names: tuple[str, ...]  # names of all columns, as spelled in the file
    plan: bool = False  # whether it is a plan of `genreclf tag`, whose genres are a person's corrections

    @cached_property
    def key(self) -> str:
        """The meaning of the column that identifies clips, one of KEYS."""
        return next(key for key in KEYS if key in self.number_of)

    @property
    def key_name(self) -> str:
        """The name of that column. A column without a name contains paths."""
        return self.names[self.number_of[self.key]] or self.key

    def note(self, used: Sequence[str] = ()) -> str:
        """Returns a note on columns under other names and on ignored columns; may be empty.

        Columns that a name in `used` means (see `find`) are not ignored.
        """
        if self.plan:
            return f"a plan of genreclf tag; uses the genres in its column {self.names[self.number_of['genre']]!r}"
        taken = [(self.names[number], meaning) for meaning, number in self.number_of.items()]
        others = [f"{name!r} as {meaning}" for name, meaning in taken if name != meaning]
        read = {*self.number_of.values(), *(number for name in used for number in self.find(name))}
        ignored = [name for number, name in enumerate(self.names) if number not in read and name]
        parts = ["uses " + ", ".join(others)] if others else []
        count = f" ({len(ignored)} columns)" if len(ignored) > NAMES_SHOWN else ""
        parts += [f"ignores {first_names(ignored)}{count}"] if ignored else []
        return "; ".join(parts)

    def find(self, name: str) -> list[int]:
        """Returns the columns that a user means by `name`, or an empty list.

        They are the columns of this name, or else those that differ only in case, spaces and punctuation, or else the
        one with the same meaning.
        """
        plain = normalize_name(name)
        spelled = [number for number, other in enumerate(self.names) if other == name]
        alike = [number for number, other in enumerate(self.names) if plain and normalize_name(other) == plain]
        same = [number for meaning, number in self.number_of.items() if meaning == meaning_of(name)]
        return spelled or alike or same


def read_header(text: CsvText) -> Columns:
    """Reads the columns of a table. The delimiter is the one that gives the most known columns.

    The genre of a plan of `genreclf tag` is in the column `correct`, which a person fills in. Raises GenreclfError for
    an empty table, if there is no column that identifies clips or none with information on them, for two columns with
    the same meaning, for tables of FMA and MTG-Jamendo, and for a file that is not a CSV.
    """
    where, delimiter = text.where, text.delimiter(lambda name: meaning_of(name) is not None)
    names = text.header(delimiter)
    if not names:
        raise GenreclfError(f"{where}: is empty; give a CSV file whose first line names the columns")
    if public := _PUBLIC_TABLES.get(frozenset(names)):
        raise GenreclfError(f"{where}: this is {public[0]}; give {public[1]}")
    number_of: dict[str, int] = {}
    plan = _is_plan(names)
    for meaning in NAMES:
        numbers = _first_choice([number for number, name in enumerate(names) if meaning_of(name) == meaning], names)
        if meaning == "genre" and plan:
            numbers = [number for number, name in enumerate(names) if normalize_name(name) == CORRECT]
        if meaning == "clip" and "path" in number_of:
            continue  # a table may number its clips in addition to naming the files
        if len(numbers) > 1:
            both = " and ".join(repr(names[number]) for number in numbers)
            raise GenreclfError(f"{where}: the columns {both} both mean {meaning}; delete or rename all but one")
        if numbers:
            number_of[meaning] = numbers[0]
    if number_of and not names[0] and number_of.keys().isdisjoint(KEYS):
        number_of["path"] = 0  # pandas and R write an index like this
    next(text.rows(delimiter), None)  # raises GenreclfError for a quote that is not closed
    found = Columns(delimiter, number_of, names, plan)
    _check(found, where)
    return found


def meaning_of(name: str) -> str | None:
    """Returns the meaning of a column's name, or None for an unknown name."""
    return next((MEANING[form] for form in _singulars(name) if form in MEANING), None)


def _first_choice(numbers: Sequence[int], names: Sequence[str]) -> Sequence[int]:
    """Selects, among columns with the same meaning, those that are not a second choice, if there are any."""
    second = {name for known in _SECOND_CHOICE.values() for name in known.split()}
    first = [number for number in numbers if not second.intersection(_singulars(names[number]))]
    return first or numbers


def _singulars(name: str) -> tuple[str, ...]:
    """Returns a column's name without case, spaces and punctuation, unchanged and as the singular of a plural."""
    plain = spelling_key(name)
    return plain, plain.removesuffix("s"), plain.removesuffix("es"), plain.removesuffix("ies") + "y"


def _is_plan(names: Sequence[str]) -> bool:
    """Returns whether this is the header of a plan, even if a person has deleted some columns.

    In other tables, a column `correct` beside the genre may state whether a prediction is correct.
    """
    plain = set(map(normalize_name, names))
    return CORRECT in plain and (not plain.isdisjoint(PLAN_COLUMNS) or "genre" not in map(meaning_of, names))


def _check(columns: Columns, where: str) -> None:
    for needed, why in ((KEYS, "names the clips"), (USEFUL, "says something about them")):
        if not any(meaning in columns.number_of for meaning in needed):
            known = "; ".join(f"{meaning} ({', '.join(NAMES[meaning].split())})" for meaning in needed)
            fault = f"no column {why} in its first line ({first_names(columns.names) or 'none'})"
            if any(map(is_clip, columns.names)):
                raise GenreclfError(f"{where}: {fault}; add a line with the columns' names above it, as path,genre")
            raise GenreclfError(f"{where}: {fault}; known, in any case: {known}")

"""The header line of a table: which column means what, under any of its usual names."""

from collections.abc import Sequence
from dataclasses import dataclass

from genreclf.csv_text import DELIMITERS, CsvText
from genreclf.errors import GenreclfError
from genreclf.text import normalize_name, spelling_key

# By meaning, its usual names without case, spaces and punctuation. A plural means the same.
NAMES = {
    "path": "path file filename filepath pathname relativepath fullpath audio audiofile audiopath image imagefile "
    "imagepath soundfile",
    "clip": "clip clipid clipname track trackid song songid sample sampleid audioid fileid id stem",
    "genre": "genre label class category style genrename genrelabel genretop musicgenre labelname classname",
    "artist": "artist artistname artistid performer performername band bandname singer musician",
    "album": "album albumname albumtitle albumid release",
    "title": "title name tracktitle trackname songtitle songname",
    "group": "group groupid groupname recording recordingid",
    "fold": "fold foldid foldnumber foldname split splitname subset partition",
    "license": "license licence licensename licencename licenseurl licenceurl",
}
# Those of exports in German, French, Spanish, Portuguese and Italian, without accents
_OTHER_LANGUAGES = {
    "path": "datei dateiname dateipfad pfad fichier nomfichier nomdefichier chemin archivo nombrearchivo ruta arquivo "
    "caminho percorso nomefile",
    "genre": "genero genere gattung musikrichtung stil estilo",
    "artist": "kunstler interpret artiste artista interprete cantante cantor",
    "title": "titel titre titulo titolo",
}
MEANING = {
    name: meaning for known in (NAMES, _OTHER_LANGUAGES) for meaning, names in known.items() for name in names.split()
}
KEYS = ("path", "clip")
# Of the columns of a plan of `genreclf tag`: the one that a person fills in, and those that tell that it is a plan
CORRECT, PLAN_COLUMNS = "correct", ("action", "present")
FMA_TABLES = ("album", "artist", "set", "track")  # the first row of FMA's tracks.csv (Defferrard et al. 2017)
USEFUL = ("genre", "artist", "album", "title", "group", "fold")


@dataclass(frozen=True)
class Columns:
    """What a header line means."""

    delimiter: str
    number_of: dict[str, int]  # by meaning: the column, counted from 0
    names: tuple[str, ...]  # of all columns, as the file spells them
    plan: bool = False  # of `genreclf tag`: the genres are those that a person has corrected

    @property
    def key(self) -> str:
        """The meaning of the column that identifies clips, one of KEYS."""
        return next(key for key in KEYS if key in self.number_of)

    @property
    def key_name(self) -> str:
        """The name of that column."""
        return self.names[self.number_of[self.key]]

    def told(self, used: Sequence[str] = ()) -> str:
        """What a user should know: names that were taken as others, and columns that were ignored; may be empty.

        Columns that a name in `used` means (see `find`) are not ignored.
        """
        if self.plan:
            return f"a plan of genreclf tag; takes the genres in its column {self.names[self.number_of['genre']]!r}"
        taken = [(self.names[number], meaning) for meaning, number in self.number_of.items()]
        others = [f"{name!r} as {meaning}" for name, meaning in taken if name != meaning]
        read = {*self.number_of.values(), *(number for name in used for number in self.find(name))}
        ignored = [name for number, name in enumerate(self.names) if number not in read and name]
        parts = ["takes " + ", ".join(others)] if others else []
        parts += ["ignores " + ", ".join(map(repr, ignored))] if ignored else []
        return "; ".join(parts)

    def find(self, name: str) -> list[int]:
        """The columns that a user means by `name`: those spelled so; or else those that differ in case, spaces and
        punctuation only; or else the one of its meaning. Empty for an unknown name."""
        plain = normalize_name(name)
        spelled = [number for number, other in enumerate(self.names) if other == name]
        alike = [number for number, other in enumerate(self.names) if plain and normalize_name(other) == plain]
        same = [number for meaning, number in self.number_of.items() if meaning == meaning_of(name)]
        return spelled or alike or same


def read_header(text: CsvText) -> Columns:
    """The columns of a table; its delimiter is the one that gives the most known columns.

    A plan of `genreclf tag` has the genre in the column `correct`, which a person fills in. Raises GenreclfError
    without a column that identifies clips or one that says something about them, for two columns of one meaning,
    for FMA's tracks.csv, and for a file that is no CSV.
    """
    where, splits = text.where, {mark: text.header(mark) for mark in DELIMITERS}
    delimiter = max(splits, key=lambda mark: (sum(map(bool, map(meaning_of, splits[mark]))), len(splits[mark])))
    names = splits[delimiter]
    if set(names) == {"", *FMA_TABLES}:
        fault = "this is FMA's tracks.csv, whose header has three rows, which is not read"
        needed = "track_id, artist_id, genre_top and split"
        raise GenreclfError(f"{where}: {fault}; write a table with one header row, of its columns {needed}")
    number_of: dict[str, int] = {}
    plan = _is_plan(names)
    for meaning in NAMES:
        numbers = [number for number, name in enumerate(names) if meaning_of(name) == meaning]
        if meaning == "genre" and plan:
            numbers = [number for number, name in enumerate(names) if normalize_name(name) == CORRECT]
        if meaning == "clip" and "path" in number_of:
            continue  # a table may number its clips beside naming the files
        if len(numbers) > 1:
            both = " and ".join(repr(names[number]) for number in numbers)
            raise GenreclfError(f"{where}: the columns {both} both mean {meaning}; delete or rename all but one")
        if numbers:
            number_of[meaning] = numbers[0]
    found = Columns(delimiter, number_of, names, plan)
    _check(found, where)
    return found


def meaning_of(name: str) -> str | None:
    """The meaning of a column's name, None for an unknown one."""
    plain = spelling_key(name)
    singulars = (plain, plain.removesuffix("s"), plain.removesuffix("es"), plain.removesuffix("ies") + "y")
    return next((MEANING[form] for form in singulars if form in MEANING), None)


def _is_plan(names: Sequence[str]) -> bool:
    """Whether this is the header of a plan, of which a person may have deleted columns.

    A column `correct` beside the genre may also say whether a prediction is: then the table is no plan.
    """
    plain = set(map(normalize_name, names))
    return CORRECT in plain and (not plain.isdisjoint(PLAN_COLUMNS) or "genre" not in map(meaning_of, names))


def _check(columns: Columns, where: str) -> None:
    for needed, why in ((KEYS, "names the clips"), (USEFUL, "says something about them")):
        if not any(meaning in columns.number_of for meaning in needed):
            known = "; ".join(f"{meaning} ({', '.join(NAMES[meaning].split())})" for meaning in needed)
            has = ", ".join(map(repr, columns.names)) or "none"
            raise GenreclfError(f"{where}: no column {why} in its first line ({has}); known, in any case: {known}")

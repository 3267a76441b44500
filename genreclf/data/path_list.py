"""Reads and writes lists of clips: a path on each line, or a table with a column of paths (`audit --drop-list`)."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from genreclf.csv_text import CsvText, csv_line, unicode_text
from genreclf.data.clip_name import path_among
from genreclf.data.columns import meaning_of
from genreclf.data.notices import print_once
from genreclf.data.sources import Source
from genreclf.errors import GenreclfError, explained
from genreclf.files import check_ends, write_atomically
from genreclf.frontend.object_store import Location
from genreclf.text import first_names


def write_paths(file: Path, paths: Iterable[str]) -> None:
    """Writes a table with the column `path`. Raises OSError if it cannot be written."""
    write_atomically(file, "".join(csv_line([path]) for path in ("path", *paths)))


def read_paths(file: Path, where: str) -> list[str]:
    """Reads the paths in a list, unchanged, each once.

    If the first line names a column of paths, the list is a table, whose other columns are ignored. Raises
    GenreclfError, whose message begins with `where`, if the file cannot be read.
    """
    remedy = "give a file with a path on each line"
    with explained(f"{where}: cannot be read", remedy, OSError, UnicodeError):
        text = unicode_text(check_ends(file).read_bytes(), "surrogateescape")  # file names need not be UTF-8
    if "\0" in text:
        raise GenreclfError(f"{where}: not a text file; {remedy}")
    first, table = text.partition("\n")[0], CsvText(where, text, "", 0)
    mark = CsvText(where, first, "", 0).delimiter(lambda name: meaning_of(name) == "path")
    meanings = list(map(meaning_of, table.header(mark)))
    if "path" in meanings:
        number = meanings.index("path")
        lines = [row[number] for _, row in table.rows(mark) if len(row) > number]
    else:
        lines = [line.removesuffix("\r") for line in text.split("\n")]
    return list(dict.fromkeys(line for line in lines if line.strip()))


def without(sources: Sequence[Source], file: Path | None, folder: Location) -> list[Source]:
    """Returns the clips that the list `file` (`data.drop`, or None) does not name. Its paths are relative to `folder`.

    Prints on standard error how many clips are left out, and which paths match no clip. Raises GenreclfError if the
    list cannot be read, or if none of its paths matches a clip.
    """
    if file is None:
        return list(sources)
    where, clip_of = f"data.drop={file}", path_among(source.path for source in sources)
    listed = {clip_of(_relative(path, folder)): path for path in read_paths(file, where)}
    kept = [source for source in sources if source.path not in listed]
    known = {source.path for source in sources}
    unknown = [path for clip, path in listed.items() if clip not in known]
    if listed and len(unknown) == len(listed):
        names = f"first path: {unknown[0]!r}, first clip: {sources[0].path!r}" if sources else "it has no clips"
        remedy = f"compare the names ({names}), or leave out data.drop"
        raise GenreclfError(f"{where}: none of its {len(listed)} paths is that of a clip in data.path; {remedy}")
    print_once(f"{where}: {len(sources) - len(kept)} clips are left out")
    if unknown:
        print_once(f"{where}: {len(unknown)} paths match no clip in data.path (first: {first_names(unknown)})")
    return kept


def _relative(path: str, folder: Location) -> str:
    """Makes a path relative to `folder` if it is absolute and below the folder."""
    if isinstance(folder, Path) and Path(path).is_relative_to(folder.absolute()):
        return Path(path).relative_to(folder.absolute()).as_posix()
    return path


def existing_file(folder: Path, path: str) -> str | None:
    """Returns the path, relative to `folder`, of a file that a list names, with Windows' slashes replaced; None if
    there is no such file.
    """
    spellings = (path, path.strip(), path.strip().replace("\\", "/"))
    return next((spelling for spelling in spellings if (folder / spelling).is_file()), None)

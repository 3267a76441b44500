"""Finds the clips: in folders, in a table of genres, by the files' tags, in a public data set, or the demo music."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genreclf.data.classes import check_classes, report_odd_classes
from genreclf.data.data_config import DataConfig
from genreclf.data.data_folder import data_folder, on_disk
from genreclf.data.genre_map import GenreMap
from genreclf.data.labels import normal_label
from genreclf.data.layouts import labels_of_folders
from genreclf.data.notices import print_once
from genreclf.data.public_sets import PublicRows, public_layout, public_rows, public_set, report_left_out
from genreclf.data.table import ClipMetadata, overridden, read_genres, read_table
from genreclf.data.tag_rows import TagRows, report_genres, tag_rows
from genreclf.errors import GenreclfError
from genreclf.frontend.folder import FolderContents, folder_contents, ignored_note
from genreclf.frontend.object_store import Location
from genreclf.inference.task import MULTICLASS
from genreclf.text import first_names


@dataclass(frozen=True)
class Source:
    """A file in the data folder and its class."""

    path: str  # relative to the data folder, with forward slashes
    label: str  # several genres are joined as by `normal_label`


def sources_of(data: DataConfig, folder: Location) -> list[Source]:
    """Lists the clips of a data set in its `data_folder`, without applying `data.drop`.

    Genres in the tables of a public data set, or in the files' tags, are replaced by those in `data.table`. Raises
    GenreclfError as `list_sources` does.
    """
    if data.public:
        return _public_sources(data, folder)
    tag_genres = data.tag_genres
    if tag_genres is None:
        sources = list_sources(folder, data.table, data.task)
    else:
        sources = _tagged_sources(data, on_disk(folder), tag_genres)
    labels = [source.label for source in sources]
    report_odd_classes(labels, data.task, f"data.path={data.path}", data.none)
    return sources


def rows_of_public(data: DataConfig, paths: Sequence[str], split: int = 0) -> PublicRows:
    """Returns the information in a public data set's tables on these clips. Cells of `data.table` replace theirs.

    Raises GenreclfError as `public_rows` does.
    """
    assert data.fetch is not None
    public, subset = public_set(data.fetch, data.name), data.subset or ""
    found = public_rows(public, public_layout(public, on_disk(data.path), subset), subset, paths, split, data.task)
    if data.table is None:
        return found
    metadata = list(map(overridden, found.metadata, read_table(data.table, paths, data.task)))
    reasons = ["" if one.genre else reason for one, reason in zip(metadata, found.reasons, strict=True)]
    return replace(found, metadata=metadata, reasons=reasons)


def clip_rows(data: DataConfig, paths: Sequence[str], split: int = 0) -> PublicRows:
    """Returns the information on these clips in a public data set's tables, the tags or `data.table`, if any.

    `split` is the number of the published split. Raises GenreclfError if a table cannot be used.
    """
    if data.public:
        return rows_of_public(data, paths, split)
    if (tag_genres := data.tag_genres) is not None:
        tagged = _rows_of_tags(data, on_disk(data_folder(data)), tag_genres, paths)
        return PublicRows(tagged.metadata, [], tagged.reasons, {})
    metadata = [ClipMetadata()] * len(paths) if data.table is None else read_table(data.table, paths, data.task)
    return PublicRows(metadata, [], [""] * len(paths), {})


def _public_sources(data: DataConfig, folder: Location) -> list[Source]:
    paths = _clips_below(folder)
    _report_other_rows(data, paths, f"keep those of {data.fetch}")
    found = rows_of_public(data, paths)
    report_left_out(f"data={data.fetch}", paths, found)
    need = f"hold clips of at least two genres of {data.fetch}, as its tables name them"
    return _labelled(paths, [one.genre for one in found.metadata], data.task, f"data.path={folder}", need)


def _tagged_sources(data: DataConfig, folder: Path, tag_genres: GenreMap) -> list[Source]:
    paths = _clips_below(folder)
    _report_other_rows(data, paths, "keep those of their tags")
    found = _rows_of_tags(data, folder, tag_genres, paths)
    report_genres(f"data.path={folder}", found)
    remedy = "; data.genre_map=null takes the tags as they are" if tag_genres.genres is not None else ""
    need = f"have at least two genres in the tags of its files, or in data.table{remedy}"
    return _labelled(paths, [one.genre for one in found.metadata], tag_genres.task, f"data.path={folder}", need)


def _report_other_rows(data: DataConfig, paths: Sequence[str], otherwise: str) -> None:
    """Prints which clips have no genre in `data.table`, and which of its rows have no clip."""
    if data.table is not None:
        read_genres(data.table, paths, otherwise)


def _rows_of_tags(data: DataConfig, folder: Path, tag_genres: GenreMap, paths: Sequence[str]) -> TagRows:
    table = None if data.table is None else read_table(data.table, paths, data.task)
    return tag_rows(folder, paths, tag_genres, table)


def list_sources(folder: Location, table: Path | None = None, task: str = MULTICLASS) -> list[Source]:
    """Lists the clips in `folder`, sorted by path, each with its class: its top folder, or its genre in `table`.

    If the table has a column `genre`, the clips are the audio files and pictures with a genre there; otherwise they are
    all in the top folders. With the task MULTILABEL, a clip may have several genres, separated by semicolons. Ignored
    files are reported.

    Raises GenreclfError if the folder is missing, a folder in it or the table cannot be read, there are fewer than two
    classes, or two class names differ only in case.
    """
    paths = _clips_below(folder)
    genres = None if table is None else read_genres(table, paths, task=task)
    if genres is not None:
        need = "name clips of at least two genres; with data=tags, files without a row have the genre of their tags"
        return _labelled(paths, genres, task, f"data.table={table}", need)
    inside = [path for path in paths if "/" in path]
    if beside := [path for path in paths if "/" not in path]:
        print_once(f"data.path={folder}: {len(beside)} clips outside the folders have no class ({first_names(beside)})")
    need = "contain at least two folders, one per genre, with audio or pictures; or give genres in data.table"
    remedy = "move the files of one into the other"
    return _labelled(inside, labels_of_folders(folder, inside), task, f"data.path={folder}", need, remedy)


def _labelled(
    paths: Sequence[str], cells: Sequence[str], task: str, where: str, need: str, remedy: str = "use one spelling"
) -> list[Source]:
    """Returns the clips that have a genre. Raises GenreclfError as `check_classes` does."""
    labels = [normal_label(cell, task) for cell in cells]
    check_classes(list(filter(None, labels)), task, where, need, remedy)
    return [Source(path, label) for path, label in zip(paths, labels, strict=True) if label]


def contents_below(folder: Location) -> FolderContents:
    """Lists a folder. Raises GenreclfError if it, or a folder in it, is missing or cannot be read."""
    if isinstance(folder, Path) and not folder.is_dir():
        fault = "is not a folder" if folder.exists() else "no such folder"
        raise GenreclfError(f"data.path={folder}: {fault}; give the folder of your music")
    contents = folder_contents(folder)
    if contents.unreadable:
        raise contents.unreadable[0]
    return contents


def _clips_below(folder: Location) -> list[str]:
    contents = contents_below(folder)
    if contents.ignored:
        print_once(f"data.path={folder}: {ignored_note(contents.ignored)}")
    return contents.clips


def tag_counts(data: DataConfig) -> dict[str, Any] | None:
    """Counts the clips of each genre, and the clips left out for each reason, by the genres in their tags.

    None if tags are not read.
    """
    if data.tag_genres is None:
        return None
    folder = on_disk(data_folder(data))
    taken, left_out = _rows_of_tags(data, folder, data.tag_genres, _clips_below(folder)).counts()
    return {"genres": taken, "left_out": left_out}

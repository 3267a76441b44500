"""Finds the clips: in folders, in a table of genres, by the files' tags, in a public data set, or the demo music."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genreclf.data.classes import check_classes, tell_odd_classes
from genreclf.data.demo import write_demo
from genreclf.data.genre_map import GenreMap, load_genre_map
from genreclf.data.gtzan import find_genres, gtzan_folder
from genreclf.data.labels import normal_label
from genreclf.data.layouts import kaggle_folder, labels_of_folders
from genreclf.data.notices import tell_once
from genreclf.data.public_sets import (
    HUB,
    PUBLIC_SETS,
    PublicRows,
    public_layout,
    public_rows,
    public_set,
    tell_left_out,
)
from genreclf.data.table import ClipMetadata, overridden, read_genres, read_table
from genreclf.data.tag_rows import TagRows, tag_rows, tell_genres
from genreclf.errors import GenreclfError
from genreclf.frontend.band_axis import FigureAxis
from genreclf.frontend.folder import FolderContents, folder_contents
from genreclf.frontend.object_store import Location, StorePath
from genreclf.inference.task import MULTICLASS, MULTILABEL, TASKS
from genreclf.progress import progress_bar
from genreclf.text import first_names

DEMO = "demo"
GTZAN = "gtzan"  # a public data set without tables
MAX_PICTURE_SECONDS = 100_000  # more than a day
KNOWN = {
    "group": (None, "stem"),
    "unknown_artists": ("single", "together"),
    "label_conflicts": ("keep", "drop"),
    "rare_classes": ("refuse", "drop"),
}


@dataclass(frozen=True)
class DataConfig:
    """Settings of a data set. Raises GenreclfError for a value out of range and for an unknown word."""

    name: str
    path: Location  # contains one folder per class, or the files that `table` names
    cache: Path  # for spectrograms and demo music
    picture_seconds: float  # length of the music that a whole picture shows
    figure: str  # frequency axis of figures: bands, mel, linear, log, or auto, which detects it
    figure_hz: float  # the end of that axis, for figures that do not show it
    fetch: str | None  # a public data set, in `path` in one of its usual layouts, or downloaded to it
    subset: str | None  # of that data set
    table: Path | None  # a CSV of genres (instead of folders), artists, titles, groups and folds
    tags: bool  # take genres, artists, albums and titles from the files' tags, unless `table` gives others
    genre_map: str | None  # maps genres in tags: gtzan, a CSV with the columns tag and genre; null: unchanged
    none: str | None  # the genre of clips that are of none of the classes; they train, but are not scored
    drop: Path | None  # a list of paths, relative to the clips' folder, of clips to leave out
    group: str | None  # stem: clips whose names number the pieces of one clip are a group; null: only reported
    unknown_artists: str  # single: a clip without an artist is its own group; together: one group per class
    label_conflicts: str  # duplicate recordings in several classes: keep them in one split, or drop them
    rare_classes: str  # classes with too few clips for the split: refuse them, or drop them
    demo_clips_per_style: int  # 0: `path` is the user's data
    demo_seconds: float
    demo_seed: int
    task: str = MULTICLASS  # or multilabel; has a default because runs of earlier versions lack it

    def __post_init__(self) -> None:
        if not self.name:
            raise GenreclfError("data.name: is empty; give a name")
        if not 0 < self.picture_seconds <= MAX_PICTURE_SECONDS:
            limit = f"give a number of seconds above 0, up to {MAX_PICTURE_SECONDS:,}"
            raise GenreclfError(f"data.picture_seconds={self.picture_seconds}: {limit}")
        try:
            _ = self.figure_axis  # refuses unknown words
        except GenreclfError as error:
            raise GenreclfError(f"data.{error}") from error
        if self.demo_clips_per_style and self.name != DEMO:
            where = f"data.demo_clips_per_style={self.demo_clips_per_style}"
            raise GenreclfError(f"{where}: data={self.name} is not demo music; leave it out, or give data={DEMO}")
        self._check_task()
        self._check_public()
        if self.genre_map is not None and not self.tags:
            raise GenreclfError(f"data.genre_map={self.genre_map}: needs genres from tags; also give data=tags")
        for key, known in KNOWN.items():
            if getattr(self, key) not in known:
                words = ", ".join(word or "null" for word in known)
                raise GenreclfError(f"data.{key}={getattr(self, key)!r}: unknown; known: {words}")

    def _check_task(self) -> None:
        if self.task not in TASKS:
            raise GenreclfError(f"task={self.task}: unknown; known: {', '.join(TASKS)}")
        if self.task == MULTILABEL and self.none is not None:
            remedy = "leave out data.none, because each genre is distinguished from all other music anyway"
            raise GenreclfError(f"data.none={self.none}: not used with task=multilabel; {remedy}")

    def _check_public(self) -> None:
        known = (GTZAN, *PUBLIC_SETS, HUB)
        if self.fetch not in (None, *known):
            raise GenreclfError(f"data.fetch={self.fetch!r}: unknown; known: {', '.join(known)}, null")
        subsets = public_set(self.fetch, self.name).subsets if self.fetch not in (None, GTZAN) else ()
        if subsets is not None and (self.subset or "") not in (subsets or ("",)):
            hint = f"known: {', '.join(subsets)}" if subsets else "this data set has no subsets; remove it"
            raise GenreclfError(f"data.subset={self.subset or 'null'}: unknown; {hint}")
        if self.tags and self.public:
            raise GenreclfError(f"data.tags={self.tags}: data={self.fetch} has tables of genres; remove data.tags")

    @property
    def figure_axis(self) -> FigureAxis:
        """The frequency axis of figures."""
        return FigureAxis(self.figure, self.figure_hz)

    @property
    def public(self) -> bool:
        """Whether the clips come from a public data set with tables of genres."""
        return self.fetch not in (None, GTZAN)

    @property
    def names_artists(self) -> bool:
        """Whether the clips' artists may be known, from a table, tags or a public data set."""
        return self.table is not None or self.tags or self.public

    @property
    def tag_genres(self) -> GenreMap | None:
        """The map from genres in the files' tags, or None if tags are not read."""
        return load_genre_map(self.genre_map, self.none, self.task) if self.tags else None


@dataclass(frozen=True)
class Source:
    """A file in the data folder and its class."""

    path: str  # relative to the data folder, with forward slashes
    label: str  # several genres are joined as by `normal_label`


def on_disk(folder: Location) -> Path:
    """Returns the folder unchanged if it is on a disk. Raises GenreclfError for an object store."""
    if isinstance(folder, StorePath):
        reads = "an object store is read with data=folder, with its genres as folders or in data.table"
        raise GenreclfError(f"data.path={folder}: {reads}; copy it to a disk for anything else")
    return folder


def data_folder(config: DataConfig) -> Location:
    """Returns the folder of the clips. Downloads public data sets and renders demo music if they are missing."""
    if config.fetch == GTZAN:
        return gtzan_folder(on_disk(config.path))
    if config.fetch is not None:
        return public_layout(public_set(config.fetch, config.name), on_disk(config.path), config.subset or "").audio
    if config.demo_clips_per_style == 0:
        return config.path if isinstance(config.path, StorePath) else kaggle_folder(config.path) or config.path
    folder = _demo_folder(config)
    with progress_bar("rendering demo music", "clips") as report:
        write_demo(folder, config.demo_clips_per_style, config.demo_seconds, config.demo_seed, report)
    return folder


def check_in_place(config: DataConfig) -> None:
    """Raises GenreclfError if `data_folder` would download the data set or render the demo music."""
    if config.fetch == GTZAN:
        found = find_genres(on_disk(config.path)) is not None
    elif config.fetch is not None:
        public = public_set(config.fetch, config.name)
        found = public.find(on_disk(config.path), config.subset or "") is not None
    else:
        found = config.demo_clips_per_style == 0 or _demo_folder(config).is_dir()
    if not found:
        raise GenreclfError(f"data.path={config.path}: does not contain data={config.name}; give the folder that does")


def _demo_folder(config: DataConfig) -> Path:
    """Returns the folder of the demo music, which has one for each of its settings."""
    name = f"{config.demo_clips_per_style}x{config.demo_seconds:g}s-seed{config.demo_seed}"
    return on_disk(config.path) / name


def sources_of(data: DataConfig, folder: Location) -> list[Source]:
    """Lists the clips of a data set in its `data_folder`, without applying `data.drop`.

    Raises GenreclfError as `list_sources` does.
    """
    if data.public:
        return _public_sources(data, folder)
    sources = list_sources(folder, data.table, data.tag_genres, data.task)
    labels = [source.label for source in sources]
    tell_odd_classes(labels, data.task, f"data.path={data.path}", data.none)
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
    metadata, reasons = [ClipMetadata()] * len(paths), [""] * len(paths)
    if data.tag_genres is not None:
        tagged = _rows_of_tags(on_disk(data_folder(data)), data.table, data.tag_genres, paths)
        metadata, reasons = tagged.metadata, tagged.reasons
    elif data.table is not None:
        metadata = read_table(data.table, paths, data.task)
    return PublicRows(metadata, [], reasons, {})


def _public_sources(data: DataConfig, folder: Location) -> list[Source]:
    paths = _clips_below(folder)
    if data.table is not None:
        read_genres(data.table, paths, f"keep those of {data.fetch}")  # reports rows without a clip
    found = rows_of_public(data, paths)
    tell_left_out(f"data={data.fetch}", paths, found)
    need = f"hold clips of at least two genres of {data.fetch}, as its tables name them"
    return _sources(paths, [one.genre for one in found.metadata], data.task, f"data.path={folder}", need)


def list_sources(
    folder: Location, table: Path | None = None, tag_genres: GenreMap | None = None, task: str = MULTICLASS
) -> list[Source]:
    """Lists the clips in `folder`, sorted by path, each with its class: its top folder, or its genre in `table`.

    If the table has a column `genre`, the clips are the audio files and pictures with a genre there; otherwise they are
    all in the top folders. With the task MULTILABEL, a clip may have several genres, separated by semicolons. With
    `tag_genres`, the class is the genre in the file's tags, unless the table gives one. Ignored files are reported.

    Raises GenreclfError if the folder is missing, a folder in it or the table cannot be read, there are fewer than two
    classes, or two class names differ only in case.
    """
    paths = _clips_below(folder)
    if tag_genres is not None:
        return _tagged_sources(on_disk(folder), table, tag_genres, paths)
    genres = None if table is None else read_genres(table, paths, task=task)
    if genres is None:
        inside = [path for path in paths if "/" in path]
        if beside := [path for path in paths if "/" not in path]:
            tell_once(
                f"data.path={folder}: {len(beside)} clips outside the folders have no class ({first_names(beside)})"
            )
        need = "contain at least two folders, one per genre, with audio or pictures; or give genres in data.table"
        remedy = "move the files of one into the other"
        return _sources(inside, labels_of_folders(folder, inside), task, f"data.path={folder}", need, remedy)
    need = "name clips of at least two genres; with data=tags, files without a row have the genre of their tags"
    return _sources(paths, genres, task, f"data.table={table}", need)


def _sources(
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
        tell_once(f"data.path={folder}: {contents.told()}")
    return contents.clips


def tag_counts(data: DataConfig) -> dict[str, Any] | None:
    """Counts the clips of each genre, and the clips left out for each reason, by the genres in their tags.

    None if tags are not read.
    """
    if data.tag_genres is None:
        return None
    folder = on_disk(data_folder(data))
    found = _rows_of_tags(folder, data.table, data.tag_genres, _clips_below(folder))
    taken, left_out = found.counts()
    return {"genres": taken, "left_out": left_out}


def _rows_of_tags(folder: Path, table: Path | None, tag_genres: GenreMap, paths: Sequence[str]) -> TagRows:
    return tag_rows(folder, paths, tag_genres, None if table is None else read_table(table, paths, tag_genres.task))


def _tagged_sources(folder: Path, table: Path | None, tag_genres: GenreMap, paths: Sequence[str]) -> list[Source]:
    if table is not None:
        read_genres(table, paths, "keep those of their tags")  # reports rows without a clip
    found = _rows_of_tags(folder, table, tag_genres, paths)
    tell_genres(f"data.path={folder}", found)
    remedy = "; data.genre_map=null takes the tags as they are" if tag_genres.genres is not None else ""
    need = f"have at least two genres in the tags of its files, or in data.table{remedy}"
    return _sources(paths, [one.genre for one in found.metadata], tag_genres.task, f"data.path={folder}", need)

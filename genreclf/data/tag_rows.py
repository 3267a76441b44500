"""Reads the tags of files as rows of a table: genre, artist, album and title."""

import functools
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from genreclf.data.genre_map import GenreMap, one_spelling
from genreclf.data.labels import genres_of, normal_label
from genreclf.data.notices import print_once, print_table_once
from genreclf.data.table import ClipMetadata, metadata_of, overridden
from genreclf.errors import GenreclfError
from genreclf.frontend.audio import AUDIO_SUFFIXES
from genreclf.progress import progress_map
from genreclf.tags.file_tags import FileTags, read_tags
from genreclf.tags.plan import join_genres

UNREADABLE = "tags cannot be read"
TAGS_SHOWN = 6  # per genre


@dataclass(frozen=True)
class TagRows:
    """Information on clips from their tags and the table that overrides them. Each list has an item per clip."""

    metadata: list[ClipMetadata]  # without a genre if the clip is left out
    tags: list[str]  # the genres as spelled in the tags, joined by "; "
    reasons: list[str]  # why the tags give no genre, or ""
    from_table: list[bool]  # whether the genre is from the table
    task: str

    def counts(self) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
        """Counts clips by genre, and the clips left out by reason. For each, returns the number of clips by tags."""
        taken: defaultdict[str, Counter[str]] = defaultdict(Counter)
        left_out: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for one, tags, reason, corrected in zip(self.metadata, self.tags, self.reasons, self.from_table, strict=True):
            if not one.genre:
                left_out[reason][tags] += 1
                continue
            for genre in genres_of(one.genre, self.task):
                taken[genre]["data.table" if corrected else tags] += 1
        return _ordered(taken), _ordered(left_out)


def _ordered(counts: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """Sorts counts, the largest first."""
    names = sorted(counts, key=lambda name: (-counts[name].total(), name))
    return {name: dict(sorted(counts[name].items(), key=lambda item: (-item[1], item[0]))) for name in names}


def tag_rows(folder: Path, paths: Sequence[str], genre_map: GenreMap, table: Sequence[ClipMetadata] | None) -> TagRows:
    """Reads the tags of the files at `paths`, relative to `folder`. Cells in the rows of `table` override them.

    All spellings of a genre become one. Pictures have no tags. Prints on standard error which files cannot be read.
    Raises GenreclfError if the package that reads tags is not installed.
    """
    read = progress_map(_tags, [folder / path for path in paths], "reading tags", "files")
    for error in (one for one in read if isinstance(one, GenreclfError)):
        print_once(str(error))
    choices = [genre_map.choose(one.genres) if isinstance(one, FileTags) else ("", UNREADABLE) for one in read]
    rows = list(map(_row, read, (genre for genre, _ in choices)))
    corrected = [genre_map.corrected(one.genre) if one.genre else "" for one in table or ()] or [""] * len(paths)
    if table is not None:
        given = (replace(one, genre=genre) for one, genre in zip(table, corrected, strict=True))
        rows = list(map(overridden, rows, given))
    labels = _one_spelling([one.genre for one in rows], [genre_map.none or "", *corrected], genre_map.task)
    return TagRows(
        metadata=[replace(one, genre=label) for one, label in zip(rows, labels, strict=True)],
        tags=["; ".join(one.genres) if isinstance(one, FileTags) else "" for one in read],
        reasons=[reason for _, reason in choices],
        from_table=list(map(bool, corrected)),
        task=genre_map.task,
    )


def _one_spelling(labels: Sequence[str], preferred: Sequence[str], task: str) -> list[str]:
    """Returns the labels with one spelling of each genre, if possible the one in `preferred`."""
    genres, preferred_genres = ([genres_of(label, task) for label in each] for each in (labels, preferred))
    spelled = iter(one_spelling(list(chain(*genres)), filter(None, chain(*preferred_genres))))
    return [normal_label(join_genres(islice(spelled, len(each))), task) for each in genres]


def _row(tags: FileTags | GenreclfError, genre: str) -> ClipMetadata:
    """Returns the file's row of a table with the columns genre, artist, album and title."""
    if isinstance(tags, GenreclfError):
        return ClipMetadata()
    return metadata_of({"genre": genre, "artist": tags.artist, "album": tags.album, "title": tags.title})


def _tags(file: Path) -> FileTags | GenreclfError:
    if not file.name.lower().endswith(AUDIO_SUFFIXES):
        return FileTags()
    try:
        status = file.stat()
    except OSError as error:
        return GenreclfError(f"{file}: cannot be read ({error.strerror})")
    return _tags_of(os.fspath(file), status.st_mtime_ns, status.st_ctime_ns, status.st_size)


@functools.cache  # a run needs them several times; a file that has changed has another key
def _tags_of(file: str, *_: int) -> FileTags | GenreclfError:
    try:
        return read_tags(Path(file))
    except GenreclfError as error:
        if isinstance(error.__cause__, ModuleNotFoundError):
            raise
        return error


def report_genres(where: str, found: TagRows) -> None:
    """Prints on standard error which tags were mapped to which genre, and which clips were left out and why."""
    if not found.tags:
        return
    taken, left_out = found.counts()
    rows = [(genre, *_summary(counts)) for genre, counts in taken.items()]
    rows += [(f"left out: {reason}", *_summary(counts)) for reason, counts in left_out.items()]
    columns = (("genre", "text"), ("files", "number"), ("in their tags", "text"))
    print_table_once(f"{where}: genres from the tags of {len(found.tags)} files", columns, tuple(rows))


def _summary(counts: Mapping[str, int]) -> tuple[str, str]:
    """Formats the number of clips and the most frequent tags."""
    shown = [f"{tag} {count}" for tag, count in list(counts.items())[:TAGS_SHOWN] if tag]
    others = len(counts) - TAGS_SHOWN
    return str(sum(counts.values())), ", ".join(shown) + (f", and {others} others" if others > 0 else "")

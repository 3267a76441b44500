"""Applying a plan to files, and undoing it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from genreclf.errors import GenreclfError
from genreclf.tags.byte_patch import patch_between
from genreclf.tags.file_tags import read_genre_tag, read_tags, restore_bytes, write_genre_tag, write_genres
from genreclf.tags.genre_log import Change, GenreLog, LogError
from genreclf.tags.plan import PlanRow, join_genres, modified_seconds

WRITTEN, RESTORED, UNCHANGED, SKIPPED = "written", "restored", "nothing to do", "skipped"


class Outcome(NamedTuple):
    """The result for a file."""

    what: str  # WRITTEN, RESTORED, UNCHANGED or SKIPPED
    problem: str = ""  # why it was skipped


def apply_row(row: PlanRow, log: GenreLog) -> Outcome:
    """Writes the genres that a row wants, after noting the present ones, and the bytes that change, in the log.

    A file whose genre or time of modification is not that of the plan stays as it is. Raises GenreclfError where the
    log cannot be written.
    """
    path = Path(row.path)
    try:
        genres = read_tags(path).genres
        if genres == row.wanted:
            return Outcome(UNCHANGED)
        if changed := _changed(row, path, genres):
            return Outcome(SKIPPED, f"{path}: {changed} since the plan was made; not written; make a new plan")
        before = read_genre_tag(path)

        def note(file: Path, copy: Path) -> None:
            log.add(Change(str(path.absolute()), before, row.wanted, patch_between(file, copy)))

        write_genres(path, row.wanted, note)
    except LogError:
        raise
    except GenreclfError as error:
        return Outcome(SKIPPED, str(error))
    return Outcome(WRITTEN)


def undo_change(change: Change) -> Outcome:
    """Restores the file from before a change, or its genre if other things in it have changed since.

    A file whose genre is no longer the one that was written stays.
    """
    path = Path(change.path)
    try:
        present = read_genre_tag(path).values
        if present == change.before.values:
            return Outcome(UNCHANGED)
        if present != change.after:
            fault = f"its genre is no longer {join_genres(change.after)!r}, which was written"
            return Outcome(SKIPPED, f"{path}: {fault}, but {join_genres(present)!r}; not restored")
        if not (change.patch and restore_bytes(path, change.patch)):
            write_genre_tag(path, change.before)
    except GenreclfError as error:
        return Outcome(SKIPPED, str(error))
    return Outcome(RESTORED)


def _changed(row: PlanRow, path: Path, genres: Sequence[str]) -> str:
    """What of a file is no longer as the plan says; empty for nothing. A spreadsheet may have changed white space."""
    if join_genres(genres).split() != row.present.split():
        return f"its genre, now {join_genres(genres)!r}, has changed"
    if row.modified and row.modified.strip() != modified_seconds(path):
        return "it has changed"
    return ""

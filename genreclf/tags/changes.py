"""Applies a plan to files and undoes it."""

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
    """Writes a row's genres to its file. First logs the present genres and the bytes that change.

    A file whose genre or modification time differs from the plan is left unchanged. Raises GenreclfError if the log
    cannot be written.
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
    """Restores the file as it was before a change, or only its genre if the file has changed in other ways since.

    A file whose genre is no longer the written one is left unchanged.
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
    """Returns how a file differs from the plan; empty if it does not. Ignores white space: spreadsheets change it."""
    if join_genres(genres).split() != row.present.split():
        return f"its genre, now {join_genres(genres)!r}, has changed"
    if row.modified and row.modified.strip() != modified_seconds(path):
        return "it has changed"
    return ""

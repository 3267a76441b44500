"""Many files -> a row of plain data each, in order; a journal saves those of an interrupted run."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from genreclf.frontend.object_store import Location, StoreError
from genreclf.inference.journal import Journal
from genreclf.inference.library import Result, predict_files
from genreclf.inference.predictor import Prediction, Predictor
from genreclf.inference.results import Row, file_row
from genreclf.progress import progress_bar


@dataclass(frozen=True)
class Contents:
    """What rows hold besides the prediction of the whole clip."""

    segments: bool = False
    embedding: bool = False  # (D,), as a list

    def __str__(self) -> str:
        return "".join(f"+{name}" for name, holds in vars(self).items() if holds)


class FileRow(NamedTuple):
    """A file's row. One that is not `lasting` tells a failure that may pass: the next run tries again."""

    path: Location
    row: Row
    lasting: bool


# Predicts files, each once, in any order. Files are identified by their paths.
Engine = Callable[[Sequence[Location]], Iterator[FileRow]]


def predicted_rows(
    paths: Sequence[Location], predictor: Predictor, contents: Contents, engine: Engine, journal_file: Path | None
) -> Iterator[Row]:
    """A row per path, in order (see `file_row`), with these contents; shows the progress.

    Rows in the journal are not predicted again. Raises GenreclfError for a journal that cannot be used.
    """
    journal = Journal(journal_file, rows_digest(predictor, contents)) if journal_file else None
    return (result.row for result in journaled(paths, engine, journal))


def rows_digest(predictor: Predictor, contents: Contents) -> str:
    """Equal for rows that may stand for each other."""
    return f"{predictor.digest}{contents}"


def thread_rows(predictor: Predictor, workers: int, contents: Contents, paths: Sequence[Location]) -> Iterator[FileRow]:
    """The rows of files, in order, by threads of this process."""
    for path, result in predict_files(predictor, paths, workers):
        yield FileRow(path, _row(path, result, predictor, contents), not isinstance(result, StoreError))


def journaled(paths: Sequence[Location], engine: Engine, journal: Journal | None) -> Iterator[FileRow]:
    """The rows of `paths`, in order; those in the journal as they are, the others by the engine and then kept in it."""
    known = {path for path in dict.fromkeys(paths) if journal and journal.find(path) is not None}
    todo = [path for path in dict.fromkeys(paths) if path not in known]
    results, left, arrived = engine(todo), Counter(paths), dict[Location, FileRow]()
    with progress_bar("predicting", "files") as report:
        report(count := 0, len(todo))
        for path in paths:
            if journal and path in known:
                yield FileRow(path, journal.rows[str(path)][1], True)
                continue
            while path not in arrived:
                result = next(results)
                arrived[result.path] = result
                if journal and result.lasting:
                    journal.add(result.path, result.row)
                report(count := count + 1, len(todo))
            left[path] -= 1
            yield arrived[path] if left[path] else arrived.pop(path)  # a path may be given twice


def _row(path: Location, result: Result, predictor: Predictor, contents: Contents) -> Row:
    row = file_row(path, result, predictor.info.classes, contents.segments)
    if contents.embedding and isinstance(result, Prediction):
        row["embedding"] = result.embedding.tolist()
    return row

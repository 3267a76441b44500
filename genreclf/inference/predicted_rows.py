"""Predicts many files, with a row of plain data for each, in order. A journal keeps rows after an interruption."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from genreclf.frontend.object_store import Location, StoreError
from genreclf.inference.journal import Journal
from genreclf.inference.library import predict_files
from genreclf.inference.predictor import Prediction, Predictor
from genreclf.inference.results import Row, file_row
from genreclf.progress import progress_bar


@dataclass(frozen=True)
class Contents:
    """Optional contents of rows besides the prediction for the whole clip."""

    segments: bool = False
    embedding: bool = False  # (D,), as a list

    def __str__(self) -> str:
        return "".join(f"+{name}" for name, holds in vars(self).items() if holds)


class FileRow(NamedTuple):
    """A file's row. If it is not `lasting`, it reports a failure that may be temporary: the next run tries again."""

    path: Location
    row: Row
    lasting: bool


# An engine predicts files, each once, in any order. Files are identified by their paths.
Engine = Callable[[Sequence[Location]], Iterator[FileRow]]


def predicted_rows(
    paths: Sequence[Location],
    predictor: Predictor,
    contents: Contents,
    engine: Engine,
    journal_file: Path | None,
    bar: bool = True,
) -> Iterator[Row]:
    """Yields a row per path, in order (see `file_row`), with these contents, and with `bar` shows a progress bar.

    Files with a row in the journal are not predicted again. Raises GenreclfError if the journal cannot be used.
    """
    journal = Journal(journal_file, rows_digest(predictor, contents)) if journal_file else None
    return (result.row for result in journaled(paths, engine, journal, bar))


def rows_digest(predictor: Predictor, contents: Contents) -> str:
    """Returns a digest that is equal for interchangeable rows."""
    return f"{predictor.digest}{contents}"


def thread_rows(predictor: Predictor, workers: int, contents: Contents, paths: Sequence[Location]) -> Iterator[FileRow]:
    """Yields the rows of files, in order, predicted by threads of this process."""
    for path, result in predict_files(predictor, paths, workers):
        row = file_row(path, result, predictor.info.classes, contents.segments)
        if contents.embedding and isinstance(result, Prediction):
            row["embedding"] = result.embedding.tolist()
        yield FileRow(path, row, not isinstance(result, StoreError))


def journaled(
    paths: Sequence[Location], engine: Engine, journal: Journal | None, bar: bool = True
) -> Iterator[FileRow]:
    """Yields the rows of `paths`, in order: from the journal, or from the engine, and then adds them to the journal."""
    known = {path for path in dict.fromkeys(paths) if journal and journal.find(path) is not None}
    todo = [path for path in dict.fromkeys(paths) if path not in known]
    results, left, arrived = engine(todo), Counter(paths), dict[Location, FileRow]()
    with progress_bar("predicting", "files", bar) as report:
        report(count := 0, len(todo))
        for path in paths:
            if journal and path in known:
                yield FileRow(path, journal.rows[str(path)][1], True)
                continue
            while path not in arrived:
                result = next(results)
                arrived[result.path] = result
                if journal and not result.row["problem"]:  # what prevents reading may be mended without a new stamp
                    journal.add(result.path, result.row)
                report(count := count + 1, len(todo))
            left[path] -= 1
            yield arrived[path] if left[path] else arrived.pop(path)  # a path may be given twice

"""Many files -> a row of plain data each, in order; a journal saves those of an interrupted run."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from genreclf.inference.journal import Journal
from genreclf.inference.library import Result, predict_files
from genreclf.inference.predictor import Prediction, Predictor
from genreclf.inference.results import Row, file_row
from genreclf.progress import progress_bar


def predicted_rows(
    predictor: Predictor,
    paths: Sequence[Path],
    workers: int,
    journal_file: Path | None = None,
    segments: bool = False,
    embedding: bool = False,
) -> Iterator[Row]:
    """A row per path (see `file_row`), with the (D,) `embedding` if asked for; shows the progress.

    Rows in the journal are not predicted again. Raises GenreclfError for a journal that cannot be used.
    """
    contents = "+segments" * segments + "+embedding" * embedding
    journal = Journal(journal_file, predictor.digest + contents) if journal_file else None
    done = {path: row for path in paths if journal and (row := journal.find(path)) is not None}
    todo = [path for path in dict.fromkeys(paths) if path not in done]
    results = enumerate(predict_files(predictor, todo, workers), 1)
    with progress_bar("predicting", "files") as report:
        for path in paths:
            if path not in done:
                count, (_, result) = next(results)
                done[path] = _row(path, result, predictor, segments, embedding)
                if journal:
                    journal.add(path, done[path])
                report(count, len(todo))
            yield done[path]


def _row(path: Path, result: Result, predictor: Predictor, segments: bool, embedding: bool) -> Row:
    row = file_row(path, result, predictor.info.classes, segments)
    if embedding and isinstance(result, Prediction):
        row["embedding"] = result.embedding.tolist()
    return row

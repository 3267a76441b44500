"""Many files -> a prediction each, in order: threads decode and predict several at once."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from genreclf.errors import GenreclfError
from genreclf.inference.predictor import Prediction, Predictor

_AHEAD = 4  # files per thread that are submitted at a time: memory does not grow with their number

Result = Prediction | GenreclfError


def predict_files(predictor: Predictor, paths: Iterable[Path], workers: int) -> Iterator[tuple[Path, Result]]:
    """Each path with its prediction, or with the error that says why it has none; `workers` threads share the work."""

    def predict(path: Path) -> Result:
        try:
            return predictor.predict_file(path)
        except GenreclfError as error:
            return error

    waiting: deque[tuple[Path, Future[Result]]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        for path in paths:
            waiting.append((path, threads.submit(predict, path)))
            if len(waiting) >= _AHEAD * workers:
                path, future = waiting.popleft()
                yield path, future.result()
        for path, future in waiting:
            yield path, future.result()

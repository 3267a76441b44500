"""Many files -> a prediction each, in order: threads decode and predict several at once."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from genreclf.errors import GenreclfError, reason
from genreclf.frontend.object_store import Location
from genreclf.inference.predictor import Prediction, Predictor

_AHEAD = 4  # files per thread that are submitted at a time: memory does not grow with their number

Result = Prediction | GenreclfError
AnyLocation = TypeVar("AnyLocation", bound=Location)


@contextmanager
def one_error(name: object) -> Iterator[None]:
    """Turns any failure for the file of this name, be it a lack of memory or a defect, into a GenreclfError."""
    try:
        yield
    except GenreclfError:
        raise
    except MemoryError as error:
        raise GenreclfError(f"{name}: too large for the free memory; cut it into shorter files") from error
    except Exception as error:
        failed = f"{name}: failed ({type(error).__name__}: {reason(error)})"
        raise GenreclfError(f"{failed}; please report it with the file") from error


def predict_files(
    predictor: Predictor, paths: Iterable[AnyLocation], workers: int
) -> Iterator[tuple[AnyLocation, Result]]:
    """Each path with its prediction, or with the error that says why it has none; `workers` threads share the work.

    A failure for one file does not affect the others.
    """

    def predict(path: AnyLocation) -> Result:
        try:
            with one_error(path):
                return predictor.predict_file(path)
        except GenreclfError as error:
            return type(error)(str(error))  # without its traceback, which holds all that was decoded

    waiting: deque[tuple[AnyLocation, Future[Result]]] = deque()
    threads = ThreadPoolExecutor(workers)
    try:
        for path in paths:
            waiting.append((path, threads.submit(predict, path)))
            if len(waiting) >= _AHEAD * workers:
                path, future = waiting.popleft()
                yield path, future.result()
        for path, future in waiting:
            yield path, future.result()
    finally:
        threads.shutdown(
            wait=False, cancel_futures=True
        )  # a caller that stops early does not wait for files in progress

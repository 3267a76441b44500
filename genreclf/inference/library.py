"""Predicts many files, in order, with threads that decode and predict several at once."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from genreclf.cores import in_threads
from genreclf.errors import GenreclfError, reason
from genreclf.frontend.object_store import Location
from genreclf.inference.predictor import Prediction, Predictor

Result = Prediction | GenreclfError
AnyLocation = TypeVar("AnyLocation", bound=Location)


@contextmanager
def one_error(name: object) -> Iterator[None]:
    """Turns any failure for the named file, including a lack of memory or a bug, into a GenreclfError."""
    try:
        yield
    except GenreclfError:
        raise
    except MemoryError as error:
        raise GenreclfError(f"{name}: too large for the free memory; cut it into shorter files") from error
    except Exception as error:
        fault = f"failed ({type(error).__name__}: {reason(error)})"
        raise GenreclfError(f"{name}: {fault}; please report it with the file") from error


def predict_files(
    predictor: Predictor, paths: Iterable[AnyLocation], workers: int
) -> Iterator[tuple[AnyLocation, Result]]:
    """Yields each path with its prediction, or with the error that prevented it. `workers` threads share the work.

    A failure for one file does not affect the others.
    """

    def predict(path: AnyLocation) -> tuple[AnyLocation, Result]:
        try:
            with one_error(path):
                return path, predictor.predict_file(path)
        except GenreclfError as error:
            return path, type(error)(str(error))  # without its traceback, which keeps all decoded data alive

    return in_threads(predict, paths, workers, ahead=4)

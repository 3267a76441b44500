"""Predicting a library: a failure for one file does not affect the others, and stopping early does not wait."""

import gc
import threading
import time
import weakref
from pathlib import Path

import pytest

from genreclf.errors import GenreclfError
from genreclf.frontend.object_store import StoreError
from genreclf.inference.library import predict_files


class Scripted:
    """A fake predictor: a file's prediction is its name, or the error planned for it."""

    def __init__(self, **errors: BaseException) -> None:
        self.errors, self.begun, self.resume = errors, [], threading.Event()

    def predict_file(self, path: Path) -> str:
        self.begun.append(path.name)
        if path.name in self.errors:
            raise self.errors[path.name]
        if path.name == "long":
            assert self.resume.wait(30)
        return path.name


FAILURES = [
    GenreclfError("b: damaged; give another"),
    OSError(5, "Input/output error"),
    PermissionError(13, "Permission denied"),
    MemoryError(),
    RuntimeError("a decoder's defect\nwith a second line"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_failing_file_affects_only_its_own_row(failure):
    results = list(predict_files(Scripted(b=failure), map(Path, "abc"), workers=2))
    assert [path.name for path, _ in results] == ["a", "b", "c"]
    assert [result for path, result in results if path.name != "b"] == ["a", "c"]
    error = results[1][1]
    assert isinstance(error, GenreclfError) and str(error).startswith("b: ") and "\n" not in str(error)


def test_an_error_keeps_no_reference_to_its_file():
    class Decoder:
        pass

    class Failing:
        def predict_file(self, path: Path) -> None:
            decoder = Decoder()
            alive.append(weakref.ref(decoder))
            try:
                raise ValueError(decoder)
            except ValueError as error:
                raise StoreError(f"{path}: damaged") from error

    alive = []
    results = list(predict_files(Failing(), [Path("a"), Path("b")], workers=1))
    gc.collect()
    assert [type(result) for _, result in results] == [StoreError, StoreError]
    assert [reference() for reference in alive] == [None, None]


def test_stopping_early_does_not_wait_for_files():
    predictor = Scripted()
    results = predict_files(predictor, map(Path, ["a", "long", *map(str, range(50))]), workers=1)
    assert next(results) == (Path("a"), "a")
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 5
    predictor.resume.set()
    assert len(predictor.begun) < 10

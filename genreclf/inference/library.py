"""Many files -> an answer each, in order: decoded ahead by threads while the net is at work."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from genreclf.errors import GenreclfError
from genreclf.frontend.clip import Clip, read_clip
from genreclf.inference.prediction import Prediction
from genreclf.inference.predictor import Predictor

AHEAD = 8  # files that are decoded or in work for each thread: memory does not grow with their number

Answer = Prediction | GenreclfError


def predict_files(predictor: Predictor, paths: Iterable[Path], workers: int) -> Iterator[tuple[Path, Answer]]:
    """Each path with its answer, or with the reason why it has none; `workers` threads decode."""
    waiting: deque[tuple[Path, GenreclfError | None]] = deque()

    def clips() -> Iterator[Clip]:
        for path, clip in _decoded(predictor, paths, workers):
            if isinstance(clip, Clip):
                waiting.append((path, None))
                yield clip
            else:
                waiting.append((path, clip))

    for answer in predictor.predict_many(clips()):
        while waiting[0][1] is not None:
            yield waiting.popleft()
        yield waiting.popleft()[0], answer
    yield from waiting


def _decoded(predictor: Predictor, paths: Iterable[Path], workers: int) -> Iterator[tuple[Path, Clip | GenreclfError]]:
    def read(path: Path) -> Clip | GenreclfError:
        try:
            return read_clip(path, predictor.model.front_end, predictor.facts.picture_seconds)
        except GenreclfError as error:
            return error

    waiting: deque[tuple[Path, Future]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        for path in paths:
            waiting.append((path, threads.submit(read, path)))
            if len(waiting) >= AHEAD * workers:
                path, future = waiting.popleft()
                yield path, future.result()
        while waiting:
            path, future = waiting.popleft()
            yield path, future.result()

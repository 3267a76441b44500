"""Predicts files on a Ray cluster, with actors that hold the model."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from genreclf.errors import GenreclfError
from genreclf.frontend.band_axis import FigureAxis
from genreclf.frontend.object_store import MAX_STORED_BYTES, Location, StorePath
from genreclf.inference.onnx_model import OnnxModel
from genreclf.inference.predicted_rows import Contents, Engine, FileRow, thread_rows
from genreclf.inference.predictor import Predictor
from genreclf.inference.ray_pool import Cluster, Job, connected, results_as_they_come
from genreclf.inference.results import file_row
from genreclf.inference.run_folder import find_bundle

Settings = tuple[str, str, str, FigureAxis, str | None]  # the arguments of `load_predictor`

# Memory for an actor: one with Model B took 791 MiB for two hours of audio, the longest that is read.
WORKER_BYTES = 2**30


class _Worker:
    """The worker that an actor runs: a predictor in one thread."""

    def begin(self, settings: Settings, contents: Contents, digest: str, folder: str) -> str:
        """Loads the model, whose digest must be `digest`. Returns what is wrong with this node, or an empty string."""
        model, tta, wanted, figure, prior = settings
        device = "cuda" if wanted == "cuda" else "cpu"  # for auto: Ray gives a GPU only to actors that ask for one
        with suppress(OSError):  # another machine may not have this folder; absolute paths and URLs do not need it
            os.chdir(folder)
        try:
            self._predictor = Predictor(OnnxModel(find_bundle(model), device, threads=1), tta, figure, prior)
        except GenreclfError as error:
            return f"cannot load the model: {error}"
        self._contents = contents
        same = self._predictor.digest == digest
        return "" if same else "has another genreclf or another model than this one; install the same on all nodes"

    def results(self, paths: Sequence[Location]) -> list[FileRow]:
        """Returns the rows of files."""
        return list(thread_rows(self._predictor, 1, self._contents, paths))


@contextmanager
def ray_engine(
    cluster: Cluster, settings: Settings, digest: str, contents: Contents, workers: int | None
) -> Iterator[Engine]:
    """Yields an engine that predicts files on the cluster while the `with` block runs.

    `workers` is the number of actors; None means one per CPU. `digest` is the digest of the predictor with these
    settings, and each actor's must be equal. Raises GenreclfError if the cluster cannot be reached or its nodes cannot
    run the model.
    """

    def rows(paths: Sequence[Location]) -> Iterator[FileRow]:
        arguments = (settings, contents, digest, str(Path.cwd()))
        job = Job(_Worker, arguments, _lost_row, _memory_bytes(paths), gpus=int(settings[2] == "cuda"))
        for _, row in results_as_they_come(cluster, job, paths, workers):
            yield row

    with connected(cluster):
        yield rows


def _memory_bytes(paths: Sequence[Location]) -> int:
    """Returns the memory that an actor may use."""
    stored = [int(path.stamp[0]) for path in paths if isinstance(path, StorePath)]
    return WORKER_BYTES + min(max(stored, default=0), MAX_STORED_BYTES)


def _lost_row(path: Location, why: str) -> FileRow:
    return FileRow(path, file_row(path, GenreclfError(f"{path}: {why}"), [], False), lasting=False)

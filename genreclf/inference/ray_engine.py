"""Files -> rows on a Ray cluster: actors hold the model, and each gets a few files at a time.

Actors and nodes may end at any time. What they had not given back is predicted by others, so each file has one row.
"""

import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

# Ray reads these when it is imported: nothing is sent to its makers, and what it tells of nodes and actors stays out of
# standard output, where `log_to_driver=False` lets it through.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
os.environ.setdefault("RAY_SCHEDULER_EVENTS", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray.exceptions import RayError, RayTaskError

from genreclf import __version__
from genreclf.errors import GenreclfError, reason
from genreclf.frontend.band_axis import FigureAxis
from genreclf.frontend.object_store import MAX_STORED_BYTES, Location, StorePath
from genreclf.inference.onnx_model import OnnxModel
from genreclf.inference.predicted_rows import Contents, Engine, FileRow, thread_rows
from genreclf.inference.predictor import Predictor
from genreclf.inference.results import file_row
from genreclf.inference.run_folder import find_bundle
from genreclf.text import one_line

Settings = tuple[str, str, str, FigureAxis, str | None]  # the arguments of `load_predictor`

# Of memory for an actor: one with Model B took 791 MiB for two hours of sound, the longest that is read.
WORKER_BYTES = 2**30
LOCAL = "local"  # the address of a cluster of this machine alone
_CHUNK_FILES = 8  # at most: what a lost node costs, while a message per chunk costs next to nothing
_ATTEMPTS = 3  # of a file with which actors end, and of an actor that ends as it starts
_CONNECT_SECONDS = 10.0
_ADDRESS_REMEDY = "give local, auto, or the HOST:PORT that `ray start` told"
_POLL_SECONDS = 0.2  # how long Ctrl-C may have to wait
_WAIT_SECONDS = 30.0  # without any actor, until the user is told why


class _Chunk(NamedTuple):
    paths: tuple[Location, ...]
    losses: int = 0  # how many actors have ended with it


class _Worker:
    """What an actor runs: a predictor in one thread."""

    def begin(self, settings: Settings, contents: Contents, folder: str) -> tuple[str, str]:
        """Loads the model. Returns its digest, and what is wrong, if it is."""
        model, tta, wanted, figure, prior = settings
        device = "cuda" if wanted == "cuda" else "cpu"  # for auto: Ray gives a GPU only to who asks for one
        with suppress(OSError):  # another machine may not have it: whole paths and URLs do without
            os.chdir(folder)
        try:
            self._predictor = Predictor(OnnxModel(find_bundle(model), device, threads=1), tta, figure, prior)
        except GenreclfError as error:
            return "", str(error)
        self._contents = contents
        return self._predictor.digest, ""

    def rows(self, paths: Sequence[Location]) -> list[FileRow]:
        """The rows of a chunk."""
        return list(thread_rows(self._predictor, 1, self._contents, paths))


@contextmanager
def ray_engine(
    address: str, settings: Settings, digest: str, contents: Contents, workers: int | None = None
) -> Iterator[Engine]:
    """Predicts files on the cluster at `address` while the `with` statement lasts.

    `workers` is the number of actors; None for one per CPU. `digest` is that of the predictor with these settings, and
    each actor's must be equal. Raises GenreclfError for a cluster that cannot be reached or whose nodes cannot do it.
    """
    _connect(address)
    try:
        yield partial(_cluster_rows, address, settings, digest, contents, workers)
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    _check_reachable(address)
    own: dict[str, Any] = {}
    if address == LOCAL:
        own = {"num_cpus": len(os.sched_getaffinity(0)), "include_dashboard": False}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
    except (ConnectionError, ValueError, RuntimeError, RayError) as error:
        raise GenreclfError(f"--ray {address}: not reached ({reason(error)}); {_ADDRESS_REMEDY}") from error
    finally:
        with suppress(ValueError):  # not in the main thread, where Ray has replaced none
            signal.signal(signal.SIGTERM, handler)


def _check_reachable(address: str) -> None:
    """Raises GenreclfError for a HOST:PORT where nothing answers: Ray would try for minutes."""
    host, _, port = (os.environ.get("RAY_ADDRESS", "") if address == "auto" else address).rpartition(":")
    if not (host and port.isdecimal()) or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise GenreclfError(f"--ray {address}: not reached ({reason(error)}); {_ADDRESS_REMEDY}") from error


def _cluster_rows(
    address: str, settings: Settings, digest: str, contents: Contents, workers: int | None, paths: Sequence[Location]
) -> Iterator[FileRow]:
    cpus = ray.cluster_resources().get("CPU", 1)
    count = workers or max(1, int(cpus))
    size = max(1, min(_CHUNK_FILES, len(paths) // (4 * count)))
    chunks = deque(_Chunk(tuple(paths[start : start + size])) for start in range(0, len(paths), size))
    pool = _Pool(address, settings, digest, contents, _memory_bytes(paths))
    for _ in range(min(count, len(chunks))):
        pool.start()
    return pool.rows(chunks)


def _memory_bytes(paths: Sequence[Location]) -> int:
    """What an actor may take. Ray does not limit it, but starts no more actors on a node than have room."""
    stored = [int(path.stamp[0]) for path in paths if isinstance(path, StorePath)]
    return WORKER_BYTES + min(max(stored, default=0), MAX_STORED_BYTES)


class _Pool:
    """The actors of a run: some are starting, some work at a chunk each."""

    def __init__(self, address: str, settings: Settings, digest: str, contents: Contents, memory_bytes: int) -> None:
        self.address, self.digest, self.memory_bytes = address, digest, memory_bytes
        self._arguments = (settings, contents, str(Path.cwd()))
        gpus = 1 if settings[2] == "cuda" else 0
        resources = {"num_cpus": 1, "num_gpus": gpus, "memory": memory_bytes}
        self._new_actor = ray.remote(_Worker).options(max_restarts=0, scheduling_strategy="SPREAD", **resources)
        self._starting: dict[Any, Any] = {}  # of an actor by its reference to the result to come
        self._working: dict[Any, tuple[Any, _Chunk]] = {}
        self._idle: list[Any] = []
        self._failed_starts = 0  # one after the other
        self._began = time.monotonic()

    def start(self) -> None:
        """Asks for another actor; it waits until the cluster has room."""
        actor: Any = self._new_actor.remote()
        self._starting[actor.begin.remote(*self._arguments)] = actor

    def rows(self, chunks: deque[_Chunk]) -> Iterator[FileRow]:
        """The rows of all chunks, as they come."""
        while chunks or self._working:
            while chunks and self._idle:
                actor, chunk = self._idle.pop(), chunks.popleft()
                self._working[actor.rows.remote(chunk.paths)] = actor, chunk
            ready, _ = ray.wait([*self._starting, *self._working], timeout=_POLL_SECONDS)
            for reference in ready:
                if reference in self._starting:
                    self._has_begun(reference)
                else:
                    yield from self._finished(reference, chunks)
            self._tell_waiting()

    def _has_begun(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            digest, problem = ray.get(reference)
        except RayError as error:
            self._failed_start(reason(error))
            return
        if problem:
            raise GenreclfError(f"--ray {self.address}: a node cannot load the model: {problem}")
        if digest != self.digest:
            other = f"a node has another genreclf than {__version__}, or another model"
            raise GenreclfError(f"--ray {self.address}: {other}; install the same on all nodes")
        self._failed_starts = 0
        self._idle.append(actor)

    def _failed_start(self, why: str) -> None:
        self._failed_starts += 1
        if self._failed_starts <= _ATTEMPTS:
            self.start()
        elif not (self._starting or self._working or self._idle):
            remedy = f"install genreclf {__version__} on all nodes"
            raise GenreclfError(f"--ray {self.address}: no actor starts ({why}); {remedy}")

    def _finished(self, reference: Any, chunks: deque[_Chunk]) -> list[FileRow]:
        """The rows of a chunk. If its actor has ended, others get its files, one by one: one may have caused it."""
        actor, chunk = self._working.pop(reference)
        try:
            rows: list[FileRow] = ray.get(reference)
        except RayTaskError:
            raise  # a defect of ours, not the end of the actor
        except RayError:
            ray.kill(actor)
            self.start()
            losses = chunk.losses + 1
            if len(chunk.paths) == 1 and losses >= _ATTEMPTS:
                return [_lost_row(chunk.paths[0])]
            chunks.extendleft(_Chunk((path,), losses) for path in reversed(chunk.paths))
            return []
        self._idle.append(actor)
        return rows

    def _tell_waiting(self) -> None:
        if self._working or self._idle:
            self._began = time.monotonic()
        elif time.monotonic() - self._began > _WAIT_SECONDS:
            self._began = float("inf")  # once
            needs = f"1 CPU and {self.memory_bytes / 2**30:.1f} GiB of memory"
            name = one_line(f"genreclf: --ray {self.address}")
            print(f"{name}: no actor has started yet; each needs {needs}", file=sys.stderr)


def _lost_row(path: Location) -> FileRow:
    problem = f"{path}: ended {_ATTEMPTS} processes that read it, perhaps for lack of memory; cut it into shorter files"
    return FileRow(path, file_row(path, GenreclfError(problem), [], False), lasting=False)

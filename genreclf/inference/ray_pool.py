"""Actors on a Ray cluster that process a list, a few items at a time.

Actors and nodes may end at any time. Others then process their unfinished items, so each item has exactly one result.
"""

import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

# Ray reads these when it is imported. It then sends nothing to its makers, and its messages about nodes and actors stay
# out of standard output, where `log_to_driver=False` would let them through.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
os.environ.setdefault("RAY_SCHEDULER_EVENTS", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray.exceptions import RayError, RayTaskError

from genreclf import __version__
from genreclf.cores import cores
from genreclf.errors import GenreclfError, explained, reason
from genreclf.text import one_line

LOCAL = "local"  # the address of a cluster that consists of this machine
_CHUNK_ITEMS = 8  # at most; they are lost with a node, while a message per chunk costs almost nothing
_CHUNKS_AHEAD = 4  # per actor, for results in order: those that wait for a slow chunk before them are held in memory
_ATTEMPTS = 3  # for an item on which actors end, and for an actor that ends at its start
_CONNECT_SECONDS = 10.0
_ADDRESS_REMEDY = "give local, auto, or the HOST:PORT that `ray start` printed"
_POLL_SECONDS = 0.2  # the longest delay of Ctrl-C
_WAIT_SECONDS = 30.0  # without any actor, before the user is informed

Result = TypeVar("Result")


class Cluster(NamedTuple):
    """A cluster as named by the user."""

    option: str  # "--ray " or "ray="
    address: str  # local, auto or HOST:PORT

    def __str__(self) -> str:
        return f"{self.option}{self.address}"


class Worker(Protocol):
    """The worker that an actor runs, in one thread."""

    def begin(self, *arguments: Any) -> str:
        """Prepares the worker. Returns what is wrong with the node, to follow "a node "; empty if nothing is."""

    def results(self, items: Sequence[Any]) -> list[Any]:
        """Returns a result for each item."""


@dataclass(frozen=True)
class Job:
    """The work of the actors and the resources that each of them needs."""

    worker: Callable[[], Worker]  # a class
    arguments: tuple[Any, ...]  # of `begin`
    lost: Callable[[Any, str], Any]  # (item, reason) -> the result for an item on which _ATTEMPTS actors have ended
    memory_bytes: int  # Ray does not enforce it, but starts only as many actors on a node as fit
    gpus: int = 0


class _Chunk(NamedTuple):
    first: int  # the place of the first item in the list
    items: tuple[Any, ...]
    losses: int = 0  # the number of actors that have ended on it


@contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """Joins the cluster while the `with` block runs. Raises GenreclfError if it cannot be reached."""
    _check_reachable(cluster)
    own: dict[str, Any] = {}
    if cluster.address == LOCAL:
        own = {"num_cpus": cores(), "include_dashboard": False}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with explained(f"{cluster}: not reached", _ADDRESS_REMEDY):  # Ray raises many classes, Exception itself too
            ray.init(cluster.address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
    finally:
        with suppress(ValueError):  # outside the main thread, where Ray does not replace the handler
            signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(cluster: Cluster) -> None:
    """Raises GenreclfError for a HOST:PORT that does not respond: Ray would try for minutes."""
    address = os.environ.get("RAY_ADDRESS", "") if cluster.address == "auto" else cluster.address
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()) or "/" in host:
        return
    with explained(f"{cluster}: not reached", _ADDRESS_REMEDY, OSError, OverflowError):
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()


def results_as_they_come(
    cluster: Cluster, job: Job, items: Sequence[Any], workers: int | None
) -> Iterator[tuple[int, Any]]:
    """Yields each item's place in the list and its result. `workers` is the number of actors (default: one per CPU)."""
    count, size = _sizes(len(items), workers)
    return _Pool(cluster, job, len(items)).results(_chunks(items, size), count)


def results_in_order(cluster: Cluster, job: Job, items: Sequence[Any], workers: int | None) -> Iterator[Any]:
    """Yields the results in the order of the items. Few are buffered, so memory does not grow with their number."""
    count, size = _sizes(len(items), workers)
    ahead = _CHUNKS_AHEAD * count * size
    return _in_order(_Pool(cluster, job, ahead).results(_chunks(items, size), count))


def _sizes(items: int, workers: int | None) -> tuple[int, int]:
    """Returns the number of actors and the number of items per chunk."""
    count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    return count, max(1, min(_CHUNK_ITEMS, items // (4 * count)))


def _chunks(items: Sequence[Any], size: int) -> deque[_Chunk]:
    return deque(_Chunk(first, tuple(items[first : first + size])) for first in range(0, len(items), size))


def _in_order(results: Iterable[tuple[int, Result]]) -> Iterator[Result]:
    early: dict[int, Result] = {}
    turn = 0
    for place, result in results:
        early[place] = result
        while turn in early:
            yield early.pop(turn)
            turn += 1


class _Pool:
    """The actors of a job. Some are starting, others work on a chunk each.

    A chunk starts only if it is less than `ahead` items after the first one in progress.
    """

    def __init__(self, cluster: Cluster, job: Job, ahead: int) -> None:
        self.cluster, self.job, self.ahead = cluster, job, ahead
        resources = {"num_cpus": 1, "num_gpus": job.gpus, "memory": job.memory_bytes}
        self._new_actor = ray.remote(job.worker).options(max_restarts=0, scheduling_strategy="SPREAD", **resources)
        self._starting: dict[Any, Any] = {}  # actors by the references to their future results
        self._working: dict[Any, tuple[Any, _Chunk]] = {}
        self._idle: list[Any] = []
        self._failed_starts = 0  # in a row
        self._began = time.monotonic()

    def results(self, chunks: deque[_Chunk], actors: int) -> Iterator[tuple[int, Any]]:
        """Yields the places and results of all items as they arrive."""
        for _ in range(min(actors, len(chunks))):
            self._start()
        while chunks or self._working:
            while chunks and self._idle and self._is_near(chunks[0]):
                actor, chunk = self._idle.pop(), chunks.popleft()
                self._working[actor.results.remote(chunk.items)] = actor, chunk
            ready, _ = ray.wait([*self._starting, *self._working], timeout=_POLL_SECONDS)
            for reference in ready:
                if reference in self._starting:
                    self._has_begun(reference)
                else:
                    yield from self._finished(reference, chunks)
            self._report_waiting()

    def _start(self) -> None:
        """Requests another actor, which waits until the cluster has room."""
        actor: Any = self._new_actor.remote()
        self._starting[actor.begin.remote(*self.job.arguments)] = actor

    def _is_near(self, chunk: _Chunk) -> bool:
        return chunk.first - min((other.first for _, other in self._working.values()), default=chunk.first) < self.ahead

    def _has_begun(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            problem = ray.get(reference)
        except RayError as error:
            self._failed_start(reason(error))
            return
        if problem:
            raise GenreclfError(f"{self.cluster}: a node {problem}")
        self._failed_starts = 0
        self._idle.append(actor)

    def _failed_start(self, why: str) -> None:
        self._failed_starts += 1
        if self._failed_starts <= _ATTEMPTS:
            self._start()
        elif not (self._starting or self._working or self._idle):
            remedy = f"install genreclf {__version__} on all nodes"
            raise GenreclfError(f"{self.cluster}: no actor starts ({why}); {remedy}")

    def _finished(self, reference: Any, chunks: deque[_Chunk]) -> list[tuple[int, Any]]:
        """Returns a chunk's results. If its actor has ended, others get the items one by one: one may be the cause."""
        actor, chunk = self._working.pop(reference)
        try:
            results = ray.get(reference)
        except RayTaskError as error:
            if isinstance(error.cause, GenreclfError):
                raise error.cause from None
            raise  # a bug in this package, not the end of the actor
        except RayError:
            ray.kill(actor)
            self._start()
            return self._lost(chunk, chunks)
        self._idle.append(actor)
        return list(enumerate(results, chunk.first))

    def _lost(self, chunk: _Chunk, chunks: deque[_Chunk]) -> list[tuple[int, Any]]:
        losses = chunk.losses + 1
        if len(chunk.items) == 1 and losses >= _ATTEMPTS:
            why = f"ended {_ATTEMPTS} processes that read it, perhaps for lack of memory; cut it into shorter files"
            return [(chunk.first, self.job.lost(chunk.items[0], why))]
        alone = [_Chunk(place, (item,), losses) for place, item in enumerate(chunk.items, chunk.first)]
        chunks.extendleft(reversed(alone))
        return []

    def _report_waiting(self) -> None:
        if self._working or self._idle:
            self._began = time.monotonic()
        elif time.monotonic() - self._began > _WAIT_SECONDS:
            self._began = float("inf")  # once
            needs = f"1 CPU and {self.job.memory_bytes / 2**30:.1f} GiB of memory"
            name = one_line(f"genreclf: {self.cluster}")
            print(f"{name}: no actor has started yet; each needs {needs}", file=sys.stderr)

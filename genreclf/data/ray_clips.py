"""Reads clips on a Ray cluster."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from genreclf import __version__
from genreclf.data.build_store import Engine
from genreclf.data.clip_reader import ClipReader, Content, Read
from genreclf.data.sources import Source
from genreclf.frontend.object_store import MAX_STORED_BYTES, Location, StorePath
from genreclf.inference.ray_pool import Cluster, Job, connected, results_in_order

# Memory of an actor: one needed 752 MiB for two hours of sound, the longest clip that is read.
WORKER_BYTES = 2**30


class _Worker:
    """Reads clips in an actor, in one thread."""

    def begin(self, reader: ClipReader, version: str, present: str, folder: str) -> str:
        """Prepares to read. Returns what is wrong with this node (another version, or no clip `present`), or ""."""
        with suppress(OSError):  # another machine may not have the folder, and absolute paths do not need it
            os.chdir(folder)
        self._reader = reader
        if version != __version__:
            return f"has genreclf {__version__}, this one {version}; install the same on all nodes"
        path = reader.folder / present
        lacks = isinstance(path, Path) and not path.exists()
        return f"lacks {path}; all nodes need the same files under the same paths" if lacks else ""

    def results(self, sources: Sequence[Source]) -> list[Read | Content]:
        """Returns the rows and arrays of clips."""
        return list(map(self._reader, sources))


def read_on_ray(cluster: Cluster, workers: int | None = None) -> Engine:
    """Returns an engine that reads clips on a cluster. It joins the cluster only if there are clips to read.

    `workers` is the number of actors, None for one per CPU. The engine raises GenreclfError if the cluster cannot be
    reached or its nodes cannot read the clips.
    """

    def read(reader: ClipReader, sources: Sequence[Source]) -> Iterator[Read | Content]:
        if not sources:
            return
        arguments = (reader, __version__, _present(reader.folder, sources), str(Path.cwd()))
        held = MAX_STORED_BYTES if isinstance(reader.folder, StorePath) else 0
        job = Job(_Worker, arguments, reader.lost, WORKER_BYTES + held)
        with connected(cluster):
            yield from results_in_order(cluster, job, sources, workers)

    return read


def _present(folder: Location, sources: Sequence[Source]) -> str:
    """Returns the path of a clip that exists; "" if none does, and for object stores, which all nodes share."""
    if isinstance(folder, StorePath):
        return ""
    return next((source.path for source in sources if (folder / source.path).exists()), "")

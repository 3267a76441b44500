"""Builds a store: reads every clip once, resumes after a kill, and runs in one process at a time."""

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from genreclf.cores import cores, in_threads
from genreclf.csv_text import csv_line
from genreclf.data.clip_reader import ClipReader, Content, Read
from genreclf.data.data_config import DataConfig
from genreclf.data.data_folder import data_folder
from genreclf.data.fingerprint import SKETCH_BANDS, find_matches
from genreclf.data.groups import merge_groups
from genreclf.data.older_stores import copied, known_clips
from genreclf.data.path_list import without
from genreclf.data.sources import Source, sources_of
from genreclf.data.store import (
    ARRAY,
    FORMAT,
    META,
    RECORDINGS,
    SKETCHES,
    TABLE,
    TOKENS,
    Row,
    Store,
    open_fingerprints,
    open_store,
    read_table,
    write_matches,
    write_table,
)
from genreclf.errors import GenreclfError, reason, remedy
from genreclf.files import write_atomically
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.band_axis import ANY_AXIS, FigureAxis
from genreclf.frontend.log_mel import FLOOR_DB, HOP_SAMPLES, N_BANDS, N_FFT
from genreclf.frontend.object_store import Location, StorePath, objects_below
from genreclf.inference.array_task import part_of
from genreclf.progress import progress_bar

# Reads clips in the given order. For a file that an older store contains, it returns only the Content.
Engine = Callable[[ClipReader, Sequence[Source]], Iterator[Read | Content]]

FRONT_END = {"rate_hz": SAMPLE_RATE_HZ, "n_fft": N_FFT, "hop": HOP_SAMPLES, "bands": N_BANDS, "floor_db": FLOOR_DB}
HEADER_BYTES = 128  # NumPy's header, which leaves room for the first axis to grow without moving the data
_JOURNAL = TABLE + ".partial"  # the table while the store is being built
# The Row field that counts a clip's rows in each array, and the array's file, type and width.
_ARRAYS = (
    ("columns", ARRAY, np.uint8, N_BANDS),
    ("steps", SKETCHES, np.uint8, SKETCH_BANDS),
    ("tokens", TOKENS, np.uint32, 2),
)


def read_in_threads(reader: ClipReader, sources: Sequence[Source]) -> Iterator[Read | Content]:
    """Reads clips on this machine, with one thread per core."""
    return in_threads(reader, sources, cores(), ahead=2)


def prepared_store(data: DataConfig, shard: tuple[int, int] = (1, 1), engine: Engine = read_in_threads) -> Store:
    """Returns the store of `data`, opened, after rendering the demo music and building the store if they are missing.

    `shard` is (number of the shard, number of shards). The store of all clips copies the spectrograms from the shards'
    stores that exist.
    """
    folder = data_folder(data)
    sources = without(sources_of(data, folder), data.drop, folder)
    if not sources:  # `sources_of` refuses a data set without clips
        raise GenreclfError(f"data.drop={data.drop}: leaves out all clips; shorten the list, or leave out data.drop")
    sources = sources[part_of(len(sources), *shard)]
    return build_store(folder, sources, data.cache, data.picture_seconds, data.figure_axis, engine)


def build_store(
    folder: Location,
    sources: Sequence[Source],
    cache: Path,
    picture_seconds: float,
    figure: FigureAxis = ANY_AXIS,
    engine: Engine = read_in_threads,
) -> Store:
    """Returns the store below `cache` for these files and settings, opened, building or completing it if needed.

    The store's name is a digest of the settings and of the files' paths, sizes, times and readability, so changed files
    lead to a new store; spectrograms of equal content are copied from older stores of the same folder. A killed build
    resumes after the last complete row, and a store that has lost files is built again. If several processes need the
    store, one builds it and the others wait. A clip that cannot be read, or that contains no music, becomes a row with
    the reason. Raises GenreclfError if the store cannot be written.
    """
    settings = {"front_end": FRONT_END, "picture_seconds": picture_seconds, "figure": asdict(figure)}
    store = cache / "stores" / _key(settings, folder, sources)
    if opened := _opened(store):
        return opened
    try:
        store.mkdir(parents=True, exist_ok=True)
        with (store / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the system releases the lock when a process dies
            if not (opened := _opened(store)):
                if (store / META).is_file():  # finished, but files were lost: no row of it is used
                    for name in (META, _JOURNAL, *(name for _, name, _, _ in _ARRAYS)):
                        (store / name).unlink(missing_ok=True)
                _build(store, folder, sources, settings, engine)
    except OSError as error:
        raise GenreclfError(f"{store}: cannot be written ({reason(error)}); {remedy(error)} (cache={cache})") from error
    return opened or open_store(store)


def _opened(store: Path) -> Store | None:
    """Opens a store; None if it is missing, unfinished or damaged."""
    try:
        return open_store(store)
    except GenreclfError:
        return None


def _key(settings: dict[str, Any], folder: Location, sources: Sequence[Source]) -> str:
    if isinstance(folder, StorePath):
        name, listed = folder.url, objects_below(folder)
        stamps = [listed.get(source.path, folder / source.path).stamp for source in sources]
    else:
        name, place = str(folder.resolve()), str(folder)  # making 100,000 Paths would take longer than the system calls
        stamps = [_stamp(os.path.join(place, source.path)) for source in sources]  # noqa: PTH118
    files = [(source.path, source.label, *stamp) for source, stamp in zip(sources, stamps, strict=True)]
    return _sha256([FORMAT, settings, name, files])[:16]


def _stamp(path: str) -> list[int | str]:
    """Returns values that change if the file's content or its readability changes."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        status = os.lstat(path)  # a broken link is an unreadable clip
    return [status.st_size, status.st_mtime_ns, os.access(path, os.R_OK)]  # chmod changes neither size nor time


def _sha256(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _build(store: Path, folder: Location, sources: Sequence[Source], settings: dict[str, Any], engine: Engine) -> None:
    rows = _write_clips(store, folder, sources, settings, engine)
    with progress_bar("looking for duplicate recordings", "parts") as report:
        matches = find_matches(open_fingerprints(store, rows), report)
    write_matches(store / RECORDINGS, rows, matches)
    pairs = [(match.first, match.second) for match in matches]
    groups = merge_groups([row.path for row in rows], [row.digest or None for row in rows], pairs=pairs)
    write_table(store / TABLE, [replace(row, group=group) for row, group in zip(rows, groups, strict=True)])
    digest = _sha256([FORMAT, settings, [(row.path, row.label, row.digest) for row in rows]])
    meta = {"format": FORMAT, "digest": digest, "folder": str(folder), "clips": len(rows), **settings}
    write_atomically(store / META, json.dumps(meta, indent=1) + "\n")
    (store / _JOURNAL).unlink()


def _write_clips(
    store: Path, folder: Location, sources: Sequence[Source], settings: dict[str, Any], engine: Engine
) -> list[Row]:
    """Appends all clips that are not in the journal yet, and returns the rows of all clips."""
    journal = store / _JOURNAL
    rows = read_table(journal) if journal.is_file() else []
    write_table(journal, rows)  # drops a row that a kill cut short
    with ExitStack() as stack:
        # A clip's blocks are written before its row, so the arrays may be longer than the rows state: cut them back.
        arrays = [
            stack.enter_context(AppendableNpy(store / name, dtype, width, sum(getattr(row, count) for row in rows)))
            for count, name, dtype, width in _ARRAYS
        ]
        table = stack.enter_context(journal.open("ab"))
        report = stack.enter_context(progress_bar("making spectrograms", "clips"))
        report(len(rows), len(sources))
        known = known_clips(store, {"format": FORMAT, "folder": str(folder), **settings})
        seconds, figure = settings["picture_seconds"], FigureAxis(**settings["figure"])
        todo = sources[len(rows) :]
        for source, read in zip(todo, engine(ClipReader(folder, seconds, figure, frozenset(known)), todo), strict=True):
            row, blocks = copied(source, *known[read]) if isinstance(read, Content) else read
            rows.append(replace(row, offset=arrays[0].rows))
            for array, block in zip(arrays, blocks, strict=True):
                array.append(block)
            table.write(csv_line(astuple(rows[-1])).encode("utf-8", "surrogateescape"))
            table.flush()
            report(len(rows), len(sources))
    return rows


class AppendableNpy:
    """A .npy file that grows by (rows, width) blocks. Once closed, `np.load(..., mmap_mode="r")` opens it.

    Keeps the first `rows` rows of an existing file and drops the rest, which restores a consistent state after a kill.
    """

    def __init__(self, path: Path, dtype: type[np.generic], width: int, rows: int) -> None:
        self.dtype, self.width, self.rows = np.dtype(dtype), width, rows
        path.touch()
        self._file = path.open("r+b")
        self._file.truncate(HEADER_BYTES + rows * width * self.dtype.itemsize)
        self._file.seek(0, io.SEEK_END)

    def append(self, block: np.ndarray) -> None:
        """Passes the block to the operating system, so that it survives a kill of this process."""
        self._file.write(np.ascontiguousarray(block, self.dtype).tobytes())
        self._file.flush()
        self.rows += len(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Writes the header unless there was an error: without a header, the file is an unfinished array."""
        with self._file as file:
            if error is None:
                file.seek(0)
                header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.rows, self.width)}
                np.lib.format.write_array_header_1_0(file, header)
                if file.tell() != HEADER_BYTES:
                    raise AssertionError(f"NumPy wrote a header of {file.tell()} bytes instead of {HEADER_BYTES}")

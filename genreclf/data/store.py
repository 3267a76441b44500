"""All clips' spectrograms in one memory-mapped file, with one table. Built once, resumable, checked when opened.

A store is a folder: `spectrograms.npy`, uint8 (all columns, 128), clip after clip, time first, so that a segment is one
run of bytes; `clips.csv`, a row a clip; `store.json`, what it was made from. NumPy and any CSV reader open it.
"""

import csv
import fcntl
import hashlib
import io
import itertools
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genreclf.data.clip import Clip, read_clip
from genreclf.data.sources import DataConfig, Source, data_folder, list_sources
from genreclf.data.spectrogram import FLOOR_DB, HOP_SAMPLES, N_BANDS, N_FFT, SAMPLE_RATE_HZ, LogMelSpectrogram
from genreclf.errors import GenreclfError
from genreclf.progress import progress_bar

FORMAT = 1
ARRAY, TABLE, META = "spectrograms.npy", "clips.csv", "store.json"
# Names of files need not be UTF-8: their bytes come through the table unchanged.
_ENCODING = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
# NumPy pads the header so that the first axis may grow without moving the data.
_HEADER_BYTES = 128


@dataclass(frozen=True)
class Row:
    """A clip in the table. Its columns are `offset : offset + columns` of the array and cover `frames` frames.

    `columns` is 0 for a clip that could not be read, and `problem` says why; a readable clip may carry a note there.
    `digest` is the SHA-256 of the file; clips of one `group` may never be parted.
    """

    path: str
    label: str
    columns: int
    frames: int
    offset: int
    source_rate_hz: int
    source_seconds: float
    digest: str
    group: str
    problem: str


@dataclass(frozen=True)
class Store:
    """An opened store: the table's rows and the memory-mapped array."""

    folder: Path
    rows: tuple[Row, ...]
    columns: np.ndarray
    digest: str

    def spectrogram(self, clip: int) -> np.ndarray:
        """(128, columns) uint8 of one clip, row 0 the lowest band."""
        row = self.rows[clip]
        return self.columns[row.offset : row.offset + row.columns].T


def prepared_store(data: DataConfig) -> Path:
    """The folder of the store of `data`, and before it the demo music, made where they are not there yet."""
    folder = data_folder(data)
    return build_store(folder, list_sources(folder, data.table), data.cache, data.picture_seconds)


def build_store(folder: Path, sources: Sequence[Source], cache: Path, picture_seconds: float) -> Path:
    """The folder of the store for these files and settings below `cache`; made, or finished, if it is not there.

    Kill it at any moment and the next call goes on behind the last whole row; of several processes at once, one makes
    it and the others wait. A clip that cannot be read is a row with a reason. Files that changed make a new store: its
    name is a digest of the settings and of paths, sizes and times. Raises GenreclfError if it cannot be written.
    """
    settings = _settings(picture_seconds)
    store = cache / "stores" / _key(settings, folder, sources)
    if (store / META).is_file():
        return store
    try:
        with _alone(store):
            if not (store / META).is_file():
                _build(store, folder, sources, settings)
    except OSError as error:
        raise GenreclfError(f"{store}: cannot be written ({error}); free space, or choose another cache") from error
    return store


def open_store(folder: Path) -> Store:
    """Opens a finished store and checks that its parts fit; raises GenreclfError where they do not."""
    try:
        meta = json.loads((folder / META).read_text())
        made_by, digest = meta["format"], meta["digest"]
        rows = tuple(_read_table(folder / TABLE))
        columns = np.lib.format.open_memmap(folder / ARRAY, mode="r")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise GenreclfError(f"{folder}: no whole store ({error}); delete the folder and prepare again") from error
    expected = (sum(row.columns for row in rows), N_BANDS)
    if made_by != FORMAT or columns.shape != expected or columns.dtype != np.uint8 or not _in_line(rows):
        raise GenreclfError(
            f"{folder}: the array is {columns.dtype} {columns.shape}, the table does not fit it; "
            "delete the folder and prepare again"
        )
    return Store(folder, rows, columns, digest)


def _in_line(rows: Sequence[Row]) -> bool:
    """Whether the clips' columns lie one behind the other, and all that have columns cover some time."""
    end = 0
    for row in rows:
        if row.offset != end or row.columns < 0 or (row.columns and row.frames < 1):
            return False
        end += row.columns
    return True


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Holds off other processes that make the same store. The system lifts the lock when a process dies."""
    store.mkdir(parents=True, exist_ok=True)
    with (store / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(store: Path, folder: Path, sources: Sequence[Source], settings: dict[str, Any]) -> None:
    partial = store / (TABLE + ".partial")
    _write_clips(store, folder, sources, settings["picture_seconds"])
    rows = _grouped(_read_table(partial))
    _write_table(store / TABLE, rows)
    meta = {"format": FORMAT, "digest": _digest(settings, rows), "folder": str(folder), "clips": len(rows), **settings}
    _write_atomically(store / META, json.dumps(meta, indent=1) + "\n")
    partial.unlink()


def _settings(picture_seconds: float) -> dict[str, Any]:
    front_end = {"rate_hz": SAMPLE_RATE_HZ, "n_fft": N_FFT, "hop": HOP_SAMPLES, "bands": N_BANDS, "floor_db": FLOOR_DB}
    return {"front_end": front_end, "picture_seconds": picture_seconds}


def _key(settings: dict[str, Any], folder: Path, sources: Sequence[Source]) -> str:
    files = []
    for source in sources:
        path = folder / source.path
        status = path.stat() if path.exists() else path.lstat()  # a link that leads nowhere is an unreadable clip
        files.append((source.path, source.label, status.st_size, status.st_mtime_ns))
    text = json.dumps([FORMAT, settings, str(folder.resolve()), files])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digest(settings: dict[str, Any], rows: Sequence[Row]) -> str:
    """Of the content: equal on every machine that holds the same files under the same relative paths."""
    content = [(row.path, row.label, row.digest) for row in rows]
    return hashlib.sha256(json.dumps([FORMAT, settings, content]).encode()).hexdigest()


def _write_clips(store: Path, folder: Path, sources: Sequence[Source], picture_seconds: float) -> None:
    partial = store / (TABLE + ".partial")
    done = _read_table(partial) if partial.is_file() else []
    offset = sum(row.columns for row in done)
    # The table is the journal: columns are written before their row, so what lies behind the last row is dropped.
    _write_table(partial, done)
    (store / ARRAY).touch()
    with (store / ARRAY).open("r+b") as array, partial.open("a", **_ENCODING) as table:
        array.truncate(_HEADER_BYTES + offset * N_BANDS)
        array.seek(0, os.SEEK_END)
        with progress_bar("making spectrograms", "clips") as report:
            report(len(done), len(sources))
            for row, levels in _read_all(folder, sources[len(done) :], picture_seconds):
                array.write(np.ascontiguousarray(levels.T).tobytes())
                array.flush()
                done.append(replace(row, offset=offset))
                offset += row.columns
                table.write(_csv_line(astuple(done[-1])))
                table.flush()
                report(len(done), len(sources))
        array.seek(0)
        array.write(_header(offset))


def _header(columns: int) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (columns, N_BANDS)})
    if header.tell() != _HEADER_BYTES:
        raise AssertionError(f"NumPy wrote a header of {header.tell()} bytes, {_HEADER_BYTES} were kept for it")
    return header.getvalue()


def _read_all(folder: Path, sources: Iterable[Source], picture_seconds: float) -> Iterator[tuple[Row, np.ndarray]]:
    """Rows and levels in the order of `sources`, read by one thread a core and never more than a few ahead."""
    front_end = LogMelSpectrogram()
    cores, threads_before = len(os.sched_getaffinity(0)), torch.get_num_threads()
    queue: deque[Future[tuple[Row, np.ndarray]]] = deque()
    todo = iter(sources)
    # One thread a clip beats many threads within a clip: decoding and the transform both leave Python's lock.
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            while True:
                for source in itertools.islice(todo, 2 * cores - len(queue)):
                    queue.append(pool.submit(_read_row, folder, source, front_end, picture_seconds))
                if not queue:
                    return
                yield queue.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads_before)


def _read_row(
    folder: Path, source: Source, front_end: LogMelSpectrogram, picture_seconds: float
) -> tuple[Row, np.ndarray]:
    path = folder / source.path
    try:
        clip = read_clip(path, front_end, picture_seconds)
        problem = clip.note
    except (GenreclfError, OSError) as error:
        clip, problem = Clip(np.zeros((N_BANDS, 0), np.uint8), 0, 0, 0.0, ""), str(error)
    digest = _file_digest(path)
    seconds = round(clip.source_seconds, 6)
    columns = clip.levels.shape[1]
    row = Row(source.path, source.label, columns, clip.frames, 0, clip.source_rate_hz, seconds, digest, digest, problem)
    return row, clip.levels


def _file_digest(path: Path) -> str:
    """The SHA-256 of a file, empty if it cannot be read."""
    try:
        if path.is_file():  # a named pipe would be waited for
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        pass
    return ""


def _grouped(rows: Sequence[Row]) -> list[Row]:
    """Clips of one digest share a group, which bears the name of the first of them."""
    first: dict[str, str] = {}
    return [replace(row, group=first.setdefault(row.digest or row.path, row.path)) for row in rows]


def _csv_line(values: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerow(values)
    return line.getvalue()


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    head = _csv_line(field.name for field in fields(Row))
    _write_atomically(path, head + "".join(_csv_line(astuple(row)) for row in rows))


def _read_table(path: Path) -> list[Row]:
    """Whole rows only: a line that a kill cut short, and any behind it, is left out."""
    with path.open(**_ENCODING) as file:
        text = file.read()
    whole = text[: text.rfind("\n") + 1]
    while whole.count('"') % 2:  # a line break within quotes, of a name that holds one, ends no row
        whole = whole[: whole.rfind("\n", 0, -1) + 1]
    rows = []
    for values in csv.DictReader(io.StringIO(whole, newline="")):
        typed = {field.name: field.type(values[field.name]) for field in fields(Row)}
        rows.append(Row(**typed))
    return rows


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", **_ENCODING) as file:
        file.write(text)
    temporary.replace(path)

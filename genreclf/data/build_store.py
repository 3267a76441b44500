"""Builds a store: reads every clip once, resumes after a kill, and runs in one process at a time."""

import fcntl
import hashlib
import io
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, astuple, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from genreclf.data.fingerprint import SKETCH_BANDS, Fingerprint, find_matches, fingerprint
from genreclf.data.membership import merge_groups
from genreclf.data.path_list import without
from genreclf.data.sources import DataConfig, Source, data_folder, sources_of
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
    csv_line,
    open_fingerprints,
    open_store,
    read_table,
    write_matches,
    write_table,
)
from genreclf.errors import GenreclfError, reason
from genreclf.files import write_atomically
from genreclf.frontend.audio import MAX_BYTES, SAMPLE_RATE_HZ
from genreclf.frontend.band_axis import ANY_AXIS, FigureAxis
from genreclf.frontend.clip import Clip, read_clip
from genreclf.frontend.content import TOO_SHORT
from genreclf.frontend.log_mel import FLOOR_DB, HOP_SAMPLES, N_BANDS, N_FFT
from genreclf.frontend.segments import trim_silence
from genreclf.inference.array_task import part_of
from genreclf.progress import progress_bar

Read = tuple[Row, tuple[np.ndarray, np.ndarray, np.ndarray]]  # a clip's row, and its rows of the three arrays
# The digest and suffix of a file (which decides how it is read) -> a store that holds it, and its number there.
Known = dict[tuple[str, str], tuple[Store, int]]

HEADER_BYTES = 128  # of NumPy's header, which leaves room for the first axis to grow without moving the data
_JOURNAL = TABLE + ".partial"  # the table while the store is being built
# The Row field that counts a clip's rows in each array, and the array's file, type and width.
_ARRAYS = (
    ("columns", ARRAY, np.uint8, N_BANDS),
    ("steps", SKETCHES, np.uint8, SKETCH_BANDS),
    ("tokens", TOKENS, np.uint32, 2),
)


def prepared_store(data: DataConfig, shard: tuple[int, int] = (1, 1)) -> Path:
    """The folder of the store of `data`; renders the demo music and builds the store where they are missing.

    `shard` is the number of a part of the clips and how many parts there are. The store of all clips copies the
    spectrograms of the parts that are there.
    """
    folder = data_folder(data)
    sources = without(sources_of(data, folder), data.drop, folder)
    sources = sources[part_of(len(sources), *shard)]
    return build_store(folder, sources, data.cache, data.picture_seconds, data.figure_axis)


def build_store(
    folder: Path, sources: Sequence[Source], cache: Path, picture_seconds: float, figure: FigureAxis = ANY_AXIS
) -> Path:
    """The folder of the store for these files and settings, below `cache`; built or completed if it is not there.

    The store's name is a digest of the settings and of the files' paths, sizes, times and readability, so changed files
    make a new store; spectrograms of equal content are copied from older stores of the same folder. A killed build
    resumes after the last complete row, and a store that has lost files is built again. Of several processes, one
    builds and the others wait. A clip that cannot be read, or that has no music in it, becomes a row with the reason.
    Raises GenreclfError if the store cannot be written.
    """
    front_end = {"rate_hz": SAMPLE_RATE_HZ, "n_fft": N_FFT, "hop": HOP_SAMPLES, "bands": N_BANDS, "floor_db": FLOOR_DB}
    settings = {"front_end": front_end, "picture_seconds": picture_seconds, "figure": asdict(figure)}
    store = cache / "stores" / _key(settings, folder, sources)
    if _is_whole(store):
        return store
    try:
        store.mkdir(parents=True, exist_ok=True)
        with (store / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the system releases the lock when a process dies
            if not _is_whole(store):
                if (store / META).is_file():  # finished, but parts of it were lost
                    _remove_files(store)
                _build(store, folder, sources, settings)
    except OSError as error:
        raise GenreclfError(
            f"{store}: cannot be written ({reason(error)}); free space, or choose another cache"
        ) from error
    return store


def _is_whole(store: Path) -> bool:
    try:
        open_store(store)
    except GenreclfError:
        return False
    return True


def _remove_files(store: Path) -> None:
    (store / META).unlink()
    for name in (_JOURNAL, *(name for _, name, _, _ in _ARRAYS)):
        (store / name).unlink(missing_ok=True)


def _key(settings: dict[str, Any], folder: Path, sources: Sequence[Source]) -> str:
    files = []
    for source in sources:
        path = folder / source.path
        status = path.stat() if path.exists() else path.lstat()  # a broken link is an unreadable clip
        # chmod changes none of the rest
        files.append((source.path, source.label, status.st_size, status.st_mtime_ns, os.access(path, os.R_OK)))
    return _sha256([FORMAT, settings, str(folder.resolve()), files])[:16]


def _sha256(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _build(store: Path, folder: Path, sources: Sequence[Source], settings: dict[str, Any]) -> None:
    rows = _write_clips(store, folder, sources, settings)
    with progress_bar("looking for equal recordings", "parts") as report:
        matches = find_matches(open_fingerprints(store, rows), report)
    write_matches(store / RECORDINGS, rows, matches)
    pairs = [(match.first, match.second) for match in matches]
    groups = merge_groups([row.path for row in rows], [row.digest or None for row in rows], pairs=pairs)
    write_table(store / TABLE, [replace(row, group=group) for row, group in zip(rows, groups, strict=True)])
    digest = _sha256([FORMAT, settings, [(row.path, row.label, row.digest) for row in rows]])
    meta = {"format": FORMAT, "digest": digest, "folder": str(folder), "clips": len(rows), **settings}
    write_atomically(store / META, json.dumps(meta, indent=1) + "\n")
    (store / _JOURNAL).unlink()


def _write_clips(store: Path, folder: Path, sources: Sequence[Source], settings: dict[str, Any]) -> list[Row]:
    """Appends all clips that are not in the journal yet; returns the rows of all."""
    journal = store / _JOURNAL
    rows = read_table(journal) if journal.is_file() else []
    write_table(journal, rows)  # without a row that a kill cut short
    with ExitStack() as stack:
        # A clip's blocks are written before its row, so the arrays are first cut back to what the rows count.
        arrays = [
            stack.enter_context(AppendableNpy(store / name, dtype, width, sum(getattr(row, count) for row in rows)))
            for count, name, dtype, width in _ARRAYS
        ]
        table = stack.enter_context(journal.open("ab"))
        report = stack.enter_context(progress_bar("making spectrograms", "clips"))
        report(len(rows), len(sources))
        known = _known_clips(store, folder, settings)
        seconds, figure = settings["picture_seconds"], FigureAxis(**settings["figure"])
        read = partial(_read_row, folder, partial(read_clip, picture_seconds=seconds, figure=figure), known)
        for row, blocks in _in_threads(read, sources[len(rows) :]):
            rows.append(replace(row, offset=arrays[0].rows))
            for array, block in zip(arrays, blocks, strict=True):
                array.append(block)
            table.write(csv_line(astuple(rows[-1])).encode("utf-8", "surrogateescape"))
            table.flush()
            report(len(rows), len(sources))
    return rows


def _known_clips(store: Path, folder: Path, settings: dict[str, Any]) -> Known:
    """The clips in finished stores of the same format, folder and settings."""
    known: Known = {}
    expected = {"format": FORMAT, "folder": str(folder), **settings}
    for path in sorted(store.parent.glob(f"*/{META}"), key=lambda path: path.stat().st_mtime):
        try:
            if not expected.items() <= json.loads(path.read_text()).items():
                continue
            older = open_store(path.parent)
        except (OSError, ValueError, AttributeError, GenreclfError):
            continue  # a damaged older store does not keep a new one from being built
        for number, row in enumerate(older.rows):
            if row.columns:
                known[row.digest, Path(row.path).suffix.lower()] = older, number
    return known


def _in_threads(read: Callable[[Source], Read], sources: Sequence[Source]) -> Iterator[Read]:
    """The result for each source, in order. One thread per core reads ahead by a few clips, which bounds the memory."""
    cores = len(os.sched_getaffinity(0))
    queue: deque[Future[Read]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for source in sources:
                queue.append(pool.submit(read, source))
                if len(queue) == 2 * cores:
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _read_row(folder: Path, read: Callable[[Path], Clip], known: Known, source: Source) -> Read:
    """Reads a clip; its offset and final group are not known yet."""
    path = folder / source.path
    digest = _file_digest(path)
    if (digest, path.suffix.lower()) in known:
        older, number = known[digest, path.suffix.lower()]
        prints = older.fingerprints.of_clip(number)
        row = replace(older.rows[number], path=source.path, label=source.label)
        return row, (older.spectrogram(number).T, prints.sketch, prints.tokens)
    try:
        clip = read(path)
        if clip.unsuitable and not clip.unsuitable.startswith(TOO_SHORT):
            raise GenreclfError(f"{path}: {clip.unsuitable}")
        problem, prints = clip.note, fingerprint(clip.levels, clip.frames)
    except (GenreclfError, OSError) as error:
        clip, problem = Clip(np.zeros((N_BANDS, 0), np.uint8), 0, 0, 0.0, ""), str(error)
        prints = Fingerprint(np.zeros((0, SKETCH_BANDS), np.uint8), np.zeros((0, 2), np.uint32))
    first_sound, sound_columns, _, sound_frames = trim_silence(clip.levels, clip.frames)
    row = Row(
        path=source.path,
        label=source.label,
        columns=clip.levels.shape[1],
        frames=clip.frames,
        offset=0,
        first_sound=first_sound,
        sound_columns=sound_columns,
        sound_frames=sound_frames,
        steps=len(prints.sketch),
        tokens=len(prints.tokens),
        source_rate_hz=clip.source_rate_hz,
        source_seconds=round(clip.source_seconds, 6),
        digest=digest,
        group=digest,
        problem=problem,
    )
    return row, (clip.levels.T, prints.sketch, prints.tokens)


def _file_digest(path: Path) -> str:
    """The SHA-256 of a file; empty if it cannot be read, is too large, or is no regular file (a pipe would block)."""
    with suppress(OSError):
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    return ""


class AppendableNpy:
    """A .npy file that grows by (rows, width) blocks, opened by `np.load(..., mmap_mode="r")` once it is closed.

    Keeps the first `rows` rows of an existing file and drops the rest: the consistent state after a kill.
    """

    def __init__(self, path: Path, dtype: type[np.generic], width: int, rows: int) -> None:
        self.dtype, self.width, self.rows = np.dtype(dtype), width, rows
        path.touch()
        self._file = path.open("r+b")
        self._file.truncate(HEADER_BYTES + rows * width * self.dtype.itemsize)
        self._file.seek(0, io.SEEK_END)

    def append(self, block: np.ndarray) -> None:
        """Hands the block to the operating system, so it survives a kill of this process."""
        self._file.write(np.ascontiguousarray(block, self.dtype).tobytes())
        self._file.flush()
        self.rows += len(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Writes the header, but not after an error: without a header, the file is an unfinished array."""
        with self._file as file:
            if error is None:
                file.seek(0)
                header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.rows, self.width)}
                np.lib.format.write_array_header_1_0(file, header)
                if file.tell() != HEADER_BYTES:
                    raise AssertionError(f"NumPy wrote a header of {file.tell()} bytes instead of {HEADER_BYTES}")

"""All clips' spectrograms in one memory-mapped file, with one table. Built once, resumable, checked when opened.

A store is a folder: `spectrograms.npy`, uint8 (all columns, 128), clip after clip, time first, so that a segment is one
run of bytes; `clips.csv`, a row a clip; `sketches.npy` and `tokens.npy`, the clips' fingerprints; `recordings.csv`, the
pairs of clips that hold the same recording; `store.json`, what it was made from. NumPy and any CSV reader open it.
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
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genreclf.data.appendable_npy import AppendableNpy
from genreclf.data.fingerprint import SKETCH_BANDS, Fingerprint, Fingerprints, Match, find_matches, fingerprint
from genreclf.data.groups import merge_groups
from genreclf.data.sources import DataConfig, Source, data_folder, list_sources
from genreclf.errors import GenreclfError
from genreclf.exporters.torch_log_mel import LogMelSpectrogram
from genreclf.frontend.audio import MAX_BYTES
from genreclf.frontend.clip import Clip, FrontEnd, read_clip
from genreclf.frontend.log_mel import FLOOR_DB, HOP_SAMPLES, N_BANDS, N_FFT, SAMPLE_RATE_HZ
from genreclf.progress import progress_bar

FORMAT = 3
ARRAY, SKETCHES, TOKENS = "spectrograms.npy", "sketches.npy", "tokens.npy"
TABLE, RECORDINGS, META = "clips.csv", "recordings.csv", "store.json"
# What counts a clip's rows in the table; file, type and width of the array.
_ARRAYS = (
    ("columns", ARRAY, np.uint8, N_BANDS),
    ("steps", SKETCHES, np.uint8, SKETCH_BANDS),
    ("tokens", TOKENS, np.uint32, 2),
)
# Names of files need not be UTF-8: their bytes come through the table unchanged.
_ENCODING = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


@dataclass(frozen=True)
class Row:
    """A clip in the table. Its columns are `offset : offset + columns` of the array and cover `frames` frames.

    `columns` is 0 for a clip that could not be read, and `problem` says why; a readable clip may carry a note there.
    `digest` is the SHA-256 of the file. Clips of one `group` hold the same recording and may never be parted. `steps`
    and `tokens` count the clip's rows of the two arrays of fingerprints.
    """

    path: str
    label: str
    columns: int
    frames: int
    offset: int
    steps: int
    tokens: int
    source_rate_hz: int
    source_seconds: float
    digest: str
    group: str
    problem: str


@dataclass(frozen=True)
class Store:
    """An opened store: the table's rows, the memory-mapped arrays of columns and fingerprints, and the pairs of clips
    that hold the same recording.
    """

    folder: Path
    rows: tuple[Row, ...]
    columns: np.ndarray
    fingerprints: Fingerprints
    matches: tuple[Match, ...]
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
    name is a digest of the settings and of paths, sizes and times; what an older store of the folder knows of a file
    of equal content is taken from there. Raises GenreclfError if it cannot be written.
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
        fingerprints = _open_fingerprints(folder, rows)
        matches = tuple(_read_matches(folder / RECORDINGS, rows))
    except (OSError, ValueError, KeyError, IndexError, TypeError, csv.Error) as error:
        raise GenreclfError(f"{folder}: no whole store ({error}); delete the folder and prepare again") from error
    expected = (sum(row.columns for row in rows), N_BANDS)
    if made_by != FORMAT or columns.shape != expected or columns.dtype != np.uint8 or not _in_line(rows):
        raise GenreclfError(
            f"{folder}: the array is {columns.dtype} {columns.shape}, the table does not fit it; "
            "delete the folder and prepare again"
        )
    return Store(folder, rows, columns, fingerprints, matches, digest)


def _open_fingerprints(folder: Path, rows: Sequence[Row]) -> Fingerprints:
    """Raises ValueError where the arrays do not fit the table."""
    sketches, tokens = (np.lib.format.open_memmap(folder / name, mode="r") for name in (SKETCHES, TOKENS))
    steps, marks = np.cumsum([row.steps for row in rows]), np.cumsum([row.tokens for row in rows])
    for array, kind, shape in ((sketches, np.uint8, (steps[-1], SKETCH_BANDS)), (tokens, np.uint32, (marks[-1], 2))):
        if array.dtype != kind or array.shape != shape:
            raise ValueError(f"fingerprints are {array.dtype} {array.shape}, the table says {shape}")
    return Fingerprints(sketches, steps, tokens, marks)


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
    _write_clips(store, folder, sources, settings)
    rows = _read_table(partial)
    with progress_bar("looking for equal recordings", "parts") as report:
        matches = find_matches(_open_fingerprints(store, rows), report)
    _write_matches(store / RECORDINGS, rows, matches)
    rows = _grouped(rows, matches)
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


def _write_clips(store: Path, folder: Path, sources: Sequence[Source], settings: dict[str, Any]) -> None:
    partial = store / (TABLE + ".partial")
    done = _read_table(partial) if partial.is_file() else []
    # The table is the journal: arrays are written before their row, so what lies behind the last row is dropped.
    _write_table(partial, done)
    with ExitStack() as stack, partial.open("a", **_ENCODING) as table:
        arrays = [
            stack.enter_context(AppendableNpy(store / name, kind, width, sum(getattr(row, count) for row in done)))
            for count, name, kind, width in _ARRAYS
        ]
        report = stack.enter_context(progress_bar("making spectrograms", "clips"))
        report(len(done), len(sources))
        known = _known(store, folder, settings)
        for row, blocks in _read_all(folder, sources[len(done) :], settings["picture_seconds"], known):
            row = replace(row, offset=arrays[0].rows)
            for array, block in zip(arrays, blocks, strict=True):
                array.append(block)
            done.append(row)
            table.write(_csv_line(astuple(row)))
            table.flush()
            report(len(done), len(sources))


Blocks = tuple[np.ndarray, np.ndarray, np.ndarray]


def _known(store: Path, folder: Path, settings: dict[str, Any]) -> dict[tuple[str, str], tuple[Store, int]]:
    """Clips that finished stores of the same folder and settings hold, by content and kind of file."""
    known = {}
    for meta in sorted(store.parent.glob(f"*/{META}"), key=lambda path: path.stat().st_mtime):
        try:
            said = json.loads(meta.read_text())
            if said != {**said, "format": FORMAT, "folder": str(folder), **settings}:
                continue
            older = open_store(meta.parent)
        except (OSError, ValueError, GenreclfError):
            continue  # a broken store is no reason not to make a whole one
        for clip, row in enumerate(older.rows):
            if row.columns:
                known[row.digest, Path(row.path).suffix.lower()] = older, clip
    return known


def _read_all(
    folder: Path, sources: Iterable[Source], picture_seconds: float, known: dict[tuple[str, str], tuple[Store, int]]
) -> Iterator[tuple[Row, Blocks]]:
    """Rows, with their blocks of each array, in the order of `sources`.

    Read by one thread a core, and never more than a few ahead.
    """
    front_end = LogMelSpectrogram().levels
    cores, threads_before = len(os.sched_getaffinity(0)), torch.get_num_threads()
    queue: deque[Future[tuple[Row, Blocks]]] = deque()
    todo = iter(sources)
    # One thread a clip beats many threads within a clip: decoding and the transform both leave Python's lock.
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            while True:
                for source in itertools.islice(todo, 2 * cores - len(queue)):
                    queue.append(pool.submit(_read_row, folder, source, front_end, picture_seconds, known))
                if not queue:
                    return
                yield queue.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads_before)


def _read_row(
    folder: Path,
    source: Source,
    front_end: FrontEnd,
    picture_seconds: float,
    known: dict[tuple[str, str], tuple[Store, int]],
) -> tuple[Row, Blocks]:
    path = folder / source.path
    digest = _file_digest(path)
    same = known.get((digest, path.suffix.lower()))
    if same is not None:
        return _copied(source, *same)
    try:
        clip = read_clip(path, front_end, picture_seconds)
        problem, prints = clip.note, fingerprint(clip.levels, clip.frames)
    except (GenreclfError, OSError) as error:
        clip, problem = Clip(np.zeros((N_BANDS, 0), np.uint8), 0, 0, 0.0, ""), str(error)
        prints = Fingerprint(np.zeros((0, SKETCH_BANDS), np.uint8), np.zeros((0, 2), np.uint32))
    row = Row(
        path=source.path,
        label=source.label,
        columns=clip.levels.shape[1],
        frames=clip.frames,
        offset=0,
        steps=len(prints.sketch),
        tokens=len(prints.tokens),
        source_rate_hz=clip.source_rate_hz,
        source_seconds=round(clip.source_seconds, 6),
        digest=digest,
        group=digest,
        problem=problem,
    )
    return row, (clip.levels.T, prints.sketch, prints.tokens)


def _copied(source: Source, older: Store, clip: int) -> tuple[Row, Blocks]:
    row = replace(older.rows[clip], path=source.path, label=source.label)
    prints = older.fingerprints.of_clip(clip)
    return row, (older.spectrogram(clip).T, prints.sketch, prints.tokens)


def _file_digest(path: Path) -> str:
    """The SHA-256 of a file, empty if it cannot be read or is too large to be."""
    try:
        if path.is_file() and path.stat().st_size <= MAX_BYTES:  # a named pipe would be waited for
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        pass
    return ""


def _grouped(rows: Sequence[Row], matches: Sequence[Match]) -> list[Row]:
    """Clips of one digest or one recording share a group, which bears the name of the first of them."""
    pairs = [(match.first, match.second) for match in matches]
    groups = merge_groups([row.path for row in rows], [row.digest or None for row in rows], pairs=pairs)
    return [replace(row, group=group) for row, group in zip(rows, groups, strict=True)]


def _write_matches(path: Path, rows: Sequence[Row], matches: Sequence[Match]) -> None:
    head = _csv_line(field.name for field in fields(Match))
    lines = (_csv_line((rows[first].path, rows[second].path, *rest)) for first, second, *rest in map(astuple, matches))
    _write_atomically(path, head + "".join(lines))


def _read_matches(path: Path, rows: Sequence[Row]) -> Iterator[Match]:
    """Raises ValueError or KeyError for a table that is not whole."""
    clip = {row.path: number for number, row in enumerate(rows)}
    text = path.read_text(encoding=_ENCODING["encoding"], errors=_ENCODING["errors"])
    if not text.endswith("\n"):
        raise ValueError(f"{path.name} is cut short")
    for pair in csv.DictReader(io.StringIO(text, newline="")):
        first, second, *numbers = (pair[field.name] for field in fields(Match))
        yield Match(clip[first], clip[second], *map(float, numbers))


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

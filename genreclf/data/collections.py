"""Which recordings of one collection are in another too. A collection is a folder, a list of paths, or a file."""

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from genreclf.data.build_store import build_store
from genreclf.data.fingerprint import find_matches_between
from genreclf.data.leaks import compared
from genreclf.data.path_list import existing_file, read_paths, without
from genreclf.data.sources import DataConfig, Source, data_folder, on_disk, sources_of
from genreclf.data.store import Store, csv_line, open_store
from genreclf.errors import GenreclfError
from genreclf.frontend.clip import is_clip
from genreclf.frontend.folder import folder_contents
from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.frontend.picture import KAGGLE_NOTE
from genreclf.progress import progress_bar


@dataclass(frozen=True)
class Collection:
    """Clips to compare by sound."""

    name: str  # its path, as the user gave it
    folder: Path  # the clips' paths are relative to it
    ignored: dict[str, list[str]]  # by extension: files in the folder that are not clips
    store: Store

    def file(self, clip: int) -> Path:
        """The file of a clip."""
        return self.folder / self.store.rows[clip].path


@dataclass(frozen=True)
class Contents:
    """What a collection holds."""

    name: str
    clips: int
    compared: int  # clips that could be compared by sound
    ignored: dict[str, list[str]]  # by extension: other files
    left_out: dict[str, str]  # by path, why: neither audio nor a spectrogram, damaged, silent
    not_compared: list[str]  # shorter than 4 s or uniform: compared byte for byte only
    figures: (
        int  # Kaggle's, which hold the top 40 of 80 dB: of 103 that were drawn of known clips, 94 matched the audio
    )


@dataclass(frozen=True)
class SharedRecording:
    """A clip, and one of another collection that holds the same recording; numbers as in Match."""

    path: str
    against: str  # the other collection's name
    other: str  # the clip's path in it
    confidence: float
    offset_seconds: float  # by which the other clip begins after the first; negative: before it
    overlap_seconds: float
    same_bytes: bool  # the files are equal


@dataclass(frozen=True)
class Comparison:
    """What a collection shares with others."""

    collection: Contents
    others: list[Contents]
    same_files: int  # pairs of a file with itself, which are not listed
    pairs: list[SharedRecording]  # the most certain ones first

    @property
    def shared(self) -> list[str]:
        """The clips of the collection that sound like one of the others, sorted."""
        return sorted({pair.path for pair in self.pairs})

    @property
    def is_blind(self) -> bool:
        """Whether no two clips could be compared by sound."""
        return not (self.collection.compared and any(other.compared for other in self.others))

    def plain(self) -> dict[str, Any]:
        """All of it, as JSON takes it."""
        counts = {"clips": self.collection.clips, "shared": len(self.shared), "pairs": len(self.pairs)}
        return {"summary": counts, **asdict(self), "shared": self.shared}


def own_collection(data: DataConfig) -> Collection:
    """The clips of a data set, whatever their classes: all below its folder, or with a table or tags, those that have
    a genre there.

    Without those of `data.drop`. Raises GenreclfError as `other_collection` does.
    """
    folder = on_disk(data_folder(data))
    if not folder.is_dir():
        raise GenreclfError(f"data.path={folder}: no such folder; give another")
    sources, ignored = _below(folder)
    if data.names_artists:
        sources = sources_of(data, folder)
    return _collection(str(data.path), folder, without(sources, data.drop, folder), data, ignored)


def other_collection(path: Path, data: DataConfig) -> Collection:
    """The clips of a folder at any depth, of a list of paths, which are relative to the list's folder, or of one file.

    Their store is built in the cache of `data` if it is not there. Raises GenreclfError where a file is missing or
    there is no clip.
    """
    if path.is_dir():
        sources, ignored = _below(path)
        return _collection(str(path), path, sources, data, ignored)
    if not path.is_file():
        raise GenreclfError(f"{path}: no such file or folder; give another")
    names = [path.name] if is_clip(path.name) else read_paths(path, str(path))
    found = [existing_file(path.parent, name) for name in names]
    missing = [name for name, file in zip(names, found, strict=True) if file is None]
    if missing:
        fault = f"{len(missing)} of its {len(names)} paths are no files in {path.parent} (first: {missing[0]!r})"
        raise GenreclfError(f"{path}: {fault}; correct them, or name the column of paths path")
    files = dict.fromkeys(filter(None, found))  # a list may name a file twice
    return _collection(str(path), path.parent, [Source(file, "") for file in files], data, {})


def _below(folder: Path) -> tuple[list[Source], dict[str, list[str]]]:
    """The clips below a folder, and the other files. Raises GenreclfError for a folder that cannot be read."""
    contents = folder_contents(folder)
    if contents.unreadable:
        raise contents.unreadable[0]
    # The label is that of a data set without a table, so that the store is the same.
    return [Source(path, path.split("/")[0]) for path in contents.clips], contents.ignored


def _collection(
    name: str, folder: Path, sources: Sequence[Source], data: DataConfig, ignored: dict[str, list[str]]
) -> Collection:
    if not sources:
        raise GenreclfError(f"{name}: no audio file or picture in it; give another")
    store = open_store(build_store(folder, sources, data.cache, data.picture_seconds, data.figure_axis))
    return Collection(name, folder, ignored, store)


def compare_collections(one: Collection, others: Sequence[Collection]) -> Comparison:
    """The pairs of a clip of `one` and a clip of one of the others that hold the same recording."""
    found = [pair for other in others for pair in _pairs(one, other)]
    listed = [pair for pair in found if pair is not None]
    listed.sort(key=lambda pair: (-pair.confidence, pair.path, pair.against, pair.other))
    contents = [_contents(each) for each in (one, *others)]
    return Comparison(contents[0], contents[1:], len(found) - len(listed), listed)


def _pairs(one: Collection, other: Collection) -> list[SharedRecording | None]:
    """None for each pair of a file with itself."""
    found = {pair: (1.0, 0.0, one.store.rows[pair[0]].frames / FRAME_RATE_HZ) for pair in _equal_files(one, other)}
    with progress_bar(f"comparing with {other.name}", "parts") as report:
        matches = find_matches_between(one.store.fingerprints, other.store.fingerprints, report)
    for match in matches:  # by sound, which replaces that of equal files
        found[match.first, match.second] = match.confidence, match.offset_seconds, match.overlap_seconds
    return [_pair(one, other, *pair, *numbers) for pair, numbers in found.items()]


def _pair(
    one: Collection, other: Collection, first: int, second: int, confidence: float, offset: float, overlap: float
) -> SharedRecording | None:
    if one.file(first).resolve() == other.file(second).resolve():
        return None
    row, other_row = one.store.rows[first], other.store.rows[second]
    numbers = round(confidence, 4), round(offset, 3), round(overlap, 3)
    return SharedRecording(row.path, other.name, other_row.path, *numbers, row.digest == other_row.digest)


def _equal_files(one: Collection, other: Collection) -> list[tuple[int, int]]:
    """Each clip of `one` with the first file of equal content: short clips have no fingerprint."""
    first: dict[str, int] = {}
    for clip, row in enumerate(other.store.rows):
        if row.columns:
            first.setdefault(row.digest, clip)
    rows = enumerate(one.store.rows)
    return [(clip, first[row.digest]) for clip, row in rows if row.columns and row.digest in first]


def _contents(collection: Collection) -> Contents:
    rows = collection.store.rows
    return Contents(
        name=collection.name,
        clips=len(rows),
        compared=sum(map(compared, rows)),
        ignored=collection.ignored,
        left_out={row.path: row.problem for row in rows if not row.columns},
        not_compared=[row.path for row in rows if row.columns and not compared(row)],
        figures=sum(KAGGLE_NOTE in row.problem for row in rows if row.columns),
    )


def pairs_csv(pairs: Sequence[SharedRecording]) -> str:
    """A table with a line for each pair, headed by the names of their fields."""
    head = [field.name for field in fields(SharedRecording)]
    return csv_line(head) + "".join(csv_line([*astuple(pair)[:-1], str(pair.same_bytes).lower()]) for pair in pairs)

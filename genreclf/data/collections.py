"""Finds recordings that two collections share. A collection is a folder, a list of paths, or a file."""

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from genreclf.csv_text import csv_line
from genreclf.data.build_store import build_store
from genreclf.data.data_config import DataConfig
from genreclf.data.data_folder import data_folder, on_disk
from genreclf.data.fingerprint import Match, find_matches_between
from genreclf.data.groups import equal_files
from genreclf.data.leaks import compared
from genreclf.data.path_list import existing_file, read_paths, without
from genreclf.data.sources import Source, contents_below, sources_of
from genreclf.data.store import Store
from genreclf.errors import GenreclfError
from genreclf.frontend.clip import is_clip
from genreclf.frontend.picture import KAGGLE_NOTE
from genreclf.progress import progress_bar


@dataclass(frozen=True)
class Collection:
    """Clips to compare by sound."""

    name: str  # the collection's path as the user gave it
    folder: Path  # the clips' paths are relative to it
    ignored: dict[str, list[str]]  # by extension: files in the folder that are not clips
    store: Store

    def file(self, clip: int) -> Path:
        """Returns the path of a clip's file."""
        return self.folder / self.store.rows[clip].path


@dataclass(frozen=True)
class Contents:
    """Summary of a collection."""

    name: str
    clips: int
    compared: int  # clips that could be compared by sound
    ignored: dict[str, list[str]]  # by extension: files that are not clips
    left_out: dict[str, str]  # reason by path: neither audio nor a spectrogram, damaged, silent
    not_compared: list[str]  # clips shorter than 4 s or uniform, which are compared only byte for byte
    figures: int  # Kaggle's, with only the top 40 of 80 dB: 94 of 103 drawn from known clips matched the audio


@dataclass(frozen=True)
class SharedRecording:
    """A clip and one of another collection with the same recording. The numbers are those of a Match."""

    path: str
    against: str  # the other collection's name
    other: str  # the clip's path in it
    confidence: float
    offset_seconds: float  # how much later than the first clip the other one begins; negative: earlier
    overlap_seconds: float
    same_bytes: bool  # whether the files are equal


@dataclass(frozen=True)
class Comparison:
    """The recordings that a collection shares with others."""

    collection: Contents
    others: list[Contents]
    same_files: int  # number of pairs of a file with itself, which are not listed
    pairs: list[SharedRecording]  # the most certain ones first

    @property
    def shared(self) -> list[str]:
        """The paths of the collection's clips that sound like a clip of another collection, sorted."""
        return sorted({pair.path for pair in self.pairs})

    @property
    def is_blind(self) -> bool:
        """Whether no two clips could be compared by sound."""
        return not (self.collection.compared and any(other.compared for other in self.others))

    def plain(self) -> dict[str, Any]:
        """Converts the comparison to values for JSON."""
        counts = {"clips": self.collection.clips, "shared": len(self.shared), "pairs": len(self.pairs)}
        return {"summary": counts, **asdict(self), "shared": self.shared}


def own_collection(data: DataConfig) -> Collection:
    """Returns the clips of a data set of any class, except those in `data.drop`: all clips below its folder, or with a
    table or tags all that have a genre there.

    Raises GenreclfError as `other_collection` does.
    """
    folder = on_disk(data_folder(data))
    sources, ignored = _below(folder)
    if data.names_artists:
        sources = sources_of(data, folder)
    return _collection(str(data.path), folder, without(sources, data.drop, folder), data, ignored)


def other_collection(path: Path, data: DataConfig) -> Collection:
    """Returns the clips below a folder, in a list of paths (relative to the list's folder), or of a single file.

    Builds their store in the cache of `data` if it does not exist. Raises GenreclfError if a file is missing or there
    is no clip.
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
        fault = f"{len(missing)} of its {len(names)} paths are not files in {path.parent} (first: {missing[0]!r})"
        raise GenreclfError(f"{path}: {fault}; correct them, or name the column of paths path")
    files = dict.fromkeys(filter(None, found))  # a list may name a file twice
    return _collection(str(path), path.parent, [Source(file, "") for file in files], data, {})


def _below(folder: Path) -> tuple[list[Source], dict[str, list[str]]]:
    """Returns the clips below a folder, and the other files. Raises GenreclfError as `contents_below` does."""
    contents = contents_below(folder)
    # The labels are those of a data set without a table, so that both use the same store.
    return [Source(path, path.split("/")[0]) for path in contents.clips], contents.ignored


def _collection(
    name: str, folder: Path, sources: Sequence[Source], data: DataConfig, ignored: dict[str, list[str]]
) -> Collection:
    if not sources:
        raise GenreclfError(f"{name}: no audio file or picture in it; give another")
    store = build_store(folder, sources, data.cache, data.picture_seconds, data.figure_axis)
    return Collection(name, folder, ignored, store)


def compare_collections(one: Collection, others: Sequence[Collection]) -> Comparison:
    """Finds the pairs of a clip in `one` and a clip in one of `others` that hold the same recording."""
    found = [pair for other in others for pair in _pairs(one, other)]
    listed = [pair for pair in found if pair is not None]
    listed.sort(key=lambda pair: (-pair.confidence, pair.path, pair.against, pair.other))
    contents = [_contents(each) for each in (one, *others)]
    return Comparison(contents[0], contents[1:], len(found) - len(listed), listed)


def _pairs(one: Collection, other: Collection) -> list[SharedRecording | None]:
    """Returns the matching pairs, with None for each pair of a file with itself."""
    with progress_bar(f"comparing with {other.name}", "parts") as report:
        matches = find_matches_between(one.store.fingerprints, other.store.fingerprints, report)
    # A match by sound, which comes later, replaces that of equal files.
    found = {(match.first, match.second): match for match in (*equal_files(one.store.rows, other.store.rows), *matches)}
    return [_pair(one, other, match) for match in found.values()]


def _pair(one: Collection, other: Collection, match: Match) -> SharedRecording | None:
    if one.file(match.first).resolve() == other.file(match.second).resolve():
        return None
    first, second = one.store.rows[match.first], other.store.rows[match.second]
    return SharedRecording(
        path=first.path,
        against=other.name,
        other=second.path,
        confidence=round(match.confidence, 4),
        offset_seconds=round(match.offset_seconds, 3),
        overlap_seconds=round(match.overlap_seconds, 3),
        same_bytes=first.digest == second.digest,
    )


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
    """Returns the pairs as CSV: a header with the field names, and a line per pair."""
    head = [field.name for field in fields(SharedRecording)]
    return csv_line(head) + "".join(csv_line([*astuple(pair)[:-1], str(pair.same_bytes).lower()]) for pair in pairs)

"""Unpacks the audio column of a Hugging Face Hub data set, or of a folder in its format, without decoding it."""

import csv
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec

from genreclf.csv_text import csv_line
from genreclf.data.columns import NAMES, meaning_of
from genreclf.data.table import metadata_of
from genreclf.data.tracks import Layout, Track, reading
from genreclf.errors import GenreclfError, explained, missing_package
from genreclf.files import write_atomically
from genreclf.frontend.audio import AUDIO_SUFFIXES
from genreclf.progress import progress_bar
from genreclf.tags.plan import join_genres, split_genres

TABLE, AUDIO = "clips.csv", "audio"
SEVERAL, NO_GENRE = "of several genres", "without a genre"
_MEANINGS = ("artist", "album", "title", "group", "license")
_COLUMNS = ("path", "split", "genre", *_MEANINGS, "left_out")
_SIGNATURES = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg"}  # for files without a name; others are MP3


class Column(NamedTuple):
    """A column's name, and its feature in `datasets`, which describes its values."""

    name: str
    feature: Any

    def texts(self, row: Mapping[str, Any], class_label: type) -> list[str]:
        """Returns the value in a row, or each value of a list, as text. Class numbers become names."""
        value, feature = row[self.name], getattr(self.feature, "feature", self.feature)
        values = [one for one in (value if isinstance(value, list) else [value]) if one is not None]
        if isinstance(feature, class_label):
            return [feature.int2str(one) for one in values if one >= 0]  # type: ignore[attr-defined]
        return [str(one) for one in values if str(one)]


def find(name: str, path: Path, subset: str) -> Layout | None:
    """Finds the data set unpacked below `path`; None unless it is complete."""
    folder = _folder(name, path, subset)
    return Layout(folder / AUDIO, folder) if (folder / TABLE).is_file() else None


def _folder(name: str, path: Path, subset: str) -> Path:
    key = str(Path(name).resolve()) if Path(name).is_dir() else name
    digest = hashlib.sha256(f"{key}\0{subset}".encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return path / "-".join([*re.findall(r"[\w.]+", name)[-2:], digest])


def fetch(name: str, path: Path, subset: str) -> None:
    """Unpacks the data set below `path`. Raises GenreclfError, which names what is missing, if it cannot."""
    folder = _folder(name, path, subset)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        rows = list(_unpacked(name, subset, partial / AUDIO))
        if not rows:
            raise GenreclfError(f"data.name={name}: has no rows; give another data set")
        write_atomically(partial / TABLE, "".join(map(csv_line, [_COLUMNS, *rows])))
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def tracks(layout: Layout, subset: str, split: int) -> dict[str, Track]:
    """Returns the clips by path."""
    with reading(layout.tables / TABLE), (layout.tables / TABLE).open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    return {row["path"]: _track(row) for row in rows}


def _track(row: Mapping[str, str]) -> Track:
    several = row["left_out"] == SEVERAL
    cells = {meaning: row[meaning] for meaning in ("genre", *_MEANINGS)} | ({"genre": ""} if several else {})
    return Track(metadata_of(cells), row["split"], row["left_out"], split_genres(row["genre"]) if several else ())


def _unpacked(name: str, subset: str, folder: Path) -> Iterator[list[str]]:
    """Writes each row's audio to a file, and yields the cells of _COLUMNS."""
    where, datasets = f"data.name={name}", _import_datasets()
    with progress_bar(f"unpacking {name}", "clips") as report:
        done = 0
        for split, rows, columns in _splits(name, subset, datasets):
            (folder / split).mkdir(parents=True)
            for number, row in enumerate(_read(rows, where)):
                content, suffix = _audio(row[columns["audio"].name], name, f"{where}: row {number} of {split}")
                path = f"{split}/{number:07d}{suffix}"
                (folder / path).write_bytes(content)
                yield [path, split, *_cells(row, columns, datasets.ClassLabel)]
                done += 1
                report(done, done)


def _import_datasets() -> Any:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise GenreclfError(f"data=hub: {missing_package(error)}") from error
    return datasets


def _reading(where: str) -> AbstractContextManager[None]:
    """Turns any exception of `datasets` into GenreclfError: each cause (offline, unknown name, ...) raises another."""
    remedy = "check the name, data.subset and the connection, or give a folder of Parquet files"
    return explained(f"{where}: cannot be read", remedy)


def _read(rows: Any, where: str) -> Iterator[dict[str, Any]]:
    """Yields the rows as plain data. In the Arrow format, `datasets` returns audio as stored and needs no decoder."""
    tables = iter(rows.with_format("arrow"))
    while True:
        with _reading(where):
            table = next(tables, None)
        if table is None:
            return
        yield from table.to_pylist()


def _splits(name: str, subset: str, datasets: Any) -> Iterator[tuple[str, Any, dict[str, Column]]]:
    """Yields each split's name, its rows, and its columns by meaning.

    The rows are streamed, because `datasets` would otherwise keep a second copy of all files.
    """
    where = f"data.name={name}"
    with _reading(where):
        loaded = datasets.load_dataset(name, subset or None, streaming=True)
    for split, rows in loaded.items():
        yield re.sub(r"\W", "_", str(split)), rows, _columns(rows.features or {}, datasets, where)


def _columns(features: Mapping[str, Any], datasets: Any, where: str) -> dict[str, Column]:
    """Returns, by meaning, the columns of audio, genres and, if present, artists, albums, titles, groups and licences.

    Raises GenreclfError unless there is exactly one audio column and one column of genres, by its name or because it is
    the only class label.
    """
    audio = [name for name, feature in features.items() if isinstance(feature, datasets.Audio)]
    genres = [name for name in features if name not in audio and meaning_of(name) == "genre"]
    labels = [name for name in genres or features if isinstance(features[name], datasets.ClassLabel)]
    chosen = genres if len(genres) == 1 else labels
    if len(audio) != 1 or len(chosen) != 1:
        has = ", ".join(features) or "none that has a type"
        names_of_genres = ", ".join(NAMES["genre"].split())
        needed = "one column of audio" if len(audio) != 1 else f"one column of genres ({names_of_genres})"
        raise GenreclfError(f"{where}: needs {needed}; its columns: {has}; rename the columns in a copy")
    found = {str(meaning_of(name)): name for name in list(features)[::-1] if meaning_of(name) in _MEANINGS}
    names = {**found, "audio": audio[0], "genre": chosen[0]}
    return {meaning: Column(name, features[name]) for meaning, name in names.items()}


def _audio(value: Any, name: str, where: str) -> tuple[bytes, str]:
    """Returns a file's content, and the extension of its name or else of its content."""
    value = value or {}
    content, path = value.get("bytes"), value.get("path") or ""
    if content is None:
        content = _of_file(path, name, where)
    suffix = PurePosixPath(path).suffix.lower()
    return content, suffix if suffix in AUDIO_SUFFIXES else _SIGNATURES.get(content[:4], ".mp3")


def _of_file(path: str, name: str, where: str) -> bytes:
    """Reads a file that a row refers to. Only the data set's own files are read, whatever the row contains."""
    with _reading(where):
        if Path(name).is_dir() and Path(path).resolve().is_relative_to(Path(name).resolve()):
            return Path(path).read_bytes()
        if not Path(name).is_dir() and path.rpartition("::")[2].startswith(f"hf://datasets/{name}@"):
            with fsspec.open(path, "rb") as file:
                return bytes(file.read())
    raise GenreclfError(f"{where}: contains no audio, and names no file of the data set; remove the row in a copy")


def _cells(row: Mapping[str, Any], columns: Mapping[str, Column], class_label: type) -> list[str]:
    """Returns the cells of the columns genre to left_out."""
    genres = columns["genre"].texts(row, class_label)
    others = ["; ".join(columns[key].texts(row, class_label)) if key in columns else "" for key in _MEANINGS]
    return [join_genres(genres), *others, "" if len(genres) == 1 else SEVERAL if genres else NO_GENRE]

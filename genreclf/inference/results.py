"""Converts predictions to rows of plain data, and rows to a terminal table, JSON, CSV or Parquet."""

import errno
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from genreclf.csv_text import csv_line
from genreclf.errors import GenreclfError, explained
from genreclf.files import is_stream, write_atomically
from genreclf.frontend.object_store import Location
from genreclf.inference.predictor import Prediction
from genreclf.inference.task import MULTILABEL
from genreclf.tags.plan import join_genres
from genreclf.terminal import Kind, print_table
from genreclf.text import one_line, utf8

Row = dict[str, Any]


def file_row(path: Location, result: Prediction | GenreclfError, classes: Sequence[str], segments: bool) -> Row:
    """Returns the result for one file as JSON-like data. `problem` is the reason why a file has no prediction."""
    if isinstance(result, GenreclfError):
        return {"path": str(path), "problem": str(result)}
    return {"path": str(path), **prediction_row(result, classes, segments), "problem": ""}


def prediction_row(prediction: Prediction, classes: Sequence[str], segments: bool) -> Row:
    """Returns a prediction as JSON-like data, with its segments if requested.

    If there is no genre, genre and probability are None and the note has the reason. A clip without music has no
    probabilities or segments. `known` is None if the model does not estimate it. For a multi-label model, there are
    also `genres`, for the clip and for each segment; genre joins all of them, and probability is that of the first.
    """
    several = prediction.task == MULTILABEL
    pieces = [
        {
            "start_seconds": piece.start_seconds,
            "end_seconds": piece.end_seconds,
            **({"genres": list(piece.genres)} if several else {}),
            "probabilities": dict(zip(classes, piece.probabilities, strict=True)),
        }
        for piece in prediction.segments
    ]
    return {
        "genre": prediction.genre or None,
        **({"genres": list(prediction.genres)} if several else {}),
        "probability": prediction.probability if prediction.genre else None,
        "known": prediction.known,
        "probabilities": dict(zip(classes, prediction.probabilities, strict=bool(prediction.probabilities))),
        "seconds": prediction.seconds,
        **({"segments": pieces} if segments else {}),
        "note": "; ".join(filter(None, (prediction.no_genre, prediction.note))),
    }


def show_table(rows: Iterable[Row], top: int, segments: bool) -> None:
    """Prints a line per clip, or per segment, with the `top` most probable genres."""
    columns: list[tuple[str, Kind]] = [("genre", "text"), ("prob.", "number")]
    columns += [("next", "text")] if top > 1 else []
    columns += [("seconds", "number")] if segments else []
    print_table([*columns, ("file", "text")], [cells for row in rows for cells in _cells(row, top, segments)])


def _cells(row: Row, top: int, segments: bool) -> Iterator[list[str]]:
    """Yields the cells of each line for a file."""
    path = f"{row['path']} ({row['note']})" if row.get("note") else row["path"]
    given = [_given(row, piece) for piece in _pieces(row, segments)]
    has_parts = segments and row.get("segments")
    if row["problem"] or not (any(given) or has_parts):
        what = "could not be read" if row["problem"] else "no genre"
        yield [what, *[""] * (1 + (top > 1) + segments), path]
        return
    for piece, genres in zip(_pieces(row, segments), given, strict=True):
        others = [pair for pair in ranked(piece["probabilities"]) if pair not in genres][: max(0, top - len(genres))]
        then = [", ".join(f"{name} {value:.0%}" for name, value in others)] if top > 1 else []
        span = [f"{piece['start_seconds']:.0f}-{piece['end_seconds']:.0f}"] if segments else []
        names = join_genres(name for name, _ in genres) or "no genre"
        yield [names, ", ".join(f"{value:.0%}" for _, value in genres), *then, *span, path]


def _given(row: Row, piece: dict[str, Any]) -> list[tuple[str, float]]:
    """Returns the genres of a clip or segment with their probabilities, the most probable first.

    If the model gives one genre per clip, a segment has a genre only if the clip has one.
    """
    if "genres" in piece:
        return [(name, piece["probabilities"][name]) for name in piece["genres"]]
    return ranked(piece["probabilities"])[:1] if row.get("genre") else []


def ranked(probabilities: Mapping[str, float]) -> list[tuple[str, float]]:
    """Returns the genres with their probabilities, the most probable first."""
    return sorted(probabilities.items(), key=lambda pair: -pair[1])


def show_json(rows: Iterable[Row], out: TextIO) -> None:
    """Writes the rows as a JSON list, each as soon as it comes."""
    before = "["
    for row in rows:
        out.write(before + "\n " + json.dumps(row, indent=1).replace("\n", "\n "))  # no text has a bare line break
        out.flush()
        before = ","
    out.write("[]\n" if before == "[" else "\n]\n")


def show_csv(rows: Iterable[Row], classes: Sequence[str], segments: bool, out: TextIO) -> None:
    """Writes a line per clip or segment, each as soon as it comes, with a column for each class."""
    shown = one_line if out.isatty() else utf8  # programs get names unchanged
    for number, record in enumerate(flat(rows, classes, segments)):
        if not number:
            out.write(csv_line(map(shown, record)))
        out.write(csv_line(shown(value) if isinstance(value, str) else value for value in record.values()))
        out.flush()


def write_parquet(records: Iterable[dict[str, Any]], path: Path, metadata: Mapping[bytes, bytes] | None = None) -> None:
    """Writes `records` as a Parquet file, with `metadata` about all of them.

    Raises GenreclfError if writing fails or pyarrow is not installed.
    """
    check_pyarrow(path)
    import pyarrow as pa  # large, and slow to import: only for Parquet
    from pyarrow import parquet

    written = [
        {utf8(key): utf8(value) if isinstance(value, str) else value for key, value in record.items()}
        for record in records
    ]
    table = pa.Table.from_pylist(written)
    content = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(metadata), content)
    write_output(path, content.getvalue())


def check_output(path: Path | None, parquet: bool = False) -> None:
    """Raises GenreclfError, before long work starts, if the output is a folder, is read-only, or has no folder.

    Also if it is Parquet, whatever its name (`parquet`) or by its suffix, and pyarrow is not installed.
    """
    if path is not None and (parquet or path.suffix == ".parquet"):
        check_pyarrow(path)
    if path is None or is_stream(path):
        return
    folder = Path(os.path.realpath(path)).parent
    if path.is_dir():
        raise GenreclfError(f"{path}: a folder; give the name of a file")
    if not folder.is_dir():
        raise GenreclfError(f"{path}: its folder does not exist; choose another file")
    for what, place in (("its folder", folder), ("it", path)):
        if place.exists() and not os.access(place, os.W_OK):
            raise GenreclfError(f"{path}: {what} is read-only; change its permissions, or choose another file")


def check_output_folder(key: str, folder: Path) -> None:
    """Raises GenreclfError, before long work starts, if the folder that `key` names takes no files."""
    with explained(f"{key}{folder}: cannot be written", "choose another folder", OSError):
        # The folder itself, or the one in which it would be made. A broken link is in the way.
        place = next(place for place in (folder, *folder.parents) if place.is_symlink() or place.exists())
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "read-only")


def check_pyarrow(path: Path) -> None:
    """Raises GenreclfError if pyarrow, which Parquet needs, is not installed."""
    from importlib.util import find_spec  # only for Parquet

    if find_spec("pyarrow") is None:
        raise GenreclfError(f"{path}: Parquet needs pyarrow, which is not installed; pip install pyarrow")


def write_output(path: Path, content: str | bytes) -> None:
    """Writes a file that the user named. Raises GenreclfError if that fails."""
    with explained(f"{path}: cannot be written", "choose another file", OSError):
        write_atomically(path, content)


def flat(rows: Iterable[Row], classes: Sequence[str], segments: bool) -> Iterator[dict[str, Any]]:
    """Yields flat records with equal keys. p_CLASS is a class's probability, or None without a prediction."""
    for row in rows:
        yield from (_record(row, piece, classes, segments) for piece in _pieces(row, segments))


def _pieces(row: Row, segments: bool) -> list[dict[str, Any]]:
    return (row.get("segments") if segments else None) or [row]


def _record(row: Row, piece: dict[str, Any], classes: Sequence[str], segments: bool) -> dict[str, Any]:
    probabilities = piece.get("probabilities", {})
    genres = _given(row, piece)
    spans = {key: piece.get(key) for key in ("start_seconds", "end_seconds")} if segments else {}
    return {
        "path": row["path"],
        "genre": join_genres(name for name, _ in genres) or None,
        "probability": genres[0][1] if genres else None,
        "known": row.get("known"),
        "seconds": row.get("seconds"),
        **spans,
        **{f"p_{name}": probabilities.get(name) for name in classes},
        "note": row.get("note", ""),
        "problem": row["problem"],
    }

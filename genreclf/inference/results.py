"""Answers as rows of plain data, and rows as a table on the terminal, JSON, CSV or Parquet."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from genreclf.errors import GenreclfError
from genreclf.inference.prediction import Prediction

Row = dict[str, Any]


def row_of(path: Path, answer: Prediction | GenreclfError, classes: Sequence[str], segments: bool) -> Row:
    """What is known of one file, its segments if asked for: JSON-like data. `problem` says why there is no answer."""
    if isinstance(answer, GenreclfError):
        return {"path": str(path), "problem": str(answer)}
    return {"path": str(path), **answer_row(answer, classes, segments), "problem": ""}


def answer_row(answer: Prediction, classes: Sequence[str], segments: bool) -> Row:
    """An answer as JSON-like data."""
    pieces = [
        {
            "start_seconds": piece.start_seconds,
            "end_seconds": piece.end_seconds,
            "probabilities": dict(zip(classes, piece.probabilities, strict=True)),
        }
        for piece in answer.segments
    ]
    return {
        "genre": answer.genre,
        "probability": answer.probability,
        "probabilities": dict(zip(classes, answer.probabilities, strict=True)),
        "seconds": answer.seconds,
        **({"segments": pieces} if segments else {}),
        "note": answer.note,
    }


def show_table(rows: Sequence[Row], top: int, segments: bool) -> None:
    """A line a clip, or with `segments` a line for each of its pieces; the `top` most probable genres."""
    table = Table("genre", "", *(["then"] if top > 1 else []))
    if segments:
        table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("file", overflow="fold")
    for row in rows:
        path = f"{row['path']} ({row['note']})" if row.get("note") else row["path"]
        if row["problem"]:
            table.add_row("-", *([""] if top > 1 else []), *([""] if segments else []), "could not be read", path)
            continue
        for piece in row["segments"] if segments else [row]:
            (best, share), *others = ranked(piece["probabilities"])[:top]
            then = [", ".join(f"{name} {share:.0%}" for name, share in others)] if top > 1 else []
            span = [f"{piece['start_seconds']:.0f}-{piece['end_seconds']:.0f}"] if segments else []
            table.add_row(best, f"{share:.0%}", *then, *span, path)
    Console().print(table)


def ranked(probabilities: dict[str, float]) -> list[tuple[str, float]]:
    """Genres and their probabilities, the most probable first."""
    return sorted(probabilities.items(), key=lambda pair: -pair[1])


def show_json(rows: Sequence[Row], out: TextIO) -> None:
    """A list of the rows as they are."""
    json.dump(rows, out, indent=1)
    out.write("\n")


def show_csv(rows: Sequence[Row], classes: Sequence[str], segments: bool, out: TextIO) -> None:
    """A line a clip or segment, with a column for each class."""
    records = flat(rows, classes, segments)
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in record.items()} for record in records)


def write_parquet(rows: Sequence[Row], classes: Sequence[str], segments: bool, path: Path) -> None:
    """The same as `show_csv`, as a Parquet file; raises GenreclfError where it cannot be written."""
    import pyarrow as pa  # only who asks for it waits for it
    from pyarrow import parquet

    try:
        parquet.write_table(pa.Table.from_pylist(flat(rows, classes, segments)), path)
    except OSError as error:
        raise GenreclfError(f"--parquet {path}: cannot be written ({error}); choose another file") from error


def flat(rows: Sequence[Row], classes: Sequence[str], segments: bool) -> list[dict[str, Any]]:
    """Records of plain values, all with the same keys; p_CLASS is a class's probability, None where none is known."""
    return [_record(row, piece, classes, segments) for row in rows for piece in _pieces(row, segments)]


def _pieces(row: Row, segments: bool) -> list[dict[str, Any]]:
    return row["segments"] if segments and not row["problem"] else [row]


def _record(row: Row, piece: dict[str, Any], classes: Sequence[str], segments: bool) -> dict[str, Any]:
    shares = piece.get("probabilities", {})
    best, share = ranked(shares)[0] if shares else (None, None)
    spans = {key: piece.get(key) for key in ("start_seconds", "end_seconds")} if segments else {}
    return {
        "path": row["path"],
        "genre": best,
        "probability": share,
        "seconds": row.get("seconds"),
        **spans,
        **{f"p_{name}": shares.get(name) for name in classes},
        "note": row.get("note", ""),
        "problem": row["problem"],
    }

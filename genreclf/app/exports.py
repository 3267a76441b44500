"""Results as files to download: one model's results as `predict` writes them, two models' with the models' names."""

import io
import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from genreclf.app import words
from genreclf.csv_text import csv_line
from genreclf.inference.results import Row, flat, show_csv, show_json
from genreclf.text import utf8

Classes = Sequence[Sequence[str]]  # the classes of each model


def as_json(labels: Sequence[str], rows: Sequence[Sequence[Row]]) -> str:
    """Returns JSON with an object per song, from (songs, models) rows; two models' results are under their names."""
    if len(labels) == 1:
        text = io.StringIO()
        show_json([row for (row,) in rows], text)
        return text.getvalue()
    songs = [
        {
            "path": of_song[0]["path"],
            "models": {label: _without_path(row) for label, row in zip(labels, of_song, strict=True)},
        }
        for of_song in rows
    ]
    return json.dumps(songs, indent=1) + "\n"


def _without_path(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "path"}


def as_csv(labels: Sequence[str], rows: Sequence[Sequence[Row]], classes: Classes, segments: bool) -> str:
    """Returns CSV with a line per song or per segment, from (songs, models) rows.

    With two models, a line per song has columns for each, whose names begin with the model's name. Lines per segment
    are for one model each, named in the column `model`, because the models' segments may differ.
    """
    text = io.StringIO()
    if len(labels) == 1:
        show_csv([row for (row,) in rows], classes[0], segments, text)
    elif segments:
        _write(text, _by_segment(labels, rows, classes))
    else:
        _write(text, _side_by_side(labels, rows, classes))
    return text.getvalue()


def _by_segment(labels: Sequence[str], rows: Sequence[Sequence[Row]], classes: Classes) -> list[dict[str, Any]]:
    every = list(dict.fromkeys(name for genres in classes for name in genres))
    return [
        {"model": label, **record}
        for of_song in rows
        for label, row in zip(labels, of_song, strict=True)
        for record in flat([row], every, segments=True)
    ]


def _side_by_side(labels: Sequence[str], rows: Sequence[Sequence[Row]], classes: Classes) -> list[dict[str, Any]]:
    records = []
    for of_song in rows:
        record: dict[str, Any] = {"path": of_song[0]["path"]}
        for label, row, genres in zip(labels, of_song, classes, strict=True):
            (values,) = flat([row], genres, segments=False)
            record |= {f"{label}: {key}": value for key, value in values.items() if key != "path"}
        records.append(record)
    return records


def _write(text: io.StringIO, records: list[dict[str, Any]]) -> None:
    text.write(csv_line(map(utf8, records[0])))
    for record in records:
        text.write(csv_line(utf8(value) if isinstance(value, str) else value for value in record.values()))


def downloads(
    key: str,
    stem: str,
    labels: Sequence[str],
    rows: Sequence[Sequence[Row]],
    classes: Classes,
    segments: bool,
    spectrogram: bytes | None = None,
) -> None:
    """Shows the download buttons. `stem` is the beginning of the files' names."""
    files = {
        "JSON": (as_json(labels, rows), ".json", "application/json"),
        "CSV": (as_csv(labels, rows, classes, segments), ".csv", "text/csv"),
    }
    with st.container(horizontal=True):
        for label, (content, suffix, mime) in files.items():
            name = words.file_stem(stem) + suffix
            st.download_button(label, content, name, mime, on_click="ignore", key=f"{key} {label}")
        if spectrogram is not None:
            name = words.file_stem(stem) + ".png"
            st.download_button("Spectrogram (PNG)", spectrogram, name, "image/png", on_click="ignore", key=f"{key} PNG")

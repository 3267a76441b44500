"""Results as files to download: one model's results as `predict` writes them, two models' with the models' names."""

import io
from collections.abc import Sequence

import streamlit as st

from genreclf.app import words
from genreclf.app.results import Classifier
from genreclf.csv_text import csv_line
from genreclf.inference.results import Row, flat, show_json
from genreclf.text import utf8

Classes = Sequence[Sequence[str]]  # the classes of each model


def as_json(labels: Sequence[str], rows: Sequence[Sequence[Row]]) -> str:
    """Returns JSON with an object per song, from (songs, models) rows; two models' results are under their names."""
    text = io.StringIO()
    show_json([of_song[0] if len(labels) == 1 else _by_model(labels, of_song) for of_song in rows], text)
    return text.getvalue()


def _by_model(labels: Sequence[str], of_song: Sequence[Row]) -> Row:
    models = {
        label: {key: value for key, value in row.items() if key != "path"}
        for label, row in zip(labels, of_song, strict=True)
    }
    return {"path": of_song[0]["path"], "models": models}


def as_csv(labels: Sequence[str], rows: Sequence[Sequence[Row]], classes: Classes, segments: bool) -> str:
    """Returns CSV with a line per song or per segment, from (songs, models) rows.

    With two models, a line per song has columns for each, whose names begin with the model's name. Lines per segment
    are for one model each, named in the column `model`, because the models' segments may differ.
    """
    if len(labels) == 1:
        records = list(flat([row for (row,) in rows], classes[0], segments))
    elif segments:
        records = _by_segment(labels, rows, classes)
    else:
        records = [_side_by_side(labels, of_song, classes) for of_song in rows]
    lines = [records[0], *(record.values() for record in records)]
    return "".join(csv_line(utf8(cell) if isinstance(cell, str) else cell for cell in line) for line in lines)


def _by_segment(labels: Sequence[str], rows: Sequence[Sequence[Row]], classes: Classes) -> list[Row]:
    every = list(dict.fromkeys(name for genres in classes for name in genres))
    return [
        {"model": label, **record}
        for of_song in rows
        for label, row in zip(labels, of_song, strict=True)
        for record in flat([row], every, segments=True)
    ]


def _side_by_side(labels: Sequence[str], of_song: Sequence[Row], classes: Classes) -> Row:
    record: Row = {"path": of_song[0]["path"]}
    for label, row, genres in zip(labels, of_song, classes, strict=True):
        (values,) = flat([row], genres, segments=False)
        record |= {f"{label}: {key}": value for key, value in values.items() if key != "path"}
    return record


def downloads(
    key: str, stem: str, classifier: Classifier, rows: Sequence[Sequence[Row]], spectrogram: bytes | None = None
) -> None:
    """Shows the download buttons. `stem` is the beginning of the files' names.

    With a spectrogram, the results are of one song, and the CSV has a line per segment.
    """
    labels, classes, segments = classifier.labels, classifier.classes, spectrogram is not None
    files: list[tuple[str, str, str, str | bytes]] = [
        ("JSON", ".json", "application/json", as_json(labels, rows)),
        ("CSV", ".csv", "text/csv", as_csv(labels, rows, classes, segments)),
    ]
    if spectrogram is not None:
        files.append(("spectrogram (PNG)", ".png", "image/png", spectrogram))
    with st.container(horizontal=True):
        for label, suffix, mime, content in files:
            name = words.file_stem(stem) + suffix
            st.download_button(f"Download {label}", content, name, mime, on_click="ignore", key=f"{key} {label}")

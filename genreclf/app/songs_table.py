"""The component with the table of several songs; a row opens its song. See songs_table.js."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from genreclf.app.components import component
from genreclf.app.time_axis import clock
from genreclf.app.visits import Visit
from genreclf.app.words import percent
from genreclf.inference.results import Row
from genreclf.text import one_line

_KEY = "songs table"


def songs_table(visit: Visit, labels: Sequence[str], rows: dict[str, list[Row]], genres: Sequence[str]) -> None:
    """Shows songs. `rows` has a row per model, or none yet, by the song's id; `labels` are the models' names.

    `genres` are those that a correction may choose.
    """
    unknown = {"answers": ["…"] * len(labels)}
    data = {
        "labels": list(labels) if len(labels) > 1 else ["genre"],
        "genres": list(map(one_line, genres)),
        "songs": [{**unknown, **_line(visit, song, of_song, genres)} for song, of_song in rows.items()],
    }
    component("songs_table")(key=_KEY, data=data, on_act_change=lambda: _act(visit, genres))


def _line(visit: Visit, song: str, of_song: list[Row], genres: Sequence[str]) -> dict[str, Any]:
    """Returns the table's data for one song."""
    first, right = of_song[0] if of_song else {}, visit.corrections.get(song)
    notes = dict.fromkeys(row["problem"].removeprefix(f"{row['path']}: ") or row.get("note", "") for row in of_song)
    return {
        "id": song,
        "name": one_line(visit.songs[song].name),
        **({"answers": [_answer(row) for row in of_song]} if of_song else {}),
        "length": clock(first["seconds"]) if first.get("seconds") else "",
        "note": one_line("; ".join(filter(None, notes))),
        "correctable": any(row.get("probabilities") for row in of_song) and not any("genres" in row for row in of_song),
        "right": -1 if right is None else genres.index(right),
        "open": visit.wanted[:1] == [song],
    }


def _answer(row: Row) -> str:
    if row["problem"]:
        return "not readable"
    names = row.get("genres", [row["genre"]])  # several for a multi-label model, otherwise one
    return one_line(", ".join(f"{name} {percent(row['probabilities'][name])}" for name in names if name)) or "no genre"


def _act(visit: Visit, genres: Sequence[str]) -> None:
    """Applies the user's last action in the table."""
    act = st.session_state[_KEY].get("act") or {}
    song = act.get("song")
    if song not in visit.songs:
        return
    match act.get("kind"):
        case "open":
            visit.wanted = [song]
        case "remove":
            visit.remove(song)
        case "correct":
            visit.correct(song, dict(enumerate(genres)).get(act.get("genre", -1)))

"""Downloads, parsed as a user's programs would."""

import csv
import io
import json

import numpy as np
import pytest

from genreclf.app.exports import as_csv, as_json
from genreclf.app.results import song_row
from genreclf.app.visits import Song
from genreclf.errors import GenreclfError
from genreclf.inference.predictor import Prediction, Segment

LABELS, CLASSES = ["a (pretrained)", 'x, "y"'], [("ska", "dub"), ("dub", "<b>", "raï")]
SONG = Song('=1+1, "quoted"\n.wav', b"1")


def prediction(classes: tuple[str, ...], parts: int, no_genre: str = "") -> Prediction:
    shares = (0.7, *[0.3 / (len(classes) - 1)] * (len(classes) - 1))
    segments = tuple(Segment(float(part), part + 2.0, shares, classes[:1]) for part in range(parts))
    return Prediction(() if no_genre else classes[:1], 0.7, shares, segments, 9.0, "", None, np.zeros(2), no_genre)


@pytest.fixture
def rows():
    """A song with a genre from both models, one whose genre the second model withholds, and an unreadable one."""
    found = [
        [prediction(CLASSES[0], 2), prediction(CLASSES[1], 3)],
        [prediction(CLASSES[0], 1), prediction(CLASSES[1], 1, "none of these genres; nearest: dub")],
        [GenreclfError("c.wav: broken")] * 2,
    ]
    songs = [SONG, Song("b.wav", b"2", synthetic=True), Song("c.wav", b"3")]
    return [
        [song_row(song, result, classes, True) for result, classes in zip(results, CLASSES, strict=True)]
        for song, results in zip(songs, found, strict=True)
    ]


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_two_models_are_both_in_the_json_under_their_names(rows):
    first, second, third = json.loads(as_json(LABELS, rows))
    assert first["path"] == SONG.name and list(first["models"]) == LABELS
    assert first["models"][LABELS[1]]["genre"] == "dub" and len(first["models"][LABELS[1]]["segments"]) == 3
    withheld = second["models"][LABELS[1]]
    assert withheld["genre"] is None and withheld["probability"] is None and "nearest: dub" in withheld["note"]
    assert "synthetic" in withheld["note"] and "synthetic" in second["models"][LABELS[0]]["note"]
    assert all("broken" in model["problem"] for model in third["models"].values())


def test_two_models_are_both_in_each_line_of_the_csv_with_their_names(rows):
    lines = parsed(as_csv(LABELS, rows, CLASSES, segments=False))
    assert [line["path"] for line in lines] == [SONG.name, "b.wav", "c.wav"]
    for label, classes in zip(LABELS, CLASSES, strict=True):
        assert lines[0][f"{label}: genre"] == classes[0]
        assert [float(lines[0][f"{label}: p_{name}"]) for name in classes] == pytest.approx(
            list(rows[0][LABELS.index(label)]["probabilities"].values())
        )
    assert lines[1][f"{LABELS[0]}: genre"] == "ska" and lines[1][f"{LABELS[1]}: genre"] == ""
    assert "none of these" in lines[1][f"{LABELS[1]}: note"] and lines[1][f"{LABELS[1]}: probability"] == ""
    assert "broken" in lines[2][f"{LABELS[0]}: problem"]


def test_segments_of_two_models_have_lines_of_their_own(rows):
    lines = parsed(as_csv(LABELS, rows[:1], CLASSES, segments=True))
    assert [line["model"] for line in lines] == [LABELS[0]] * 2 + [LABELS[1]] * 3
    assert {line["p_raï"] for line in lines[:2]} == {""} and float(lines[2]["p_raï"]) == pytest.approx(0.15)


def test_one_model_is_as_predict_writes_it(rows):
    alone = [[of_song[0]] for of_song in rows]
    assert json.loads(as_json(LABELS[:1], alone)) == [of_song[0] for of_song in rows]
    lines = parsed(as_csv(LABELS[:1], alone, CLASSES[:1], segments=False))
    assert [line["genre"] for line in lines] == ["ska", "ska", ""] and lines[0]["path"] == SONG.name

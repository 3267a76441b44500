import csv
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genreclf.data.table import ClipMetadata, read_genres, read_table
from genreclf.errors import GenreclfError

CLIPS = ["blues/blues.00000.png", "blues/blues00001.wav", "rock/A song, live.mp3"]


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "clips.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_table_by_path(tmp_path):
    path = table(tmp_path, 'path,artist,mood\n"rock/A song, live.mp3", Björk ,calm\nblues/blues.00000.png,,sad\n')
    assert read_table(path, CLIPS) == [ClipMetadata(), ClipMetadata(), ClipMetadata(artist="Björk")]


def test_a_table_by_clip_takes_gtzans_names_however_a_file_spells_them(tmp_path):
    path = table(
        tmp_path,
        "clip,artist,group\nblues.00000,a,1\nblues.00001,b,2\nA song, live,c\n".replace("song, live,c", "song\n"),
    )
    assert read_table(path, CLIPS) == [ClipMetadata("a", "1"), ClipMetadata("b", "2"), ClipMetadata()]


def test_a_file_name_without_suffix_is_a_clips_name(tmp_path):
    path = table(tmp_path, '\ufeffclip,group\r\n"A song, live",live\r\nother,x\r\n')  # as spreadsheets write it
    assert read_table(path, CLIPS) == [ClipMetadata(), ClipMetadata(), ClipMetadata(group="live")]


def test_a_table_may_give_folds_alone(tmp_path):
    path = table(tmp_path, "clip,fold\nblues.00000,3\nblues.00001, 12 \n")
    assert read_table(path, CLIPS) == [ClipMetadata(fold="3"), ClipMetadata(fold="12"), ClipMetadata()]


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("name,artist\nx,y\n", "utf-8", "name, artist; .*path or clip.* genre or artist or group or fold"),
        ("clip,title\nx,y\n", "utf-8", "clip, title; .*genre or artist or group or fold"),
        ("clip;artist\nx;y\n", "utf-8", "clip;artist; .*commas"),
        ("", "utf-8", "none; .*path or clip"),
        ("clip,artist\nrock.1,x\n", "utf-8", "none of its 1 rows .*'rock.1'.*'blues/blues.00000.png'"),
        ("clip,artist\n", "utf-8", "none of its 0 rows"),
        ("clip,artist\nblues.00000,x\nblues.00000,y\n", "utf-8", "two rows for clip 'blues.00000'; delete"),
        ("clip,artist\nblues.00001,x\nblues00001,y\n", "utf-8", "two rows .*'blues00001' and 'blues.00001'; delete"),
        ("clip,artist\nblues.00001,x\n,y\n", "utf-8", "line 3 has no clip; .*delete"),
        ("clip,title,artist\nx,One, Two,y\n", "utf-8", "line 2 .*; put .*quotes"),
        ("clip,artist\nblues.00000,Motörhead\n", "latin-1", "UTF-8"),
    ],
)
def test_an_unusable_table_is_refused_with_a_reason(tmp_path, text, encoding, message):
    with pytest.raises(GenreclfError) as error:
        read_table(table(tmp_path, text, encoding), CLIPS)
    assert str(error.value).startswith(f"data.table={tmp_path}/clips.csv: ") and re.search(message, str(error.value))


def test_a_row_of_two_clips_names_both(tmp_path):
    path = table(tmp_path, "clip,artist\nx,one\n")
    message = r"^data\.table=.*: clip 'x' .*'a/x\.wav' and 'b/x\.png'; use the column path$"
    with pytest.raises(GenreclfError, match=message):
        read_table(path, ["a/x.wav", "b/x.png"])
    with pytest.raises(GenreclfError, match=r"clip 'blues\.00000' .*'blues\.00000\.wav' and 'blues00000\.png'"):
        read_table(table(tmp_path, "clip,artist\nblues.00000,one\n"), ["blues.00000.wav", "blues00000.png"])
    with pytest.raises(GenreclfError, match=r": path 'é\.wav' .*; rename one of them$"):
        read_table(table(tmp_path, "path,artist\né.wav,one\n"), ["é.wav", unicodedata.normalize("NFD", "é.wav")])


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_found_in_either_form_of_its_accents(tmp_path, form):
    text = "path,artist,title,group\nMúsica/Ñandú.wav,Björk,Jóga,é\n"
    path = table(tmp_path, unicodedata.normalize(form, text))
    for clip in ("NFC", "NFD"):
        names = [unicodedata.normalize(clip, "Música/Ñandú.wav")]
        assert read_table(path, names) == [ClipMetadata(artist="Björk", title="Jóga", group="é")]


def test_blank_rows_and_cells_are_ignored(tmp_path):
    path = table(tmp_path, "path,artist,group,\r\nx.wav,one,,\r\n,,,\r\n\r\ny.wav\r\n,,,\r\n")
    assert read_table(path, ["x.wav", "y.wav"]) == [ClipMetadata("one"), ClipMetadata()]


# --- Genres -----------------------------------------------------------------------------------------------------------


def test_without_a_column_of_genres_there_are_none(tmp_path):
    assert read_genres(table(tmp_path, "path,artist\nx.wav,one\n"), ["x.wav"]) is None


def test_clips_without_a_genre_are_skipped_and_reported_once(tmp_path, capsys):
    path = table(
        tmp_path, "path,genre\n" + "".join(f"gone {n}.wav,rock\n" for n in range(5)) + "x.wav, rock \ny.wav,\n"
    )
    for _ in range(2):
        assert read_genres(path, ["x.wav", "y.wav", "z.wav"]) == ["rock", "", ""]
    assert capsys.readouterr().err.splitlines() == [
        f"data.table={path}: 1 clips in data.path have no row and are skipped (first: 'z.wav')",
        f"data.table={path}: 1 clips have no genre and are skipped (first: 'y.wav')",
        f"data.table={path}: 5 rows match no audio file or picture in data.path "
        "(first: 'gone 0.wav', 'gone 1.wav', 'gone 2.wav')",
    ]


def test_a_complete_table_prints_nothing(tmp_path, capsys):
    path = table(tmp_path, "clip,genre,title\nx,rock,One\ny,pop,Two\n")
    assert read_genres(path, ["deep/er/y.wav", "x.png"]) == ["pop", "rock"]
    assert read_table(path, ["deep/er/y.wav"]) == [ClipMetadata(title="Two", genre="pop")]
    assert capsys.readouterr().err == ""


def test_no_clips_at_all_is_one_line(tmp_path):
    with pytest.raises(GenreclfError, match=r"none of its 1 rows .*data\.path.* \(first row: 'x', first clip"):
        read_genres(table(tmp_path, "clip,genre\nx,rock\n"), [])


# What a file may be called and a table in UTF-8 can say.
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(NAMES.map(lambda name: unicodedata.normalize("NFC", name)), st.tuples(*[WORDS] * 4), min_size=1))
def test_what_is_written_is_what_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "clips.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["genre", "title", "path", "artist", "group"])
        writer.writerows([genre, title, name, artist, group] for name, (genre, title, artist, group) in rows.items())
    expected = [[unicodedata.normalize("NFC", word).strip() for word in words] for words in rows.values()]
    metadata = read_table(path, list(rows))
    assert [[one.genre, one.title, one.artist, one.group] for one in metadata] == expected
    assert read_genres(path, list(rows)) == [words[0] for words in expected]


def test_a_missing_table_is_one_line(tmp_path):
    with pytest.raises(GenreclfError, match=r"^data.table=.*nowhere.csv: cannot be read .*$"):
        read_table(tmp_path / "nowhere.csv", CLIPS)

import csv
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genreclf.data import table as tables
from genreclf.data.columns import read_header
from genreclf.data.table import ClipMetadata, check_column, columns_in_use, read_column, read_genres, read_table
from genreclf.errors import GenreclfError

CLIPS = ["blues/blues.00000.png", "blues/blues00001.wav", "rock/A song, live.mp3"]


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "clips.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'path,artist,mood\n"rock/A song, live.mp3", Björk ,calm\nblues/blues.00000.png,,sad\n',
            [{}, {}, {"artist": "Björk"}],
        ),
        # GTZAN's names, however a file spells them
        (
            "clip,artist,group\nblues.00000,a,1\nblues.00001,b,2\nA song\n",
            [{"artist": "a", "group": "1"}, {"artist": "b", "group": "2"}, {}],
        ),
        # As spreadsheets write it; a file name without suffix is a clip's name
        ('\ufeffclip,group\r\n"A song, live",live\r\nother,x\r\n', [{}, {}, {"group": "live"}]),
        ("clip,fold\nblues.00000,3\nblues.00001, 12 \n", [{"fold": "3"}, {"fold": "12"}, {}]),
    ],
)
def test_a_table_by_path_or_by_clip(tmp_path, text, expected):
    assert read_table(table(tmp_path, text), CLIPS) == [ClipMetadata(**cells) for cells in expected]


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("name,artist\nx,y\n", "utf-8", "'name', 'artist'.* path .*filename.* clip .*track"),
        ("clip,tempo\nx,y\n", "utf-8", "'clip', 'tempo'.* genre .*label.* artist .*album .*group .*fold .*split"),
        ("x.wav,rock\ny.wav,jazz\n", "utf-8", "first line .'x.wav', 'rock'"),
        ("", "utf-8", "is empty; give a CSV"),
        ("clip,Artist,artists\nx,y,z\n", "utf-8", "'Artist' and 'artists' both mean artist; delete or rename"),
        ("file;Label;genre\nx;y;z\n", "utf-8", "'Label' and 'genre' both mean genre"),
        ("clip,artist\nrock.1,x\n", "utf-8", "none of its 1 rows .*'rock.1'.*'blues/blues.00000.png'"),
        ("clip,artist\n", "utf-8", "has no rows .*; add one"),
        (
            "clip,artist\nblues.00000,x\nblues.00000,y\n",
            "utf-8",
            "two rows for clip 'blues.00000', with artist 'x' and, in line 3, 'y'; delete",
        ),
        ("clip,artist\nblues.00001,x\nblues00001,y\n", "utf-8", "two rows .*'blues.00001' and 'blues00001'; delete"),
        ("clip,artist\nblues.00001,x\n,y\n", "utf-8", "line 3 has no clip; .*delete"),
        ("clip,title,artist\nx,One, Two,y\n", "utf-8", "line 2 .*; put .*quotes"),
        ("sep=;\nclip;artist\nx;one\n;two\n", "utf-8", "line 4 has no clip"),
        ("clip,artist\nblues.00000,\x81\n", "latin-1", "UTF-8"),  # not a character of Windows-1252
        ("clip,artist\nblues.00000,Motörhead\0\n", "latin-1", "UTF-8"),
        ("clip,artist\nblues.00000,BjÃ¶rk\nblues.00001,Ã\n", "latin-1", "UTF-8"),  # UTF-8 that was cut
        ("\xef\xbb\xbfclip,artist\nblues.00000,Motörhead\n", "latin-1", "UTF-8"),
        (f",{'album,' * 13}{'artist,' * 17}set,set{',track' * 20}\n,comments\n", "utf-8", "FMA's tracks.csv.*track_id"),
        ('clip,artist\nx,"one\ny,two\n', "utf-8", "line 2 has a quote .*; close it"),
        ('clip,artist\nx,"one\ny,"two"\n', "utf-8", "line 2 has a quote .*; close it"),
        ('sep=,\nclip,artist\n"x\nx",a\n"y\ny","one\nz,b\n', "utf-8", "line 6 has a quote .*; close it"),
        ('clip,artist\nx,"one" two\n', "utf-8", "line 2 has a quote .* inside a cell twice"),
        ('clip,"artist\nx,one\ny,two\n', "utf-8", "line 1 has a quote .*; close it"),
        ('"clip,artist\nx,"one"\n', "utf-8", "line 1 has a quote .*; close it"),
        ('sep=;\n"clip"s;artist\nx;one\n', "utf-8", "line 2 has a quote .*; close it"),
        ('clip, "artist"\nx, "one\ny, "two"\n', "utf-8", "line 2 has a quote .*; close it"),
        ("x.wav,rock\n", "utf-8", "add a line .* names"),
        ('<?xml version="1.0"?>\n<plist/>', "utf-8", "is XML.*; export it as CSV"),
        ("TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n", "utf-8", "MTG-Jamendo.*; give data=jamendo"),
    ],
)
def test_an_unusable_table_is_refused_with_a_reason(tmp_path, text, encoding, message):
    with pytest.raises(GenreclfError) as error:
        read_table(table(tmp_path, text, encoding), CLIPS)
    assert str(error.value).startswith(f"data.table={tmp_path}/clips.csv: ") and re.search(message, str(error.value))


def test_a_row_of_two_clips_names_both(tmp_path):
    path = table(tmp_path, "clip,artist\nx,one\n")
    message = r"^data\.table=.*: clip 'x' .*'a/x\.wav' and 'b/x\.png'; give .* whole path"
    with pytest.raises(GenreclfError, match=message):
        read_table(path, ["a/x.wav", "b/x.png"])
    with pytest.raises(GenreclfError, match=r"clip 'blues\.00000' .*'blues\.00000\.wav' and 'blues00000\.png'"):
        read_table(table(tmp_path, "clip,artist\nblues.00000,one\n"), ["blues.00000.wav", "blues00000.png"])
    with pytest.raises(GenreclfError, match=r": path 'é\.wav' .*rename one$"):
        read_table(table(tmp_path, "path,artist\né.wav,one\n"), ["é.wav", unicodedata.normalize("NFD", "é.wav")])
    with pytest.raises(GenreclfError, match=r"two rows for 'x\.wav': 'one/x\.wav' and 'two/x\.wav'"):
        read_table(table(tmp_path, "path,artist\none/x.wav,one\ntwo/x.wav,two\n"), ["x.wav"])


# --- The names of columns and of clips --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["artist", "Artist", "ARTISTS", " artist ", "Artist Name", "artist_id", "Performer", "Bands"]
)
def test_a_column_is_taken_under_any_usual_name(tmp_path, capsys, name):
    path = table(tmp_path, f"clip,{name}\nblues.00000,Björk\n")
    assert read_table(path, CLIPS)[0] == ClipMetadata(artist="Björk")
    told = capsys.readouterr().err
    assert told == ("" if name == "artist" else f"data.table={path}: uses {name!r} as artist\n")


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        ("album_artist,tempo,key", "one"),
        ("album_artist,artist,key", "two"),
        ("artist_name,artist_id,albumartist", "one"),
        ("artist_id,Album Artists,artist", "three"),
    ],
)
def test_the_artist_of_an_album_and_an_id_are_the_artist_where_nothing_else_is(tmp_path, capsys, columns, taken):
    path = table(tmp_path, f"clip,{columns}\nblues.00000,one,two,three\n")
    assert read_table(path, CLIPS)[0].artist == taken
    told = capsys.readouterr().err
    assert all(repr(name) in told for name in columns.split(",") if name != "artist")


def test_an_index_without_a_name_is_the_path_where_no_other_column_is(tmp_path, capsys):
    assert read_genres(table(tmp_path, ",genre\nblues/blues00001.wav,rock\n"), CLIPS) == ["", "rock", ""]
    assert "uses '' as path" in capsys.readouterr().err
    assert read_genres(table(tmp_path, ",clip,genre\n0,blues.00001,rock\n"), CLIPS) == ["", "rock", ""]


@pytest.mark.parametrize(
    "path",
    [
        "file://localhost/C:/Music/rock/A%20song%2C%20live.mp3",
        "https://host/rock/A%20song,%20live.mp3?dl=1#t=3",
        "file:///m/A%20song,%20live.flac",
    ],
)
def test_an_address_is_the_path_in_it(tmp_path, path):
    assert read_genres(table(tmp_path, f'path,genre\n"{path}",rock\n'), CLIPS) == ["", "", "rock"]


@pytest.mark.parametrize(
    "header", ["File Name,Class", "filepath,LABEL", "track_id,genres", "Clip,Category", "files,styles"]
)
def test_keys_and_genres_have_other_names_too(tmp_path, header):
    assert read_genres(table(tmp_path, f"{header}\nblues.00000,rock\n"), CLIPS[:1]) == ["rock"]


def test_columns_of_no_known_meaning_are_told_once_in_one_line(tmp_path, capsys):
    path = table(tmp_path, "file,artist,Interpreter,tempo,,clip\nblues.00000.png,a,b,120,,7\n")
    for _ in range(2):
        assert read_table(path, CLIPS)[0] == ClipMetadata(artist="a")
    told = f"data.table={path}: uses 'file' as path; ignores 'Interpreter', 'tempo', 'clip'\n"
    assert capsys.readouterr().err == told


def test_of_many_columns_a_few_are_named_and_all_counted(tmp_path, capsys):
    others = ",".join(f"x{number}" for number in range(500))
    read_table(table(tmp_path, f"path,artist,{others}\n{CLIPS[0]},a\n"), CLIPS)
    told = capsys.readouterr().err
    assert "500 columns" in told and "'x0'" in told and "x499" not in told
    with pytest.raises(GenreclfError) as error:
        read_table(table(tmp_path, f"{others}\n"), CLIPS)
    assert "'x0'" in str(error.value) and "x499" not in str(error.value)


def test_any_column_can_be_read(tmp_path):
    path = table(
        tmp_path, "file,Label,Source,d.e.c.a.d.e\nblues.00000.png,blues, radio ,1990s\nblues00001.wav,blues,,\n"
    )
    assert read_column(path, CLIPS, "Source") == read_column(path, CLIPS, "source") == ["radio", "", ""]
    assert read_column(path, CLIPS, "Decade") == ["1990s", "", ""]
    assert read_column(path, CLIPS, "genre") == read_column(path, CLIPS, "Label") == ["blues", "blues", ""]


def test_a_column_that_is_not_in_the_table_is_refused_with_those_that_are(tmp_path):
    path = table(tmp_path, "path,genre,mood,Mood\nx.wav,rock,sad,glad\n")
    assert read_column(path, ["x.wav"], "Mood") == ["glad"]
    for name, fault in (("tempo", "no column 'tempo'"), ("MOOD", "2 columns 'MOOD'"), ("", "no column ''")):
        with pytest.raises(GenreclfError) as error:
            check_column(path, name)
        assert str(error.value) == f"data.table={path}: has {fault}; its columns: 'path', 'genre', 'mood', 'Mood'"


def test_a_column_in_use_is_not_ignored(tmp_path, capsys):
    path = table(tmp_path, "path,artist,tempo,Source\nx.wav,one,120,radio\n")
    with columns_in_use(["source"]):
        read_table(path, ["x.wav"])
    assert capsys.readouterr().err == f"data.table={path}: ignores 'tempo'\n"
    read_table(path, ["x.wav"])
    assert capsys.readouterr().err == f"data.table={path}: ignores 'tempo', 'Source'\n"


@given(st.lists(st.sampled_from(["Artist", "band", "genre", "Label", "fold", "Split", "mood", "album"]), unique=True))
def test_every_column_is_taken_told_or_refused(tmp_path_factory, names):
    path = table(
        tmp_path_factory.mktemp("columns"), ",".join(["path", *names]) + "\n" + ",".join(["x.wav", *names]) + "\n"
    )
    pairs = [pair for pair in (("Artist", "band"), ("genre", "Label"), ("fold", "Split")) if {*pair} <= {*names}]
    if pairs or not {*names} - {"mood"}:
        with pytest.raises(GenreclfError) as error:
            read_table(path, ["x.wav"])
        assert not pairs or any(all(map(str(error.value).count, map(repr, pair))) for pair in pairs)
        return
    (found,) = read_table(path, ["x.wav"])
    grouped = {"album"} if not {"Artist", "band"} & {*names} else set()
    cells = {found.artist, found.genre, found.fold, found.group.removeprefix("album ")}
    assert cells - {""} == {*names} - {"mood", "album"} | (grouped & {*names})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encodings_and_delimiters_of_spreadsheets(tmp_path, encoding, delimiter):
    rows = [["Artist", "Clip", "Title"], ["Motörhead, live", "blues.00000", "Ace; of | Spades"]]
    path = tmp_path / "clips.csv"
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    assert read_table(path, CLIPS)[0] == ClipMetadata(artist="Motörhead, live", title="Ace; of | Spades")
    path.write_bytes(f"sep={delimiter}\r\n".encode(encoding) + path.read_bytes())
    if encoding == "utf-8":
        assert read_table(path, CLIPS)[0].artist == "Motörhead, live"


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@pytest.mark.parametrize("artist", ["Motörhead", "Beyoncé", "Ænima Ñandú", "Blue Öyster Cult à la façon"])
def test_western_spreadsheets_without_unicode_are_read_and_told(tmp_path, capsys, encoding, artist):
    path = table(tmp_path, f"clip;artist\r\nblues.00000;{artist}\r\n", encoding)
    assert read_table(path, CLIPS)[0] == ClipMetadata(artist=artist)
    told = capsys.readouterr().err
    assert told.startswith(f"data.table={path}: ") and "Windows-1252" in told and told.count("\n") == 1


def test_typographic_marks_of_windows_are_read(tmp_path):
    path = table(tmp_path, "clip,title\nblues.00000,“It’s” – 5 €\n", "cp1252")
    assert read_table(path, CLIPS)[0].title == "“It’s” – 5 €"


@pytest.mark.parametrize(
    ("column", "names", "clips"),
    [
        ("path", ["Data/rock/00.wav", "Data/jazz/00.wav"], ["rock/00.wav", "jazz/00.wav"]),
        ("path", ["C:\\music\\rock\\00.WAV", "C:\\music\\jazz\\00.WAV"], ["rock/00.wav", "jazz/00.wav"]),
        ("path", ["./rock/00.wav", "./jazz/00.wav"], ["rock/00.wav", "jazz/00.wav"]),
        ("filename", ["a.wav", "b.wav"], ["rock/a.wav", "jazz/b.wav"]),
        ("filename", ["blues.00000.wav", "rock.00000.wav"], ["blues/blues00000.png", "rock/rock00000.png"]),
        ("clip", ["a.mp3", "b.mp3"], ["rock/a.wav", "jazz/b.wav"]),
        ("track_id", ["2", "134"], ["000/000002.mp3", "000/000134.mp3"]),
        ("clip", ["blues.00000.0", "blues.00000.1"], ["blues/blues.00000.0.wav", "blues/blues.00000.1.wav"]),
        ("id", ["Mr. Smith", "Mrs. Smith"], ["Mr. Smith.wav", "Mrs. Smith.wav"]),
        ("id", ["2.0", "134.0"], ["000/000002.mp3", "000/000134.mp3"]),  # as pandas writes a column with a gap
        ("path", ["rock/a.wav", "./jazz\\B.wav "], ["rock/a.wav", "jazz/b.wav"]),
        ("file", ["Rock/a.wav", "rock/a.wav"], ["Rock/a.wav", "rock/a.wav"]),
    ],
)
def test_clips_are_found_by_the_strictest_form_of_their_names_that_fits(tmp_path, column, names, clips):
    path = table(tmp_path, f"{column},artist\n" + "".join(f"{name},{number}\n" for number, name in enumerate(names)))
    assert [one.artist for one in read_table(path, clips)] == ["0", "1"]


def test_a_whole_path_that_fits_is_not_replaced_by_a_looser_form(tmp_path):
    path = table(tmp_path, "path,artist\nrock/a.wav,one\njazz/b.wav,two\n")
    assert [one.artist for one in read_table(path, ["rock/a.wav", "other/b.wav"])] == ["one", ""]


# --- What stands for nothing ------------------------------------------------------------------------------------------

NOBODY = [
    "Unknown Artist",
    "<unknown>",
    "Various Artists",
    "VA",
    "V.A.",
    "n/a",
    "-",
    "none",
    "NaN",
    "?",
    "unknown artists",
]


@pytest.mark.parametrize("name", NOBODY)
def test_a_name_of_nobody_is_no_artist(tmp_path, name):
    path = table(tmp_path, f"clip,artist,title\nblues.00000,{name},None\n")
    assert read_table(path, CLIPS)[0] == ClipMetadata(title="None")


def test_cells_that_hold_no_value_are_no_genre_fold_or_group(tmp_path):
    rows = "a.wav,nan,NaN,N/A,null\nb.wav,-,?,<NA>,na\nc.wav,unknown,1,x,y\n"
    path = table(tmp_path, "path,genre,fold,group,album\n" + rows)
    found = read_table(path, ["a.wav", "b.wav", "c.wav"])
    assert found == [ClipMetadata(), ClipMetadata(), ClipMetadata(genre="unknown", fold="1", group="x")]


def test_a_list_of_genres_in_one_cell_is_refused(tmp_path):
    path = table(tmp_path, "path,genre\nx.wav,\"['rock', 'pop']\"\n")
    with pytest.raises(GenreclfError, match=r"^data.table=.*rock.*pop.* is a list.*rock;pop"):
        read_genres(path, ["x.wav"], task="multilabel")


@pytest.mark.parametrize("header", ["Datei;Künstler", "Dateiname;Interpret", "fichier;Artiste", "Archivo;artistas"])
def test_columns_may_have_their_names_in_other_languages(tmp_path, header):
    for form in ("NFC", "NFD"):
        path = table(tmp_path, unicodedata.normalize(form, header) + "\nblues.00000.png;Björk\n")
        assert read_table(path, CLIPS)[0].artist == "Björk"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04\x14\0\x06\0", "a spreadsheet"),
        (b"PAR1\x15\0\x15", "a Parquet file"),
        (b'[\n {"path": "x.wav", "artist": "one"}\n]', "JSON"),
        (b'{"path": "x.wav", "artist": "one"}\n{"path": "y.wav", "artist": "two"}\n', "JSON"),
    ],
)
def test_tables_in_other_formats_are_named(tmp_path, content, kind):
    (tmp_path / "clips").write_bytes(content)
    with pytest.raises(GenreclfError) as error:
        read_table(tmp_path / "clips", ["x.wav"])
    assert str(error.value) == f"data.table={tmp_path}/clips: is {kind}; export it as CSV"


def test_a_cell_may_hold_a_book(tmp_path):
    path = table(tmp_path, f"path,artist,lyrics\nx.wav,one,{'la ' * 100_000}\n")
    assert read_table(path, ["x.wav"])[0].artist == "one"


def test_a_row_that_is_there_twice_is_read_once(tmp_path):
    path = table(tmp_path, "path,artist\nx.wav,one\ny.wav,two\nx.wav, one\n")
    assert [one.artist for one in read_table(path, ["x.wav", "y.wav"])] == ["one", "two"]


@pytest.mark.parametrize("name", ["The Unknown", "Nana", "Various Cruelties", "Nada Surf", "None More Black"])
def test_artists_with_such_words_are_artists(tmp_path, name):
    assert read_table(table(tmp_path, f"clip,artist\nblues.00000,{name}\n"), CLIPS)[0].artist == name


def test_an_album_is_the_group_where_neither_artist_nor_group_is_known(tmp_path):
    rows = "a.wav,,Live,\nb.wav,VA,Live,\nc.wav,one,Live,\nd.wav,,Live,set\ne.wav,,n/a,-\n"
    path = table(tmp_path, "path,artist,album,group\n" + rows)
    groups = [one.group for one in read_table(path, [f"{name}.wav" for name in "abcde"])]
    assert groups[0] == groups[1] != "" and groups[2:] == ["", "set", ""]


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
        "(first: 'gone 0.wav', 'gone 1.wav', 'gone 2.wav', ...)",
    ]


def test_a_complete_table_prints_nothing(tmp_path, capsys):
    path = table(tmp_path, "clip,genre,title\nx,rock,One\ny,pop,Two\n")
    assert read_genres(path, ["deep/er/y.wav", "x.png"]) == ["pop", "rock"]
    assert read_table(path, ["deep/er/y.wav"]) == [ClipMetadata(title="Two", genre="pop")]
    assert capsys.readouterr().err == ""


def test_no_clips_at_all_is_one_line(tmp_path):
    with pytest.raises(GenreclfError, match=r"none of its 1 rows .*data\.path.* \(first row: 'x', first clip"):
        read_genres(table(tmp_path, "clip,genre\nx,rock\n"), [])


def test_clips_and_rows_that_do_not_fit_are_told_without_genres_too(tmp_path, capsys):
    path = table(tmp_path, "path,artist\nx.wav,one\ngone.wav,two\n")
    assert read_genres(path, ["x.wav", "y.wav"]) is None
    told = capsys.readouterr().err
    assert "1 clips in data.path have no row (first: 'y.wav')" in told and "(first: 'gone.wav')" in told


# File names that a table in UTF-8 can contain
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMED = WORDS.map("x {}".format)  # no word that stands for an unknown one


@given(
    st.dictionaries(
        NAMES.map(lambda name: unicodedata.normalize("NFC", name)),
        st.tuples(NAMED, WORDS, NAMED, NAMED),
        min_size=1,
    )
)
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
    assert read_column(path, list(rows), "title") == [words[1] for words in expected]


def test_a_missing_table_is_one_line(tmp_path):
    with pytest.raises(GenreclfError, match=r"^data.table=.*nowhere.csv: no such file; give "):
        read_table(tmp_path / "nowhere.csv", CLIPS)


PARTS = st.sampled_from(
    ["path", "Clip", "artist", "x.wav", '"', ",", ";", "\t", "\n", "\r\n", "\0", "sep=;", "\ufeff", "é", " "]
)


@given(st.binary(max_size=60) | st.lists(PARTS, max_size=20).map(lambda parts: "".join(parts).encode()))
def test_any_file_is_read_or_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("table") / "clips.csv"
    for encoded in (content, content.decode(errors="replace").encode("utf-16")):
        path.write_bytes(encoded)
        for read in (read_table, read_genres):
            try:
                read(path, ["x.wav", "a/y.wav"])
            except GenreclfError as error:
                assert str(error).startswith(f"data.table={path}: ") and "\n" not in str(error)


@pytest.mark.parametrize(
    "content",
    [
        "path,artist\nx.wav,Ann\n".encode("utf-32"),
        b"SEP=\t\r\npath\tartist\r\nx.wav\tAnn\r\n",
        b"Sep=;\rpath;artist\rx.wav;Ann\r",
        b'path, "title", artist\nx.wav, "One, ""two""", "Ann"\n',
        b'"path","artist"\n"x.wav",  "Ann"\n',
    ],
)
def test_rarer_forms_of_spreadsheets_files(tmp_path, content):
    (tmp_path / "clips.csv").write_bytes(content)
    assert [one.artist for one in read_table(tmp_path / "clips.csv", ["x.wav"])] == ["Ann"]


def test_a_table_is_parsed_once_and_again_only_if_its_content_changes(tmp_path, monkeypatch):
    parsed = []
    monkeypatch.setattr(tables, "read_header", lambda text: parsed.append(text.text) or read_header(text))
    file = table(tmp_path, "path,genre,artist\nrock/A song.mp3,rock,x\n")
    paths = ["rock/A song.mp3"]
    assert read_genres(file, paths) == ["rock"] and read_table(file, paths)[0].artist == "x"
    table(tmp_path, "path,genre,artist\nrock/A song.mp3,rock,y\n")  # as long, and perhaps as old
    assert read_table(file, paths)[0].artist == "y" and len(parsed) == 2

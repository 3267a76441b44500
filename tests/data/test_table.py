from pathlib import Path

import pytest

from genreclf.data.table import Facts, read_table
from genreclf.errors import GenreclfError

CLIPS = ["blues/blues.00000.png", "blues/blues00001.wav", "rock/A song, live.mp3"]


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "clips.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_table_by_path(tmp_path):
    path = table(tmp_path, 'path,artist,mood\n"rock/A song, live.mp3", Björk ,calm\nblues/blues.00000.png,,sad\n')
    assert read_table(path, CLIPS) == [Facts(), Facts(), Facts(artist="Björk")]


def test_a_table_by_clip_takes_gtzans_names_however_a_file_spells_them(tmp_path):
    path = table(
        tmp_path,
        "clip,artist,group\nblues.00000,a,1\nblues.00001,b,2\nA song, live,c\n".replace("song, live,c", "song\n"),
    )
    assert read_table(path, CLIPS) == [Facts("a", "1"), Facts("b", "2"), Facts()]


def test_a_file_name_without_suffix_is_a_clips_name(tmp_path):
    path = table(tmp_path, '\ufeffclip,group\r\n"A song, live",live\r\nother,x\r\n')  # as spreadsheets write it
    assert read_table(path, CLIPS) == [Facts(), Facts(), Facts(group="live")]


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("name,artist\nx,y\n", "utf-8", "has the columns name, artist; it needs path or clip, and artist or group"),
        ("clip,title\nx,y\n", "utf-8", "it needs path or clip, and artist or group"),
        ("", "utf-8", "has the columns none"),
        ("clip,artist\nrock.1,x\n", "utf-8", "none of its 1 rows is of a clip in data.path (first row: 'rock.1'"),
        ("clip,artist\n", "utf-8", "none of its 0 rows"),
        ("clip,artist\nblues.00000,x\nblues.00000,y\n", "utf-8", "two rows for clip 'blues.00000'"),
        ("clip,artist\nblues.00000,Motörhead\n", "latin-1", "give a CSV file in UTF-8"),
    ],
)
def test_a_table_that_cannot_serve_says_why(tmp_path, text, encoding, message):
    with pytest.raises(GenreclfError) as error:
        read_table(table(tmp_path, text, encoding), CLIPS)
    assert message in str(error.value) and str(error.value).startswith(f"data.table={tmp_path}")


def test_a_missing_table_is_one_line(tmp_path):
    with pytest.raises(GenreclfError, match=r"^data.table=.*nowhere.csv: cannot be read .*$"):
        read_table(tmp_path / "nowhere.csv", CLIPS)

"""data=tags: genres and artists from the tags of small real files, and tables that correct them."""

import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_config import data_config
from tiny_sounds import tiny_sound

from genreclf.data.build_store import prepared_store
from genreclf.data.data_folder import data_folder
from genreclf.data.membership import membership
from genreclf.data.sources import sources_of, tag_counts
from genreclf.data.split import SplitConfig, members
from genreclf.errors import GenreclfError
from genreclf.inference.task import MULTILABEL

mutagen = pytest.importorskip("mutagen")

# By path: genres, artist, album, title
MUSIC = {
    "a/1.flac": (["Hip-Hop"], "One", "", "First"),
    "a/2.flac": (["hip hop"], "one", "", "Second"),
    "a/3.ogg": (["Rap"], "Unknown Artist", "Sampler", "Third"),
    "b/4.flac": (["Heavy Metal"], "Two", "", "First"),
    "b/1.flac": (["metal"], "Various Artists", "Sampler", ""),
    "b/6.ogg": (["Techno"], "Three", "", ""),
    "7.flac": ([], "Two", "", ""),
    "8.flac": (["Rock", "Pop"], "", "", ""),
    "9.flac": (["R&B"], "", "", ""),
}
WITH_MAP = {"a/1.flac": "hiphop", "a/2.flac": "hiphop", "a/3.ogg": "hiphop", "b/4.flac": "metal", "b/1.flac": "metal"}
WITHOUT = {path: genres[0] for path, (genres, *_) in MUSIC.items() if genres} | {"a/2.flac": "Hip-Hop"}

PLAN = "path,action,genre,probability,known,present,correct,note"


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    folder, rng = tmp_path_factory.mktemp("tagged"), np.random.default_rng(0)
    for path, (genres, artist, album, title) in MUSIC.items():
        (folder / path).parent.mkdir(exist_ok=True)
        soundfile.write(folder / path, tiny_sound("noise", 1.5, rng), 22_050)
        tags = mutagen.File(folder / path)
        tags.update({"genre": genres, "artist": artist, "album": album, "title": title})
        tags.save()
    (folder / "broken.flac").write_bytes(b"fLaC\0\0\0\x22cut")
    return folder


def labels(music: Path, tmp_path: Path, **values) -> dict[str, str]:
    data = data_config("tags", path=music, cache=tmp_path, **values)
    return {source.path: source.label for source in sources_of(data, data_folder(data))}


def table(folder: Path, *rows: str) -> Path:
    file = folder / "corrections.csv"
    file.write_text("\n".join(rows) + "\n")
    return file


def test_the_classes_are_those_of_the_tags(music, tmp_path):
    assert labels(music, tmp_path) == WITHOUT
    assert labels(music, tmp_path, genre_map="gtzan") == WITH_MAP
    file = tmp_path / "map.csv"
    file.write_text("tag,genre\nhip hop,beats\nr&b,soul\nrap,\ntechno,none\n")
    mine = {"a/1.flac": "beats", "a/2.flac": "beats", "9.flac": "soul"}
    assert labels(music, tmp_path, genre_map=str(file)) == mine
    assert labels(music, tmp_path, genre_map=str(file), none="noise") == mine | {"b/6.ogg": "noise"}


def test_what_was_taken_and_what_was_left_out_is_told(music, tmp_path, capsys):
    """Files are counted, and tags are shown unchanged."""
    labels(music, tmp_path, genre_map="gtzan")
    told = capsys.readouterr().err
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in told.splitlines() if "│" in line]
    rows = {genre: counts for genre, *counts in lines}
    assert rows == {
        "hiphop": ["3", "Hip-Hop 1, Rap 1, hip hop 1"],
        "metal": ["2", "Heavy Metal 1, metal 1"],
        "left out: genre not in data.genre_map": ["1", "R&B 1"],
        "left out: no genre in its tags": ["1", ""],
        "left out: none of the genres (data.none=none trains with them)": ["1", "Techno 1"],
        "left out: tags cannot be read": ["1", ""],
        "left out: tags of several genres": ["1", "Rock; Pop 1"],
    }
    assert f"{music / 'broken.flac'}: " in told
    assert sum(int(count) for count, _ in rows.values()) == len(MUSIC) + 1


def test_a_table_overrides_the_tags_and_leaves_the_others(music, tmp_path):
    """Rows may have whole paths or only file names. A row without a genre has no effect."""
    file = table(tmp_path, "genre;path", "Rap;9.flac", "metal;a/2.flac", ";a/1.flac")
    expected = WITH_MAP | {"9.flac": "hiphop", "a/2.flac": "metal"}
    assert labels(music, tmp_path, genre_map="gtzan", table=file) == expected
    file = table(tmp_path, "path,genre", "4.flac,hip-hop", "6.ogg,Polka")
    found = labels(music, tmp_path, table=file)
    assert found == WITHOUT | {"a/1.flac": "hip-hop", "a/2.flac": "hip-hop", "b/4.flac": "hip-hop", "b/6.ogg": "Polka"}


def test_with_several_labels_a_clip_has_all_genres_of_its_tags(music, tmp_path):
    """Also from tables, such as a plan's corrections. Files are counted once per genre."""
    several = {"task": MULTILABEL, "genre_map": "gtzan"}
    assert labels(music, tmp_path, task=MULTILABEL) == WITHOUT | {"8.flac": "Pop; Rock"}
    assert labels(music, tmp_path, **several) == WITH_MAP | {"8.flac": "pop; rock"}
    file = table(tmp_path, PLAN, "a/1.flac,write,rock,0.9,0.8,,,", "7.flac,skip,,,,,Polka; Rap,")
    expected = WITH_MAP | {"8.flac": "pop; rock", "7.flac": "Polka; hiphop"}
    assert labels(music, tmp_path, table=file, **several) == expected
    counts = tag_counts(data_config("tags", path=music, cache=tmp_path, table=file, **several))["genres"]
    assert counts["hiphop"] == {"Hip-Hop": 1, "hip hop": 1, "Rap": 1, "data.table": 1}
    assert counts["Polka"] == {"data.table": 1} and counts["pop"] == counts["rock"] == {"Rock; Pop": 1}
    folder = data_config("folder", path=music, cache=tmp_path, table=file, task=MULTILABEL)
    assert [source.label for source in sources_of(folder, music)] == ["Polka; Rap"]
    spelled = table(tmp_path, "path,genre", "7.flac,hip-hop;pop")
    assert labels(music, tmp_path, task=MULTILABEL, table=spelled) == WITHOUT | {
        "7.flac": "hip-hop; pop",
        "8.flac": "Rock; pop",
        "a/1.flac": "hip-hop",
        "a/2.flac": "hip-hop",
    }


def test_an_ambiguous_file_name_is_refused_with_both_files(music, tmp_path):
    with pytest.raises(GenreclfError) as error:
        labels(music, tmp_path, table=table(tmp_path, "path,genre", "1.flac,Polka"))
    assert "'a/1.flac'" in str(error.value) and "'b/1.flac'" in str(error.value)


def test_of_a_plan_only_what_a_person_wrote_counts(music, tmp_path, capsys):
    rows = ["a/1.flac,write,rock,0.9,0.8,,,", "7.flac,skip,,,,,Polka; Waltz,", "a/2.flac,keep,pop,0.5,,x,Polka,mine"]
    file = table(tmp_path, PLAN, *rows)
    assert labels(music, tmp_path, table=file) == WITHOUT | {"7.flac": "Polka", "a/2.flac": "Polka"}
    assert "plan of genreclf tag" in capsys.readouterr().err
    folder = data_config("folder", path=music, cache=tmp_path, table=table(tmp_path, PLAN, *rows, "9.flac,,,,,,Soul,"))
    found = {source.path: source.label for source in sources_of(folder, music)}
    assert found == {"7.flac": "Polka", "a/2.flac": "Polka", "9.flac": "Soul"}


def test_a_plan_in_which_nobody_wrote_anything_is_refused(music, tmp_path):
    file = table(tmp_path, PLAN, "a/1.flac,write,rock,0.9,0.8,,,", "7.flac,skip,,,,, ,")
    for name in ("tags", "folder"):
        data = data_config(name, path=music, cache=tmp_path, table=file)
        with pytest.raises(GenreclfError, match=r"data\.table=.*'correct' is empty; write"):
            sources_of(data, music)


def test_a_column_that_says_whether_a_prediction_is_correct_is_no_genre(music, tmp_path):
    file = table(tmp_path, "path,genre,correct", "7.flac,Polka,True", "a/2.flac,Waltz,False")
    expected = WITHOUT | {"7.flac": "Polka", "a/2.flac": "Waltz", "a/1.flac": "Hip-Hop"}
    assert labels(music, tmp_path, table=file) == expected


def test_artists_albums_and_titles_are_those_of_a_table_with_the_same_cells(music, tmp_path):
    """Groups and split are the same as for data=folder with a CSV of the same values."""
    file = tmp_path / "clips.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("path", "genre", "artist", "album", "title"))
        writer.writerows((path, WITHOUT[path], *MUSIC[path][1:]) for path in WITHOUT)
    split, found = SplitConfig("all"), []
    for name, given in (("tags", None), ("folder", file)):
        data = data_config(name, path=music, cache=tmp_path, table=given)
        rows = prepared_store(data).rows
        member = membership(rows, data, split)
        assert [rows[clip].label for clip in member.clips] == [WITHOUT[rows[clip].path] for clip in member.clips]
        found.append(([rows[clip].path for clip in member.clips], member.groups, member.metadata))
    paths, groups, _ = found[0]
    by_group = Counter(frozenset(paths[clip] for clip in clips) for clips in members(groups))
    assert by_group[frozenset({"a/1.flac", "a/2.flac"})] == by_group[frozenset({"a/3.ogg", "b/1.flac"})] == 1
    assert found[0][:2] == found[1][:2]
    assert [one.artist.casefold() for one in found[0][2]] == [one.artist.casefold() for one in found[1][2]]


def test_a_tag_that_changes_is_read_again(music, tmp_path):
    path = music / "b" / "6.ogg"
    before = path.stat()
    try:
        tags = mutagen.File(path)
        tags["genre"] = "Tekhno"  # of the same length
        tags.save()
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_size != before.st_size or path.stat().st_ctime_ns != before.st_ctime_ns
        assert labels(music, tmp_path)["b/6.ogg"] == "Tekhno"
    finally:
        tags["genre"] = "Techno"
        tags.save()


def test_markup_and_hidden_characters_in_tags_are_shown_as_text(music, tmp_path, capsys):
    hostile = "[red]\x1b[31m<b>"
    tags = mutagen.File(music / "9.flac")
    tags["genre"] = hostile
    tags.save()
    try:
        assert labels(music, tmp_path)["9.flac"] == hostile
        told = capsys.readouterr().err
        assert "[red]\\x1b[31m<b>" in told and "\x1b" not in told
    finally:
        tags["genre"] = "R&B"
        tags.save()


@pytest.mark.parametrize("genre_map", ["gtzan", None])
def test_too_few_genres_are_refused_with_the_remedy(genre_map, tmp_path):
    soundfile.write(tmp_path / "x.flac", tiny_sound("noise", 1.5, np.random.default_rng(0)), 22_050)
    with pytest.raises(GenreclfError, match=r"^data\.path=.*0 clips in 0 classes.*tags.*data\.table") as error:
        labels(tmp_path, tmp_path, genre_map=genre_map)
    assert ("data.genre_map=null" in str(error.value)) == (genre_map is not None)


def test_a_map_without_tags_is_refused(music, tmp_path):
    with pytest.raises(GenreclfError, match=r"^data\.genre_map=gtzan: .*data=tags"):
        data_config("folder", path=music, cache=tmp_path, genre_map="gtzan")


def test_an_empty_folder_is_one_line_without_a_table(tmp_path, capsys):
    with pytest.raises(GenreclfError, match=r"data\.path"):
        sources_of(data_config("tags", path=tmp_path), tmp_path)
    assert "genres from the tags" not in capsys.readouterr().err

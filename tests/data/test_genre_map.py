import csv
import random
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import genreclf.data
from genreclf.data.genre_map import (
    BUILT_IN,
    EXCLUDED,
    NO_TAG,
    NOT_IN_MAP,
    OF_NONE,
    SEVERAL,
    load_genre_map,
    one_spelling,
)
from genreclf.errors import GenreclfError
from genreclf.inference.task import MULTILABEL
from genreclf.text import spelling_key

TEN = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
# Read without the code under test
SPELLINGS = {
    row["tag"]: row["genre"]
    for row in csv.DictReader(Path(genreclf.data.__file__).with_name("genre_spellings.csv").open(encoding="utf-8"))
}


def variant(name: str, rng: random.Random) -> str:
    """Spells a name with another case, other spaces, hyphens and accents, and "&" or "and"."""
    words = re.split(r"[ -]", re.sub(" & | and ", rng.choice([" & ", " and ", " AND "]), name))
    joined = "".join(word + rng.choice(["", " ", "-", "‐", "_", "  "]) for word in words[:-1]) + words[-1]
    cased = "".join(rng.choice([letter.upper(), letter.lower()]) for letter in joined)
    return rng.choice([" ", ""]) + unicodedata.normalize(rng.choice(["NFC", "NFD"]), cased)


@given(st.sampled_from(sorted(SPELLINGS)), st.randoms(use_true_random=False))
def test_any_variant_of_a_known_spelling_means_the_same(tag, rng):
    chosen = load_genre_map(BUILT_IN, "none").choose([variant(tag, rng)])
    assert chosen.genre == SPELLINGS[tag] and not chosen.reason


@given(st.text())
def test_a_key_is_its_own_key_and_no_word_is_a_fault(name):
    assert spelling_key(spelling_key(name)) == spelling_key(name)
    for genre_map in (load_genre_map(None, None), load_genre_map(BUILT_IN, None)):
        chosen = genre_map.choose([name])
        assert bool(chosen.genre) != bool(chosen.reason)


def test_the_built_in_spellings_are_of_the_ten_genres_of_the_pretrained_models():
    assert set(SPELLINGS.values()) == {*TEN, "none"}
    assert all(SPELLINGS.get(name.capitalize()) == name for name in TEN if name != "hiphop")
    assert len({spelling_key(tag) for tag in SPELLINGS}) == len(SPELLINGS)


@pytest.mark.parametrize(
    ("tags", "genre"),
    [
        (["Hip-Hop"], "hiphop"),
        (["hip hop"], "hiphop"),
        (["Rap"], "hiphop"),
        (["Hip-Hop/Rap"], "hiphop"),
        (["Heavy Metal"], "metal"),
        (["Rock and Roll"], "rock"),
        (["Country & Western"], "country"),
        (["Opera"], "classical"),
        (["MÚSICA CLASICA"], "classical"),
        (["Classic Rock", "Rock"], "rock"),
        (["Synthwave", "Pop"], "pop"),
        (["Pop; Seen Live"], "pop"),
    ],
)
def test_usual_tags_mean_the_ten_genres(tags, genre):
    assert load_genre_map(BUILT_IN, None).choose(tags).genre == genre


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ([], NO_TAG),
        ([""], NO_TAG),
        (["???"], NO_TAG),
        (["Other", "unknown"], NO_TAG),
        (["R&B"], NOT_IN_MAP),
        (["R'n'B"], NOT_IN_MAP),
        (["Folk, World, & Country"], NOT_IN_MAP),
        (["Pop/Funk"], NOT_IN_MAP),
        (["Pop/Rock"], SEVERAL),
        (["Pop", "Rock"], SEVERAL),
        (["Techno"], OF_NONE),
        (["Techno", "Pop"], SEVERAL),
    ],
)
def test_what_is_doubtful_is_left_out_with_the_reason(tags, reason):
    assert load_genre_map(BUILT_IN, None).choose(tags) == ("", reason)


def test_music_of_none_of_the_genres_is_of_the_users_word_for_it():
    assert load_genre_map(BUILT_IN, "other music").choose(["Techno"]) == ("other music", "")


def test_without_a_map_the_first_tag_is_the_genre():
    genre_map = load_genre_map(None, None)
    assert genre_map.choose(["Synthwave", "Pop"]).genre == "Synthwave"
    assert genre_map.choose(["Unknown", "Pop; Rock"]).genre == "Pop"
    assert genre_map.choose(["R&B/Soul"]).genre == "R&B/Soul"
    assert genre_map.choose(["Other"]) == ("", NO_TAG)
    assert load_genre_map(None, "other").choose(["Other"]).genre == "Other"  # the user's word for it


def test_with_several_labels_all_tags_count(tmp_path):
    chosen = load_genre_map(None, None, MULTILABEL).choose(["Unknown", "R&B/Soul; Pop"])
    assert chosen == ("R&B/Soul; Pop", "")
    built_in = load_genre_map(BUILT_IN, None, MULTILABEL)
    assert built_in.choose(["Rap", "Pop/Rock", "R&B"]) == ("hiphop; pop; rock", "")
    assert built_in.choose(["Techno", "Pop"]) == ("pop", "")
    assert built_in.choose(["Techno"]) == ("", EXCLUDED)
    assert built_in.choose(["R&B"]) == ("", NOT_IN_MAP)
    file = write(tmp_path / "map.csv", "tag,genre\nAudiobook,\nPop,pop\n")
    assert load_genre_map(file, None, MULTILABEL).choose(["Pop", "Audiobook"]) == ("", EXCLUDED)
    assert built_in.corrected("Rap; Synthwave") == "hiphop; Synthwave"


def write(file: Path, text: str, encoding: str = "utf-8") -> str:
    file.write_text(text, encoding=encoding, newline="")
    return str(file)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("tag,genre\nSynthwave,electro\nAudiobook,\nSpoken,none\n", "utf-8"),
        ("Genre;Note;Tag\r\nelectro;x;Synth-Wave\r\n;;audio book\r\nnone;;SPOKEN\r\n;;\r\n", "utf-8-sig"),
        ("sep=;\r\ntag;genre\r\nsynth wave;electro\r\naudiobook\r\nspoken;none\r\n", "utf-16"),
    ],
)
def test_a_file_is_read_as_spreadsheets_write_it(text, encoding, tmp_path):
    genre_map = load_genre_map(write(tmp_path / "map.csv", text, encoding), None)
    assert genre_map.choose(["SYNTHWAVE"]).genre == "electro"
    assert genre_map.choose(["Audiobook"]) == ("", EXCLUDED)
    assert genre_map.choose(["Synthwave", "Audiobook"]) == ("", EXCLUDED)
    assert genre_map.choose(["Spoken"]) == ("", OF_NONE)
    assert genre_map.choose(["Pop"]) == ("", NOT_IN_MAP)


def test_a_map_may_name_what_usually_says_nothing(tmp_path):
    assert load_genre_map(write(tmp_path / "map.csv", "tag,genre\nOther,odd\n"), None).choose(["other"]).genre == "odd"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("tag,genre\nHip-Hop,hiphop\nhip hop,rap\n", ["'Hip-Hop'", "'hip hop'", "'hiphop'", "'rap'"]),
        ("tag,genre\nPop,pop\nPOP,\n", ["'Pop'", "'POP'"]),
        ("tags,genre\nPop,pop\n", ["tag", "genre"]),
        ("tag,genre\n,pop\n", ["line 2"]),
        ("", ["tag", "genre"]),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(text, named, tmp_path):
    file = write(tmp_path / "map.csv", text)
    with pytest.raises(GenreclfError) as error:
        load_genre_map(file, None)
    assert str(error.value).startswith(f"data.genre_map={file}: ")
    assert all(word in str(error.value) for word in named)
    with pytest.raises(GenreclfError, match=r"data\.genre_map=.*none\.csv: no such file"):
        load_genre_map(str(tmp_path / "none.csv"), None)


def test_a_correction_is_of_the_maps_genre_or_of_its_own():
    genre_map = load_genre_map(BUILT_IN, None)
    assert [genre_map.corrected(word) for word in ("Rap", "Synthwave", "Techno")] == ["hiphop", "Synthwave", "Techno"]


def test_spellings_of_one_genre_become_the_most_frequent_or_the_preferred_one():
    genres = ["hip hop", "Hip-Hop", "", "Hip-Hop", "jazz", "Jazz"]
    assert one_spelling(genres, []) == ["Hip-Hop", "Hip-Hop", "", "Hip-Hop", "Jazz", "Jazz"]
    assert one_spelling(genres, ["hiphop", "jazz"]) == ["hiphop", "hiphop", "", "hiphop", "jazz", "jazz"]

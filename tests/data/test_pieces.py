import pytest
from hypothesis import given
from hypothesis import strategies as st

from genreclf.data.pieces import whole_clips


def wholes(names: list[str], evident: bool, label: str = "rock") -> list[str]:
    return whole_clips([f"{label}/{name}" for name in names], [label] * len(names), evident)


SCHEMES = [
    "{song}.{piece}.wav",
    "{song}_{piece}.png",
    "{song}-{piece:03d}.mp3",
    "{song} ({piece}).flac",
    "{song}_part{piece}.wav",
    "{song} - Part {piece:02d}.wav",
    "{song}.seg_{piece}.wav",
    "{song}_chunk-{piece}.wav",
    "{song}_{piece:02d}_of_10.wav",
    "{song} ({piece}of5).wav",
    "{song}_pt{piece}_of_5.wav",
    "part{piece}_{song}.mp3",
    "{song}_{piece}s_{piece}.5s.wav",
    "{song}_clip{piece}.wav",
    "{song}_t{piece:03d}.wav",
    "{song} {piece}s.wav",
    "{song}#{piece}.wav",
    "{song}_{piece}000.wav",
    "{song}_{piece}000ms.wav",
    "{song}_offset{piece}0.wav",
    "{song}_{piece}.0-{piece}.9.wav",
    "{song}_{piece}.0_{piece}.9.wav",
    "{song}/{piece}.wav",
    "{song}/frame{piece:03d}.wav",
    "{song}/{song}_{piece}.wav",
]


@pytest.mark.parametrize("evident", [True, False])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_numbered_pieces_have_the_name_of_their_clip(scheme, first, evident):
    songs = ["blues.00000", "blues.00001", "A song, live", "Ünder"]
    names = [scheme.format(song=song, piece=piece) for song in songs for piece in range(first, first + 5)]
    found = wholes(names, evident)
    assert found == [f"rock/{song}" for song in songs for _ in range(5)]


@pytest.mark.parametrize("evident", [True, False])
def test_the_number_of_a_piece_may_come_first(evident):
    names = [f"{piece:02d}_{song}.wav" for song in ("A song, live", "Ünder") for piece in range(5)]
    assert wholes(names, evident) == ["rock/A song, live"] * 5 + ["rock/Ünder"] * 5


@pytest.mark.parametrize("scheme", ["{song}_{stem}.wav", "{song} (No {stem}).wav", "{song}/{stem}.wav"])
def test_the_stems_of_a_song_have_its_name(scheme):
    songs, stems = ["A", "B"], ["vocals", "Drums", "bass", "other"]
    found = wholes([scheme.format(song=song, stem=stem) for song in songs for stem in stems], True)
    assert found == ["rock/A"] * 4 + ["rock/B"] * 4


def test_parts_may_have_letters_or_roman_numbers():
    names = ["Echoes part A.wav", "Echoes part B.wav", "Shine On, Part I.wav", "Shine On, Part IV.wav", "Party.wav"]
    assert wholes(names, True) == ["rock/Echoes"] * 2 + ["rock/Shine On,"] * 2 + [""]


@pytest.mark.parametrize("evident", [True, False])
@pytest.mark.parametrize(
    "names",
    [
        [f"rock.{number:05d}.wav" for number in range(20)],  # GTZAN's clips
        [f"Rock_{number}.wav" for number in range(20)],
        [f"rock{number:05d}.png" for number in range(20)],
        [f"{number:02d}.wav" for number in range(20)],
        [f"{number:06d}.mp3" for number in range(20)],
        [f"Track {number:02d}.mp3" for number in range(20)],
        [f"song {letter}.wav" for letter in "abcdefgh"],
        ["One-1.wav", "Two-2.wav", "Three-3.wav"],
        ["House Party.wav", "House Parts.wav", "vocals.wav", "drums.wav"],
    ],
)
def test_numbers_of_songs_are_no_pieces(names, evident):
    assert not any(wholes(names, evident))


@pytest.mark.parametrize(
    "names",
    [
        ["live-1999.wav", "live-2001.wav", "a.wav", "b.wav"],
        ["Media-105901.wav", "Media-105902.wav", "Albums-03.wav", "Albums-11.wav"],  # as Ballroom has them
        ["Symphony 1.wav", "Symphony 2.wav", *(f"{letter}.wav" for letter in "abcdefgh")],
        [f"demo_{number}.wav" for number in range(20)],  # one name alone
    ],
)
def test_what_is_not_evident_is_asked_for(names):
    assert not any(wholes(names, True)) and any(wholes(names, False))


@pytest.mark.parametrize("evident", [True, False])
def test_numbers_in_the_folders_of_classes_are_no_pieces(evident):
    paths = [f"music/{folder}/{number}.wav" for folder in ("Rock songs", "Jazz songs") for number in range(9)]
    assert not any(whole_clips(paths, ["rock"] * 9 + ["jazz"] * 9, evident))  # as a table names them
    titles = [f"{number:02d} {title}.wav" for number, title in enumerate(("Intro", "Rain", "Sun", "Outro"), 1)]
    assert not any(wholes(titles, evident))


def test_pieces_with_a_word_are_evident_among_others():
    names = ["Echoes, Part 1.wav", "Echoes, Part 2.wav", *(f"{letter}.wav" for letter in "abcdefgh")]
    assert wholes(names, True) == ["rock/Echoes,"] * 2 + [""] * 8


def test_pieces_in_train_and_test_belong_together_but_not_those_of_two_classes():
    paths = ["train/rock/x_1.wav", "test/rock/x_2.wav", "train/jazz/x_1.wav", "train/jazz/x_2.wav"]
    found = whole_clips(paths, ["rock", "rock", "jazz", "jazz"], True)
    assert found[0] == found[1] != found[2] == found[3]


@given(st.lists(st.text(st.sampled_from("ab 1._-()part"), max_size=12), unique=True), st.booleans())
def test_whatever_the_names_a_piece_has_another_and_evident_ones_are_among_the_others(names, evident):
    names = [f"{name}.wav" for name in names]
    found = wholes(names, evident)
    assert all(found.count(whole) > 1 for whole in found if whole)
    assert all(whole in ("", other) for whole, other in zip(wholes(names, True), wholes(names, False), strict=True))

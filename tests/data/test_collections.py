"""Comparing collections of synthesised songs, whose shared songs and their offsets are known."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_config import data_config

from genreclf.data.collections import (
    Comparison,
    compare_collections,
    other_collection,
    own_collection,
    pairs_csv,
)
from genreclf.data.collections_page import collections_page
from genreclf.data.data_config import DataConfig
from genreclf.data.demo import write_demo
from genreclf.errors import GenreclfError
from genreclf.frontend.audio import read_audio
from genreclf.frontend.log_mel import log_mel
from genreclf.frontend.picture import write_picture

RATE_HZ = 22_050
SECONDS = 10.0


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> list[np.ndarray]:
    """One song in each of the ten styles."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, 1, SECONDS, 5, None)
    return [read_audio(path).waveform for path in sorted(folder.rglob("*.wav"))]


def cut(song: np.ndarray, begin: float, end: float) -> np.ndarray:
    return song[round(begin * RATE_HZ) : round(end * RATE_HZ)]


def noisy(song: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=len(song)) * np.sqrt((song**2).mean()) * 10 ** (-30 / 20)
    return (song + noise).astype(np.float32)


# By file of the other collection: the song, its change, begin and end, and the file's options
COPIES = {
    "mp3/low rate.mp3": (0, noisy, 0.0, 10.0, {"compression_level": 0.7, "bitrate_mode": "CONSTANT"}),
    "mp3/later.mp3": (1, np.copy, 4.0, 10.0, {"compression_level": 0.5, "bitrate_mode": "CONSTANT"}),
    "middle.flac": (2, noisy, 2.0, 8.0, {}),
    "quiet.wav": (3, lambda song: song * 0.02, 0.0, 10.0, {}),
}
OWN = {0: (2.5, 10.0), 1: (0.0, 9.0), 2: (0.0, 10.0), 3: (0.0, 10.0), 4: (0.0, 10.0), 5: (0.0, 10.0)}
STRANGERS = (6, 7, 8, 9)


@pytest.fixture(scope="module")
def folders(songs, tmp_path_factory) -> tuple[Path, Path]:
    """A flat collection and a nested one with four songs in common, and with files that cannot be compared."""
    one, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    for song, (begin, end) in OWN.items():
        soundfile.write(one / f"{song}.wav", cut(songs[song], begin, end), RATE_HZ)
    (other / "mp3").mkdir()
    for name, (song, change, begin, end, options) in COPIES.items():
        soundfile.write(other / name, change(cut(songs[song], begin, end)), RATE_HZ, **options)
    for song in STRANGERS:
        soundfile.write(other / f"stranger {song}.ogg", songs[song], RATE_HZ)
    for folder in (one, other):
        soundfile.write(folder / "three seconds.wav", cut(songs[4], 0, 3), RATE_HZ)
    (other / "broken.wav").write_bytes(b"RIFF is not enough")
    (other / "notes.txt").touch()
    return one, other


@pytest.fixture(scope="module")
def data(folders, tmp_path_factory) -> DataConfig:
    return data_config(path=folders[0], cache=tmp_path_factory.mktemp("cache"), picture_seconds=SECONDS)


@pytest.fixture(scope="module")
def found(folders, data) -> Comparison:
    return compare_collections(own_collection(data), [other_collection(folders[1], data)])


def test_the_songs_in_both_are_found_with_offset_and_overlap_and_no_others(found):
    by_sound = [pair for pair in found.pairs if not pair.same_bytes]
    assert {pair.other: pair.path for pair in by_sound} == {name: f"{copy[0]}.wav" for name, copy in COPIES.items()}
    assert len(by_sound) == len(COPIES)
    for pair in by_sound:
        song, _, begin, end, _ = COPIES[pair.other]
        own_begin, own_end = OWN[song]
        assert pair.offset_seconds == pytest.approx(begin - own_begin, abs=0.1)
        assert pair.overlap_seconds == pytest.approx(min(end, own_end) - max(begin, own_begin), abs=0.3)
        assert 0.77 <= pair.confidence <= 1


def test_what_cannot_be_compared_is_counted_and_equal_files_are_found_still(found):
    (other,) = found.others
    assert (found.collection.clips, found.collection.compared) == (7, 6)
    assert (other.clips, other.compared, list(other.left_out)) == (10, 8, ["broken.wav"])
    assert found.collection.not_compared == other.not_compared == ["three seconds.wav"]
    assert other.ignored == {".txt": ["notes.txt"]}
    (equal,) = (pair for pair in found.pairs if pair.same_bytes)
    assert equal.path == equal.other == "three seconds.wav"
    assert not found.is_blind and found.shared == ["0.wav", "1.wav", "2.wav", "3.wav", "three seconds.wav"]


def test_page_csv_and_json_hold_the_same_pairs(found, folders, data):
    one, other = own_collection(data), other_collection(folders[1], data)
    page = collections_page(found, one, [other])
    assert page.count("<img ") == len(found.pairs) and "http" not in page.replace("http-equiv", "")
    assert all(f'<span class="path">{name}</span>' in page for pair in found.pairs for name in (pair.path, pair.other))
    plain = json.loads(json.dumps(found.plain()))
    rows = list(csv.DictReader(io.StringIO(pairs_csv(found.pairs))))
    assert len(rows) == len(plain["pairs"]) == len(found.pairs) == plain["summary"]["pairs"]
    for row, pair in zip(rows, plain["pairs"], strict=True):
        assert {key: str(value).lower() for key, value in pair.items()} == {k: v.lower() for k, v in row.items()}


def test_several_collections_lists_and_single_files_may_be_given(folders, data, tmp_path):
    _, other = folders
    (other / "list.csv").write_text("label,file\nx,mp3\\later.mp3 \ny,stranger 6.ogg\ny,stranger 6.ogg\n")
    (tmp_path / "list.txt").write_text(f"{other / 'quiet.wav'}\n")
    paths = [other / "list.csv", tmp_path / "list.txt", other / "middle.flac"]
    found = compare_collections(own_collection(data), [other_collection(path, data) for path in paths])
    assert [(each.name, each.clips) for each in found.others] == [
        (str(paths[0]), 2),
        (str(paths[1]), 1),
        (str(paths[2]), 1),
    ]
    assert {(pair.path, pair.against) for pair in found.pairs} == {
        (f"{number}.wav", str(path)) for number, path in zip((1, 3, 2), paths, strict=True)
    }


def test_a_file_is_not_its_own_copy(folders, data, tmp_path):
    one, _ = folders
    (tmp_path / "link").symlink_to(one)
    found = compare_collections(own_collection(data), [other_collection(tmp_path / "link", data)])
    assert found.pairs == [] and found.same_files == 7


def test_a_picture_of_387_columns_matches_the_audio_it_shows(songs, folders, data, tmp_path):
    levels = log_mel(np.ascontiguousarray(songs[5]))
    columns = (np.arange(int(levels.shape[1] / 3.34)) + 0.5) * 3.34
    write_picture(tmp_path / "x.png", levels[:, columns.astype(int)])
    found = compare_collections(own_collection(data), [other_collection(tmp_path, data)])
    (pair,) = found.pairs
    assert (pair.path, pair.other) == ("5.wav", "x.png") and pair.offset_seconds == pytest.approx(0, abs=0.2)


def test_without_anything_to_compare_nothing_is_called_clean(songs, data, tmp_path):
    soundfile.write(tmp_path / "short.wav", cut(songs[0], 0, 3.5), RATE_HZ)
    found = compare_collections(own_collection(data), [other_collection(tmp_path, data)])
    assert found.is_blind and not found.pairs
    assert "not known" in collections_page(found, own_collection(data), [other_collection(tmp_path, data)])


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ("none", "no such file or folder")),
        (b"a/gone.wav\n", ("1 of its 1", "'a/gone.wav'")),
        (b"\n", ("no audio file",)),
    ],
)
def test_a_collection_that_is_not_there_is_refused(data, tmp_path, content, parts):
    path = tmp_path / "none"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GenreclfError) as error:
        other_collection(path, data)
    assert str(path) in str(error.value) and all(part in str(error.value) for part in parts)

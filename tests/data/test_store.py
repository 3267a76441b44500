import csv
import dataclasses
import hashlib
import json
import os
import random
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import start_process
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_pictures import tiny_picture
from tiny_sounds import music_like

from genreclf.data.build_store import build_store
from genreclf.data.sources import Source, list_sources
from genreclf.data.store import ARRAY, FORMAT, META, RECORDINGS, SKETCHES, TABLE, TOKENS, Store, open_store
from genreclf.errors import GenreclfError
from genreclf.frontend.clip import read_clip
from genreclf.frontend.picture import write_picture
from genreclf.frontend.segments import trim_silence

ARRAYS = (ARRAY, SKETCHES, TOKENS)
PARTS = (*ARRAYS, TABLE, RECORDINGS, META)
RATE_HZ = 22_050


def write_noise(path: Path, seconds: float, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = music_like(seconds, np.random.default_rng(seed))
    with path.open("wb") as file:
        soundfile.write(file, samples, RATE_HZ, format="WAV")


def store_of(folder: Path, cache: Path, picture_seconds: float = 30.0) -> Store:
    return build_store(folder, list_sources(folder), cache, picture_seconds)


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in PARTS}


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """Six clips with lengths from a few frames to a second. Some names are difficult for a table."""
    folder = tmp_path_factory.mktemp("few")
    names = ["a/x.wav", 'a/two\nlines, and a "quote".wav', "a/\r.wav", "b/歌.wav", "b/\udcff.wav", "b/y.wav"]
    for number, name in enumerate(names):
        write_noise(folder / name, 0.1 + 0.2 * number, number)
    return folder


@pytest.fixture(scope="module")
def few_store(few, tmp_path_factory) -> Store:
    return store_of(few, tmp_path_factory.mktemp("cache"))


# --- What a store holds -----------------------------------------------------------------------------------------------


def test_each_clip_equals_reading_it_alone(tiny_store, tiny_folder):
    end = 0
    assert [row.path for row in tiny_store.rows] == [source.path for source in list_sources(tiny_folder)]
    for number, row in enumerate(tiny_store.rows):
        path = tiny_folder / row.path
        assert row.label == row.path.split("/")[0]
        assert row.digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row.offset == end
        end += row.columns
        if path.name == "broken.wav":
            continue
        clip = read_clip(path, 30.0)
        np.testing.assert_array_equal(tiny_store.spectrogram(number), clip.levels)
        assert (row.columns, row.frames) == (clip.levels.shape[1], clip.frames)
        sound = trim_silence(clip.levels, clip.frames)
        assert (row.first_sound, row.sound_columns, row.sound_frames) == (sound[0], sound[1], sound[3])
        assert (row.source_rate_hz, row.problem) == (clip.source_rate_hz, "")
        assert row.source_seconds == pytest.approx(clip.source_seconds, abs=1e-6)


def test_silence_at_the_ends_of_a_clip_is_known_without_reading_its_spectrogram(tmp_path):
    samples = np.zeros(4 * RATE_HZ)
    samples[RATE_HZ : 2 * RATE_HZ] = music_like(1, np.random.default_rng(0), RATE_HZ)
    for genre in "ab":
        (tmp_path / genre).mkdir()
        soundfile.write(tmp_path / genre / "sound.wav", samples, RATE_HZ)
    sound, _ = store_of(tmp_path, tmp_path / "cache").rows
    assert abs(sound.first_sound - 43) < 4 and abs(sound.sound_columns - 43) < 8  # 1 s each, blurred by the window
    assert sound.sound_frames == sound.sound_columns and sound.frames == 173


def test_a_clip_without_music_is_left_out_with_its_reason_and_a_short_one_is_not(tmp_path):
    noise = music_like(4, np.random.default_rng(0))
    for name, samples in (("a/sound", noise), ("b/short", noise[: RATE_HZ // 2]), ("b/silence", 0 * noise)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE_HZ)
    rows = {row.path: row for row in store_of(tmp_path, tmp_path / "cache").rows}
    assert rows["a/sound.wav"].columns and rows["b/short.wav"].columns
    assert not rows["b/silence.wav"].columns and "b/silence.wav: silence" in rows["b/silence.wav"].problem


def test_a_picture_covers_its_seconds_whatever_its_width(tiny_store):
    (row,) = [row for row in tiny_store.rows if row.path == "tone/tone.00007.png"]
    assert (row.columns, row.frames, row.source_seconds, row.source_rate_hz) == (387, 1_292, 30.0, 0)


def test_an_unreadable_file_is_a_row_with_a_reason(tiny_store):
    (row,) = [row for row in tiny_store.rows if not row.columns]
    assert (row.path, row.label, row.frames) == ("tone/broken.wav", "tone", 0)
    assert "tone/broken.wav" in row.problem


def test_equal_files_share_a_group_and_no_others_do(tiny_store):
    by_digest = {}
    for row in tiny_store.rows:
        assert row.group == by_digest.setdefault(row.digest, row.path)
    groups = [row.group for row in tiny_store.rows]
    shared = [row.path for row in tiny_store.rows if groups.count(row.group) > 1]
    assert shared == ["noise/again.wav", "noise/noise.00000.wav"]


def test_numpy_and_csv_alone_open_it(tiny_store):
    columns = np.load(tiny_store.folder / ARRAY, mmap_mode="r", allow_pickle=False)
    with (tiny_store.folder / TABLE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert (columns.dtype, columns.shape[1]) == (np.uint8, 128)
    assert list(rows[0]) == [field.name for field in dataclasses.fields(tiny_store.rows[0])]
    for number, row in enumerate(rows):
        start, length = int(row["offset"]), int(row["columns"])
        np.testing.assert_array_equal(columns[start : start + length], tiny_store.spectrogram(number).T)
    assert sum(int(row["columns"]) for row in rows) == len(columns)
    meta = json.loads((tiny_store.folder / META).read_text())
    assert meta["clips"] == len(rows)
    assert meta["front_end"] == {"rate_hz": 22_050, "n_fft": 2_048, "hop": 512, "bands": 128, "floor_db": -80.0}


def test_a_finished_store_holds_no_leftovers(tiny_store):
    assert {path.name for path in tiny_store.folder.iterdir()} == {*PARTS, "lock"}


def test_names_in_the_table_are_unchanged(few, few_store):
    assert [row.path for row in few_store.rows] == [source.path for source in list_sources(few)]
    assert all((few / row.path).is_file() for row in few_store.rows)


def test_a_file_that_cannot_be_opened_is_a_row_with_a_reason(few, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(few, folder)
    (folder / "a" / "nowhere.wav").symlink_to("gone")
    (folder / "a" / "nowhere.png").symlink_to("gone too")
    (folder / "a" / "round.wav").symlink_to("round.wav")
    os.mkfifo(folder / "b" / "pipe.wav")  # reading it would block
    (folder / "b" / "empty.flac").touch()
    store = store_of(folder, tmp_path / "cache")
    unreadable = {row.path: row for row in store.rows if not row.columns}
    assert set(unreadable) == {"a/nowhere.wav", "a/nowhere.png", "a/round.wav", "b/pipe.wav", "b/empty.flac"}
    assert all(row.problem.startswith(f"{folder / path}: ") for path, row in unreadable.items())
    assert len({row.group for row in unreadable.values()}) == 5
    assert len(store.rows) == 11


def test_a_store_without_one_readable_clip_opens(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / "x.wav").write_bytes(b"none")
    store = store_of(tmp_path, tmp_path / "cache")
    assert store.columns.shape == (0, 128)
    assert [row.columns for row in store.rows] == [0, 0]


# --- When it is rebuilt -----------------------------------------------------------------------------------------------


def test_a_finished_store_is_not_rebuilt(few, few_store):
    before = {path: path.stat().st_mtime_ns for path in few_store.folder.iterdir()}
    again = store_of(few, few_store.folder.parents[1])
    assert again.folder == few_store.folder
    assert {path: path.stat().st_mtime_ns for path in few_store.folder.iterdir()} == before


CHANGES = {
    "replaced": lambda folder: write_noise(folder / "a" / "x.wav", 0.7, seed=9),
    "added": lambda folder: write_noise(folder / "a" / "new.wav", 0.1),
    "removed": lambda folder: (folder / "a" / "x.wav").unlink(),
    "renamed": lambda folder: (folder / "a" / "x.wav").rename(folder / "a" / "z.wav"),
    "of the same length": lambda folder: write_noise(folder / "b" / "y.wav", 1.1, seed=9),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_files_make_another_store(few, tmp_path, change):
    folder, cache = tmp_path / "data", tmp_path / "cache"
    shutil.copytree(few, folder)
    before = store_of(folder, cache)
    CHANGES[change](folder)
    after = store_of(folder, cache)
    assert after.folder != before.folder
    assert after.digest != before.digest
    assert [row.path for row in after.rows] == [source.path for source in list_sources(folder)]
    assert content(open_store(before.folder).folder) == content(before.folder)


def test_a_file_that_became_readable_is_read():
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        folder, cache = Path(place) / "data", Path(place) / "cache"
        for label in "ab":
            (folder / label).mkdir(parents=True)
            write_noise(folder / label / "x.wav", 1.1, seed=ord(label))
        for mode, unreadable in ((0, ["a/x.wav"]), (0o644, [])):
            (folder / "a" / "x.wav").chmod(mode)
            assert _unreadable_to_a_user(folder, cache) == unreadable


def _unreadable_to_a_user(folder: Path, cache: Path) -> list[str]:
    """Returns the paths of the unreadable clips, as a user other than root, who may read all files."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        if os.getuid() == 0:
            os.setuid(65534)  # nobody
        paths = [row.path for row in store_of(folder, cache).rows if not row.columns]
        os.write(writer, json.dumps(paths).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return json.loads(os.read(reader, 10_000))


@pytest.mark.parametrize("name", PARTS)
def test_a_store_that_lost_a_file_is_built_again(few, few_store, tmp_path, name):
    cache = tmp_path / "cache"
    shutil.copytree(few_store.folder.parents[1], cache)
    (cache / "stores" / few_store.folder.name / name).unlink()
    again = store_of(few, cache)
    assert again.folder.name == few_store.folder.name
    assert content(again.folder) == content(few_store.folder)


def test_another_setting_makes_another_store(few, few_store):
    cache = few_store.folder.parents[1]
    after = store_of(few, cache, picture_seconds=15.0)
    assert after.folder != few_store.folder
    assert after.digest != few_store.digest


def test_the_digest_depends_on_content_and_not_on_the_folder(few, few_store, tmp_path):
    """For a run's record, the same files in another folder and with other times are the same data."""
    shutil.copytree(few, tmp_path / "moved", copy_function=shutil.copyfile)
    moved = store_of(tmp_path / "moved", tmp_path / "cache")
    assert moved.digest == few_store.digest
    assert moved.folder.name != few_store.folder.name


# --- Killed and resumed -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sixty(tmp_path_factory) -> tuple[Path, list[Source]]:
    folder = tmp_path_factory.mktemp("sixty")
    for number in range(60):
        write_noise(folder / "ab"[number % 2] / f"{number:02d}.wav", 1 + number % 7, number)
    (folder / "a" / "broken.wav").write_bytes(b"none")
    write_picture(folder / "b" / "picture.png", tiny_picture(387, np.random.default_rng(0)))
    return folder, list_sources(folder)


@pytest.fixture(scope="module")
def unbroken(sixty, tmp_path_factory) -> Path:
    """The store of the sixty clips, built without interruption."""
    return build_store(*sixty, tmp_path_factory.mktemp("unbroken"), 30.0).folder


def test_clips_in_the_journal_are_not_read_again(few, few_store, tmp_path, monkeypatch):
    store = cut_short(few_store, tmp_path, rows=4, torn=0, behind=b"")
    read = clips_read(monkeypatch)
    store_of(few, tmp_path)
    assert sorted(read) == sorted(few / row.path for row in few_store.rows[4:])
    assert content(store) == content(few_store.folder)


@pytest.mark.parametrize("place", [shutil.copytree, lambda store, link: link.symlink_to(store)], ids=["copy", "link"])
def test_clips_in_an_older_store_are_not_read_again(few, tmp_path, monkeypatch, place):
    folder, cache = shutil.copytree(few, tmp_path / "music"), tmp_path / "cache"
    older = store_of(folder, tmp_path / "disk").folder
    (cache / "stores").mkdir(parents=True)
    place(older, cache / "stores" / older.name)
    write_noise(folder / "a" / "new.wav", 3.0, seed=99)
    read = clips_read(monkeypatch)
    store_of(folder, cache)
    assert read == [folder / "a" / "new.wav"]


def clips_read(monkeypatch) -> list[Path]:
    """Returns a list to which the path of each clip is added when it is read."""
    read = []

    def counting(path, **settings):
        read.append(path)
        return read_clip(path, **settings)

    monkeypatch.setattr("genreclf.data.clip_reader.read_clip", counting)
    return read


def cut_short(finished: Store, cache: Path, rows: int, torn: int, behind: bytes) -> Path:
    """Makes a killed store: `rows` complete rows, `torn` bytes of the next, and `behind` after the arrays' rows."""
    store = cache / "stores" / finished.folder.name
    store.mkdir(parents=True)
    records = whole_records((finished.folder / TABLE).read_bytes())
    journal = b"".join(records[: rows + 1])  # the first is the head
    if torn:
        journal += records[rows + 1][:-1][:torn]
    (store / f"{TABLE}.partial").write_bytes(journal)
    columns = sum(row.columns for row in finished.rows[:rows])
    steps, tokens = (sum(getattr(row, count) for row in finished.rows[:rows]) for count in ("steps", "tokens"))
    begun = {ARRAY: finished.columns[:columns]}
    begun |= {SKETCHES: finished.fingerprints.sketches[:steps], TOKENS: finished.fingerprints.tokens[:tokens]}
    for name, array in begun.items():
        (store / name).write_bytes(bytes(128) + array.tobytes() + behind)
    return store


def whole_records(table: bytes) -> list[bytes]:
    """Splits a CSV file into records. A line break inside quotes does not end one."""
    records = [b""]
    for line in table.split(b"\n")[:-1]:
        records[-1] += line + b"\n"
        if records[-1].count(b'"') % 2 == 0:
            records.append(b"")
    return records[:-1]


@settings(max_examples=40)
@given(rows=st.integers(0, 5), torn=st.integers(0, 250), behind=st.binary(max_size=3_000))
def test_any_torn_end_is_dropped(few, few_store, tmp_path_factory, rows, torn, behind):
    cache = tmp_path_factory.mktemp("torn")
    store = cut_short(few_store, cache, rows, torn, behind)
    assert store_of(few, cache).folder == store
    assert content(store) == content(few_store.folder)


@pytest.mark.parametrize("present", [[], ARRAYS, [TABLE], [*ARRAYS, TABLE]])
def test_killed_before_the_first_row_or_after_the_last(few, few_store, tmp_path, present):
    """The journal is created before the arrays, and deleted after store.json is written."""
    store = cut_short(few_store, tmp_path, rows=6 if TABLE in present else 0, torn=0, behind=b"")
    for name in PARTS:
        (store / name).unlink(missing_ok=True)
        if name in present:
            shutil.copy(few_store.folder / name, store / name)
    if TABLE in present and ARRAY not in present:
        (store / f"{TABLE}.partial").unlink()
    store_of(few, tmp_path)
    assert content(store) == content(few_store.folder)


def test_several_processes_at_once_build_one_store(sixty, unbroken, tmp_path):
    working = [start_process(build_store, *sixty, tmp_path, 30.0) for _ in range(3)]
    for process in working:
        process.join()
    assert [process.exitcode for process in working] == [0, 0, 0]
    assert content(tmp_path / "stores" / unbroken.name) == content(unbroken)


# --- Damaged ----------------------------------------------------------------------------------------------------------


def of_another_kind(file: Path) -> None:
    with file.open("wb") as out:
        np.savez(out, columns=np.zeros((3, 128), np.uint8))


DAMAGES = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "empty": lambda file: file.write_bytes(b""),
    "missing": lambda file: file.unlink(),
    "garbled": lambda file: file.write_bytes(random.Random(0).randbytes(5_000)),
    "of another kind": of_another_kind,
}


@pytest.fixture
def copied_store(few_store, tmp_path) -> Path:
    return shutil.copytree(few_store.folder, tmp_path / "store")


def assert_refused(store: Path) -> None:
    with pytest.raises(GenreclfError) as caught:
        open_store(store)
    message = str(caught.value)
    assert message.startswith(f"{store}: ") and "delete the folder" in message


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_refused(copied_store, damage, name):
    DAMAGES[damage](copied_store / name)
    assert_refused(copied_store)


@pytest.mark.parametrize(
    "array",
    [
        np.array([[list]], object),  # pickled objects are never loaded
        np.zeros((3, 128), np.uint8),
        np.zeros((7, 127), np.uint8),
        np.zeros(7 * 128, np.int8),
    ],
)
def test_an_array_that_does_not_fit_the_table_is_refused(copied_store, array):
    np.save(copied_store / ARRAY, array, allow_pickle=True)
    assert_refused(copied_store)


def test_a_store_of_an_older_format_is_refused_with_both_formats(copied_store):
    meta = json.loads((copied_store / META).read_text())
    (copied_store / META).write_text(json.dumps({**meta, "format": FORMAT - 1}))
    with pytest.raises(GenreclfError, match=f"{FORMAT - 1}.*{FORMAT}.*delete the folder"):
        open_store(copied_store)


@pytest.mark.parametrize("meta", ["null", "[]", '{"format": 1}', "{"])
def test_a_damaged_older_store_does_not_keep_a_new_one_from_being_built(few, few_store, tmp_path, meta):
    older = tmp_path / "stores" / "older"
    shutil.copytree(few_store.folder, older)
    (older / META).write_text(meta)
    assert content(store_of(few, tmp_path).folder) == content(few_store.folder)


@pytest.mark.parametrize("meta", ["null", "[]", "{}", '{"format": 1}', '{"format": 99, "digest": "x"}', "1"])
def test_a_foreign_store_json_is_refused(copied_store, meta):
    (copied_store / META).write_text(meta)
    assert_refused(copied_store)


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset": 5},
        {"offset": -1},
        {"columns": -10},
        {"frames": 0},
        {"frames": "many"},
        {"columns": 10**30},
        {"first_sound": -1},
        {"first_sound": 10_000},
        {"sound_columns": 0},
        {"sound_columns": 10_000},
        {"sound_frames": 0},
    ],
)
def test_a_table_with_numbers_that_do_not_fit_is_refused(few_store, copied_store, wrong):
    rows = [{**vars(row)} for row in few_store.rows]
    rows[2].update(wrong)
    with (copied_store / TABLE).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, rows[0], quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    assert_refused(copied_store)


def test_a_cache_that_cannot_be_written_is_named(few, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GenreclfError, match=r"/file/stores/.*cache"):
        store_of(few, tmp_path / "file")

import random
import re
import shutil
import signal
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import NO_EXTRAS, command, start
from PIL import Image
from tiny_pictures import tiny_picture
from tiny_sounds import music_like

from genreclf.data.store import open_store
from genreclf.frontend.picture import write_picture


@pytest.fixture
def music(tmp_path) -> Path:
    """Two genres of three pictures, a copy of one, another at half its level, and a file that is not a picture."""
    for genre in ("low", "high"):
        (tmp_path / "music" / genre).mkdir(parents=True)
        for number in range(3):
            seed = ("low", "high").index(genre) + 2 * number
            levels = tiny_picture(100, np.random.default_rng(seed))
            write_picture(tmp_path / "music" / genre / f"{genre}{number}.png", levels)
    shutil.copy(tmp_path / "music" / "low" / "low0.png", tmp_path / "music" / "low" / "again.png")
    half = tiny_picture(100, np.random.default_rng(0)) // 2
    write_picture(tmp_path / "music" / "low" / "half.png", half)
    (tmp_path / "music" / "high" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "music"


def test_prepare_reports_what_it_computed_and_skipped(music, tmp_path):
    arguments = ("data=folder", f"data.path={music}", "data.picture_seconds=36")
    first = command("prepare", *arguments, cache=tmp_path)
    assert first.returncode == 0, first.stderr
    assert re.search(r"skipped high/broken.png: .*broken.png: .+", first.stderr)
    lines = first.stdout.splitlines()
    assert lines[0] == "8 clips of 2 classes, 0.1 hours; 1 skipped"  # 8 times 36 s
    assert lines[1] == "high 3, low 5"
    assert re.match(r"2 .* same recording .*1 .*equal files", lines[2])
    folder, size = lines[3].rsplit(": ", 1)
    assert len(open_store(Path(folder)).rows) == 9 and size == "0.1 MB"  # 8 times 12,800 bytes
    made = (Path(folder) / "store.json").stat().st_mtime_ns
    assert command("prepare", *arguments, cache=tmp_path).stdout == first.stdout
    assert (Path(folder) / "store.json").stat().st_mtime_ns == made


@pytest.mark.parametrize("name", ["prepare", "audit", "train"])
def test_notes_on_pictures_are_told_until_the_user_gives_the_axis(music, name, tmp_path):
    for path in music.glob("low/*.png"):
        with Image.open(path) as image:
            image.copy().save(path)  # as other programs write it
    words = (
        "data=folder",
        f"data.path={music}",
        *(["model=majority", "split=all", "temperature=1", f"run={tmp_path}/run"] * (name == "train")),
    )
    noted = re.compile(r"5 clips: .*assumed.*low/again\.png")
    first, given = (
        command(name, *words, *axis, cache=tmp_path, before=NO_EXTRAS) for axis in ([], ["data.figure=bands"])
    )
    assert noted.search(first.stdout) and "assumed" not in given.stdout


def test_a_missing_folder_is_one_line(tmp_path):
    result = command("prepare", "data=folder", f"data.path={tmp_path}/nowhere", cache=tmp_path)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert result.stderr.startswith("genreclf: data.path=") and "no such folder" in result.stderr


# --- Folders as users have them ---------------------------------------------------------------------------------------


@pytest.fixture
def odd_folder(tmp_path) -> Path:
    """Every format in one class, deep folders, odd names, links of all kinds, and an empty class."""
    folder = tmp_path / "Música d'été, (n° 1)"
    names = ["x.wav", "X.FLAC", "x.ogg", "x.mp3", "a b/c d.WAV", "/".join(["deep"] * 40) + "/x.wav"]
    names += [unicodedata.normalize(form, "é.wav") for form in ("NFC", "NFD")] + ["'\"\n.wav", "\udcff.wav"]
    for name in ["rock 'n' roll\udcff/" + name for name in names] + ["歌/one.aiff", "beside.wav"]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(len(name)).normal(0, 0.1, 10_000)
        with path.open("wb") as file:
            soundfile.write(file, noise, 22_050, format=path.suffix[1:])
    rock = folder / "rock 'n' roll\udcff"
    write_picture(rock / "x.png", np.zeros((128, 100), np.uint8))
    (rock / "no\nmusic.wav").write_text("no music")
    (rock / ".hidden.wav").write_text("no music")
    (rock / "linked.wav").symlink_to("x.wav")
    (rock / "gone.wav").symlink_to("nowhere")
    (rock / "all").symlink_to(folder)
    (folder / "empty").mkdir()
    return folder


def test_a_folder_with_odd_names_and_links_is_prepared(odd_folder, tmp_path):
    result = command("prepare", "data=folder", f"data.path={odd_folder}", cache=tmp_path)
    assert result.returncode == 0, result.stderr
    beside, *skipped = result.stderr.splitlines()
    assert "beside.wav" in beside
    assert len(skipped) == 3 and all(line.startswith("skipped rock 'n' roll") for line in skipped)
    assert "gone.wav: " in skipped[0] and r"no\nmusic.wav: " in skipped[1] and "x.png: silence" in skipped[2]
    # Characters that standard output cannot show become escapes.
    assert result.stdout.splitlines()[1:2] == [r"rock 'n' roll\udcff 11, 歌 1"]
    store = open_store(Path(result.stdout.splitlines()[-1].rsplit(": ", 1)[0]))
    assert len(store.rows) == 15 and all((odd_folder / row.path).is_file() for row in store.rows if row.columns)


def test_a_flat_folder_takes_its_classes_from_a_table(music, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in music.rglob("*.png"):
        shutil.copy(path, flat / path.name)
    table = tmp_path / "genres.csv"
    lines = [
        "clip,genre,title",
        *(f"{path.stem},{path.parent.name},{path.stem}" for path in music.rglob("*[012].png")),
        "gone,low,",
    ]
    table.write_text("\n".join(lines))
    data = ["data=folder", f"data.path={flat}", f"data.table={table}"]
    result = command("prepare", *data, cache=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1] == "high 3, low 3"
    warned = [
        f"data.table={table}: 3 clips in data.path have no row and are skipped "
        "(first: 'again.png', 'broken.png', 'half.png')",
        f"data.table={table}: 1 rows match no audio file or picture in data.path (first: 'gone')",
    ]
    assert result.stderr.splitlines() == warned
    # Another genre gives another store. Training lists its clips twice but warns once.
    table.write_text("\n".join(lines).replace("low0,low", "low0,middle"))
    refused = command("train", *data, "model=b", "model.weights=none", f"run={tmp_path / 'run'}", cache=tmp_path)
    assert refused.returncode == 2 and "'high' (3 clips, none in " in refused.stderr
    assert refused.stderr.splitlines()[:-1] == warned


# --- Layouts ----------------------------------------------------------------------------------------------------------


def noise_picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, tiny_picture(100, np.random.default_rng(seed)))


def test_kaggles_folder_is_read_as_audio_and_its_pictures_by_their_folder(tmp_path):
    data = tmp_path / "Data"
    for number, name in enumerate(f"{genre}{n:05d}" for genre in ("blues", "jazz") for n in (0, 53)):
        genre = name[:-5]
        noise_picture(data / "images_original" / genre / f"{name}.png", number)
        audio = data / "genres_original" / genre / f"{genre}.{name[-5:]}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(audio, music_like(2, np.random.default_rng(number)), 22_050)
    (data / "genres_original" / "jazz" / "jazz.00054.wav").write_bytes(b"no RIFF")
    (data / "features_30_sec.csv").write_text(
        "filename,length,label\nblues.00000.wav,661794,blues\njazz.00053.wav,1,jazz\n"
    )
    for path in (data, tmp_path):
        result = command("prepare", "data=folder", f"data.path={path}", cache=tmp_path)
        assert result.returncode == 0 and "; 1 skipped\nblues 2, jazz 2\n" in result.stdout, result.stderr
        assert "jazz.00054.wav" in result.stderr and f"data.path={data / 'images_original'}" in result.stderr
    table = f"data.table={data / 'features_30_sec.csv'}"
    result = command("prepare", "data=folder", f"data.path={data}", table, cache=tmp_path)
    assert "blues 1, jazz 1" in result.stdout and "uses 'filename' as path, 'label' as genre" in result.stderr
    result = command("prepare", "data=folder", f"data.path={data / 'images_original'}", cache=tmp_path)
    assert result.stdout.startswith("4 clips of 2 classes, 0.0 hours; 0 skipped\nblues 2, jazz 2\n"), result.stderr


def test_folders_of_a_split_are_trained_on_as_that_split(tmp_path):
    names = [
        f"{part}/{genre}/{clip}.png"
        for part, count in (("train", 3), ("val", 2), ("test", 1))
        for genre in ("rock", "jazz")
        for clip in range(count)
    ]
    for seed, name in enumerate(names):
        noise_picture(tmp_path / "music" / name, seed)
    noise_picture(tmp_path / "music" / "train" / "polka" / "x.png", 999)
    train = ["data=folder", f"data.path={tmp_path / 'music'}", "model=majority", f"run={tmp_path / 'run'}"]
    refused = command("train", *train, cache=tmp_path)
    assert refused.returncode == 2 and "split=folders" in refused.stderr.splitlines()[-1]
    refused = command("train", *train, "split=folders", cache=tmp_path)
    assert refused.returncode == 2 and "'polka' (1 clips, none in val and test)" in refused.stderr.splitlines()[-1]
    result = command("train", *train, "split=folders", "data.rare_classes=drop", cache=tmp_path, before=NO_EXTRAS)
    assert result.returncode == 0, result.stderr
    assert re.search(r"split=folders: train 6 clips.*; val 4 clips.*; test 2 clips.*; 2 classes", result.stdout)
    assert "leaves out 1 classes" in result.stderr and "'polka'" in result.stderr


# --- Killed and started again -----------------------------------------------------------------------------------------

CLIPS, KILLS = 300, 12
# The same pace on a machine with many cores.
TWO_CORES = "import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])"


@pytest.fixture
def three_hundred(tmp_path) -> Path:
    """Audio of 0.5 to 2 s. Every tenth clip is a picture, and every fiftieth is unreadable."""
    folder, rng = tmp_path / "three hundred", np.random.default_rng(0)
    for number in range(CLIPS):
        path = folder / "ab"[number % 2] / f"{number:03d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 50 == 49:
            path.with_suffix(".wav").write_bytes(b"none")
        elif number % 10 == 9:
            write_picture(path.with_suffix(".png"), tiny_picture(200, rng))
        else:
            noise = rng.integers(-9_999, 9_999, 11_025 * (1 + number % 4), np.int16)
            soundfile.write(path.with_suffix(".wav"), noise, 22_050)
    return folder


def journal_of(cache: Path) -> Path | None:
    """Returns the table of the unfinished store."""
    return next((cache / "stores").glob("*/clips.csv.partial"), None)


def rows_in(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") - 1


def killed_at(rows: int, delay: float, cache: Path, outputs: list[Path], arguments: list[str]) -> int:
    """Runs `prepare`, kills it `delay` seconds after it has `rows` rows, and returns the number of rows left."""
    before = journal_of(cache)
    before = before and before.stat().st_ino
    process = start("prepare", *arguments, cache=cache, before=TWO_CORES, outputs=outputs)
    while process.is_alive():
        journal = journal_of(cache)  # rewritten on resuming
        if journal and journal.stat().st_ino != before and rows_in(journal) >= rows:
            break
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, outputs[1].read_text()
    return rows_in(journal_of(cache))


@pytest.mark.slow  # test_store.py resumes from any torn end
def test_prepare_killed_a_dozen_times_ends_with_the_same_bytes_as_an_uninterrupted_run(three_hundred, tmp_path):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    broken.mkdir()
    whole.mkdir()
    arguments = ["data=folder", f"data.path={three_hundred}"]
    outputs, rng, left = [tmp_path / "stdout", tmp_path / "stderr"], random.Random(0), []
    for rows in sorted(rng.sample(range(CLIPS * 2 // 3), KILLS)):
        left.append(killed_at(rows, rng.uniform(0, 0.005), broken, outputs, arguments))
    assert left == sorted(left) and len(set(left)) > KILLS // 2 and left[-1] < CLIPS
    for cache in (broken, whole):
        result = command("prepare", *arguments, cache=cache)
        assert result.returncode == 0, result.stderr
    assert files_in(broken / "stores") == files_in(whole / "stores")


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- Shards -----------------------------------------------------------------------------------------------------------


READS_NOTHING = """
from genreclf.errors import GenreclfError
from genreclf.frontend import clip
def fails(*_):
    raise GenreclfError("read again")
clip.read_picture = fails
"""


def test_shards_are_merged_without_reading_a_clip_again(music, tmp_path):
    arguments = ("data=folder", f"data.path={music}")
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = command("prepare", *arguments, cache=tmp_path / "whole")
    task = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MIN": "4"}
    parts = [
        command("prepare", *arguments, "shard=1/2", cache=tmp_path / "parts"),
        command(
            "prepare",
            *arguments,
            "shard=slurm",
            cache=tmp_path / "parts",
            before=f"import os; os.environ.update({task})",
        ),
    ]
    counts = [int(part.stdout.split()[0]) for part in parts]
    assert sum(counts) == 8 and min(counts) >= 3
    merged = command("prepare", *arguments, cache=tmp_path / "parts", before=READS_NOTHING)
    assert merged.returncode == 0 and merged.stderr.count("skipped") == 1  # the file that is not a picture
    assert merged.stdout.splitlines()[:3] == whole.stdout.splitlines()[:3]
    stores = [open_store(Path(run.stdout.splitlines()[-1].rsplit(": ", 1)[0])) for run in (whole, merged)]
    assert [row.path for row in stores[0].rows] == [row.path for row in stores[1].rows]
    for number, row in enumerate(stores[0].rows):
        if row.columns:
            assert np.array_equal(stores[0].spectrogram(number), stores[1].spectrogram(number))


@pytest.mark.parametrize("shard", ["0/2", "3/2", "many", "slurm"])
def test_an_invalid_shard_is_one_line(shard, music, tmp_path):
    result = command("prepare", "data=folder", f"data.path={music}", f"shard={shard}", cache=tmp_path)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert f"shard={shard}" in result.stderr and "I from 1 to N" in result.stderr

"""genreclf tag: plan, apply, undo, playlists and watching, as a user runs it."""

import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mutagen")
from av_files import av_written
from tag_files import other_tags, packets
from tiny_model import CLASSES, TinyModel, tiny_predictor, tone
from tiny_pictures import tiny_picture

from genreclf import command_options, tag, tag_plan
from genreclf.frontend.picture import write_picture
from genreclf.inference.catalog import Scores
from genreclf.inference.embeddings import read_embeddings
from genreclf.inference.predictor import Predictor
from genreclf.inference.reliability import ReliabilityBin
from genreclf.tags.file_tags import read_genre_tag, read_tags, write_genres
from genreclf.tags.plan import read_plan

Run = Callable[..., tuple[int, str, str]]
_FORMATS = {
    ".mp3": ("mp3", "libmp3lame"),
    ".flac": ("flac", "flac"),
    ".m4a": ("ipod", "aac"),
    ".wav": ("wav", "pcm_s16le"),
    ".mka": ("matroska", "flac"),
}
# By name: the pitch of the tone (None for silence), the genre, and the plan's action
SONGS = {
    "low.mp3": ("low", (), "write"),
    "caf\udce9 =1.flac": ("low", (), "write"),
    "=cmd(),;\n.flac": ("middle", (), "write"),
    "high.m4a": ("high", (), "skip"),
    "rock.mp3": ("low", ("Rock", "Pop"), "keep"),
    "ska.mp3": ("low", ("Ska",), "keep"),
    "still.wav": (None, (), "skip"),
    "low.mka": ("low", (), "skip"),
}
GENRES = {"low": "ska", "middle": "dub", "high": "raï", None: ""}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for name, (pitch, genres, _) in SONGS.items():
        sound = tone(pitch) if pitch else np.zeros(88_200, np.float32)
        (folder / name).write_bytes(av_written(*_FORMATS[Path(name).suffix], sound[None], 44_100))
        if genres:
            write_genres(folder / name, genres)
    (folder / "bad.mp3").write_bytes(b"no sound")
    write_picture(folder / "picture.png", tiny_picture(300, np.random.default_rng(0)))
    return folder


@pytest.fixture
def music(made, tmp_path, monkeypatch) -> Path:
    """A copy of the songs in the folder `music` of the working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "music")
    return Path("music")


@pytest.fixture
def run(run_main, monkeypatch) -> Run:
    """Runs the command with a tiny model; returns exit code, standard output, standard error."""
    monkeypatch.setattr(command_options, "load_predictor", tiny_predictor)
    return partial(run_main, tag.main)


def genres_in(folder: Path) -> dict[str, tuple[str, ...]]:
    """Returns the genres of the files that can hold one."""
    names = [name for name in SONGS if not name.endswith(".mka") and (folder / name).exists()]
    return {name: read_tags(folder / name).genres for name in names}


def state_of(folder: Path) -> dict[str, object]:
    """Returns everything in a folder that a plan must not change."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def count(out: str, *words: str) -> int:
    """Returns the number of files in the table's line that has cells with these words."""
    rows = [[cell.strip() for cell in line.split("│")] for line in out.splitlines() if "│" in line]
    (found,) = [row for row in rows if all(any(word in cell.split() for cell in row) for word in words)]
    return int(next(cell for cell in found if cell.isdecimal()))


def test_a_plan_lists_changes_and_writes_nothing(music, run):
    before = state_of(music)
    code, out, error = run(music, "--plan", "plan.csv")
    assert code == 1  # one file could not be read
    assert state_of(music) == before and {path.name for path in Path().iterdir()} == {"music", "plan.csv"}
    rows = {Path(row.path).name: row for row in read_plan(Path("plan.csv"))}
    assert rows.keys() == {*SONGS, "bad.mp3"}
    for name, (pitch, genres, action) in SONGS.items():
        row = rows[name]
        assert (row.path, row.action, row.genre) == (f"music/{name}", action, GENRES[pitch]), row
        assert (row.present, row.correct) == ("; ".join(genres), "")
        assert row.modified == str(int((music / name).stat().st_mtime))
    assert rows["bad.mp3"].action == "skip" and "bad.mp3" in rows["bad.mp3"].note
    assert "silence" in rows["still.wav"].note and "low.mka" in rows["low.mka"].note
    assert "pictures ignored" in error and "bad.mp3" in error
    header = Path("plan.csv").read_text().splitlines()[0]
    assert header.startswith("path,action,genre,probability,known,present,correct,note")
    assert (count(out, "write"), count(out, "keep"), count(out, "80")) == (3, 2, 1)
    assert "6 of the 7 files" in out


def test_apply_writes_the_plan_once_and_undo_restores(music, run):
    before, others = genres_in(music), {name: other_tags(music / name) for name in ("rock.mp3", "ska.mp3")}
    stored = {name: read_genre_tag(music / name) for name in before}
    sound = {name: packets(music / name) for name in before}
    run(music, "--plan", "plan.csv")
    code, out, error = run("--apply", "plan.csv")
    assert (code, error) == (0, "") and count(out, "written") == 3
    expected = {name: (GENRES[SONGS[name][0]],) if SONGS[name][2] == "write" else before[name] for name in before}
    assert genres_in(music) == expected and "--undo plan.csv.log" in out

    after = state_of(music)
    code, out, error = run("--apply", "plan.csv")
    assert (code, error) == (0, "") and "written" not in out and state_of(music) == after

    for restored in (3, 0):  # undoing twice is harmless, too
        code, out, error = run("--undo", "plan.csv.log")
        assert (code, error) == (0, "") and (count(out, "restored") if restored else 0) == restored
        assert genres_in(music) == before
        assert {name: read_genre_tag(music / name) for name in stored} == stored
    assert {name: packets(music / name) for name in sound} == sound
    assert {name: other_tags(music / name) for name in others} == others
    assert run("--apply", "plan.csv")[0] == 0 and genres_in(music) == expected


def actions(*names: str) -> list[tuple[str, str]]:
    rows = {Path(row.path).name: row for row in read_plan(Path("plan.csv"))}
    return [(rows[name].action, rows[name].genre) for name in names]


def test_the_threshold_and_existing_tags_decide(music, run):
    names = ("low.mp3", "=cmd(),;\n.flac", "high.m4a", "rock.mp3", "ska.mp3")
    run(music, "--plan", "plan.csv", "--min", "0.9")
    assert [action for action, _ in actions(*names)] == ["write", "skip", "skip", "keep", "keep"]
    run(music, "--plan", "plan.csv", "--min", "0.5", "--overwrite")
    assert actions(*names) == [
        ("write", "ska"),
        ("write", "dub"),
        ("write", "raï"),
        ("write", "ska"),
        ("keep", "ska"),  # it has this genre, in another spelling
    ]
    # Several genres: the fewest that reach the threshold together, none below 10 %.
    run(music, "--plan", "plan.csv", "--min", "0.92", "--genres", 2)
    assert actions(*names[:3]) == [("write", "ska"), ("write", "dub; ska"), ("write", "raï; dub")]
    run(music, "--plan", "plan.csv", "--min", "0.975", "--genres", 3)
    assert actions(*names[:3]) == [("skip", "ska"), ("write", "dub; ska"), ("skip", "raï")]


def correct(**genres: str) -> None:
    """Fills in the column `correct` and saves the plan as a spreadsheet does."""
    rows = list(csv.DictReader(io.StringIO(Path("plan.csv").read_text(), newline="")))
    for row in rows:
        row["correct"] = genres.get(Path(row["path"]).stem, "")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(reversed(rows[0])), delimiter=";", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    Path("plan.csv").write_bytes(text.getvalue().encode("utf-8-sig"))


def test_a_persons_correction_is_always_written(music, run):
    run(music, "--plan", "plan.csv")
    correct(rock="Hard Rock; Glam", low="dub", high="Raï")
    code, out, error = run("--apply", "plan.csv", "--log", "my.log", "--m3u", "lists")
    assert code == 1 and error.count("\n") == 3
    assert "low.mka: tags of this kind" in error  # and two names that no playlist can contain
    assert count(out, "written") == 5
    found = genres_in(music)
    assert (found["rock.mp3"], found["low.mp3"], found["high.m4a"]) == (("Hard Rock", "Glam"), ("dub",), ("Raï",))
    names = {path.name for path in Path("lists").iterdir()}
    assert names == {f"{genre}.m3u8" for genre in ("dub", "Glam", "Hard Rock", "Raï", "ska")}
    assert run(music, "--plan", "plan.csv")[0] == 2  # a new plan would lose the corrections
    assert run("--undo", "my.log")[0] == 0
    assert genres_in(music)["rock.mp3"] == ("Rock", "Pop")


def test_a_file_changed_since_the_plan_is_not_written(music, run):
    run(music, "--plan", "plan.csv")
    write_genres(music / "low.mp3", ["Mine"])
    os.utime(music / "caf\udce9 =1.flac", (1, 1))
    (music / "=cmd(),;\n.flac").unlink()
    after = state_of(music)
    code, out, error = run("--apply", "plan.csv")
    assert code == 1 and count(out, "skipped") == 3 and state_of(music) == after
    assert error.count("\n") == 3 and "'Mine'" in error and "since the plan" in error


def test_undo_leaves_a_genre_that_somebody_has_changed(music, run):
    run(music, "--plan", "plan.csv")
    run("--apply", "plan.csv")
    write_genres(music / "low.mp3", ["Mine"])
    code, out, error = run("--undo", "plan.csv.log")
    assert code == 1 and (count(out, "restored"), count(out, "skipped")) == (2, 1)
    assert "'Mine'" in error and error.count("\n") == 1
    assert genres_in(music)["low.mp3"] == ("Mine",) and genres_in(music)["caf\udce9 =1.flac"] == ()


def test_a_file_that_cannot_be_written_does_not_affect_the_others(music, run):
    run(music, "--plan", "plan.csv")
    (music / "low.mp3").chmod(0o444)
    code, out, error = run("--apply", "plan.csv")
    assert code == 1 and (count(out, "written"), count(out, "skipped")) == (2, 1)
    assert error.count("\n") == 1 and "low.mp3" in error and "read-only" in error
    run(music, "--plan", "plan.csv")
    assert actions("low.mp3")[0][0] == "skip"
    (music / "low.mp3").chmod(0o644)
    run(music, "--plan", "plan.csv")
    assert run("--apply", "plan.csv")[0] == 0 and genres_in(music)["low.mp3"] == ("ska",)


def test_playlists_and_embeddings_without_a_plan(music, run, monkeypatch):
    before = state_of(music)
    words = (music, "--m3u", "lists", "--embeddings", "e.parquet", "--journal", "journal")
    assert run(*words)[0] == 1
    lists = {path.stem: path.read_text() for path in Path("lists").iterdir()}
    assert lists.keys() == {"Rock", "Pop", "ska", "dub"}
    assert "../music/low.mp3\n" in lists["ska"] and "../music/ska.mp3\n" in lists["ska"]
    found = read_embeddings(Path("e.parquet"))
    assert set(found.paths) == {f"music/{name}" for name, (pitch, *_) in SONGS.items() if pitch}
    assert found.model == TinyModel.weights_sha256
    content = Path("e.parquet").read_bytes()
    monkeypatch.setattr(Predictor, "predict_file", None)  # all is in the journal
    assert run(*words)[0] == 1 and Path("e.parquet").read_bytes() == content
    assert state_of(music) == before


def test_the_share_of_correct_predictions_comes_from_the_models_scores(music, run, monkeypatch):
    bins = (ReliabilityBin(0.5, 0.8, 60, 0.5), ReliabilityBin(0.8, 0.9, 10, 0.7), ReliabilityBin(0.9, 1, 30, 0.9))
    monkeypatch.setattr(tag_plan, "read_scores", lambda _: Scores(0.6, (0.5, 0.7), 1, bins))
    out = run(music, "--plan", "plan.csv")[1]
    assert "100 held-out clips" in out and "40 %" in out and "85 %" in out
    assert "held-out" not in run(music, "--plan", "plan.csv", "--genres", 2)[1]
    monkeypatch.setattr(tag_plan, "read_scores", lambda _: Scores(0.6, (0.5, 0.7), 1))
    assert "held-out" not in run(music, "--plan", "plan.csv")[1]


@pytest.mark.parametrize(
    ("words", "key", "remedy"),
    [
        ([], "--plan", "--help"),
        (["music"], "--plan", "--m3u"),
        (["music", "--apply", "plan.csv"], "--apply", "--plan"),
        (["--apply", "no.csv"], "no.csv", "give"),
        (["--apply", "notes.txt"], "notes.txt", "--plan"),
        (["--apply", "plan.csv", "--min", "0.5"], "--min", "--plan"),
        (["--apply", "plan.csv", "--log", "no/log"], "no/log", "another file"),
        (["--apply", "plan.csv", "--log", "notes.txt"], "notes.txt", "give"),
        (["--apply", "plan.csv", "--undo", "log"], "--undo", "--plan"),
        (["--undo", "notes.txt"], "notes.txt", "--apply"),
        (["music", "--plan", "plan.csv", "--log", "log"], "--log", "--apply"),
        (["music", "--plan", "no/plan.csv"], "no/plan.csv", "another file"),
        (["music", "--plan", "notes.txt"], "notes.txt", "--plan"),
        (["music", "--plan", "p.csv", "--min", "80"], "80", "at most 1"),
        (["music", "--plan", "p.csv", "--genres", "0"], "0", "1 or more"),
        (["music", "--plan", "p.csv", "--embeddings", "e.txt"], "e.txt", ".parquet"),
        (["music", "--watch"], "--watch", "--plan"),
        (["music/low.mp3", "--watch", "--plan", "p.csv"], "music/low.mp3", "folder"),
        (["music", "gone.mp3", "--plan", "p.csv"], "gone.mp3", "give"),
        (["music/picture.png", "--plan", "p.csv"], "no audio", "give"),
    ],
)
def test_wrong_calls_are_one_line(words, key, remedy, music, run):
    Path("notes.txt").write_text("my notes\n")
    Path("plan.csv").write_text("path,action,genre,present\n")
    Path("log").write_text("")
    before = state_of(music)
    code, _, error = run(*words)
    lines = [line for line in error.splitlines() if "ignored" not in line]
    assert code == 2 and len(lines) == 1 and lines[0].startswith("genreclf: "), error
    assert key in lines[0] and remedy in lines[0]
    assert state_of(music) == before and Path("notes.txt").read_text() == "my notes\n"


def test_a_genre_that_a_cell_would_split_is_refused(music, run, monkeypatch):
    model = TinyModel(("a;b", *CLASSES[1:]))
    monkeypatch.setattr(command_options, "load_predictor", lambda *_: Predictor(model))
    code, _, error = run(music, "--plan", "plan.csv")
    assert code == 2 and "'a;b'" in error and not Path("plan.csv").exists()


def test_writing_that_was_killed_resumes_and_can_be_undone(music, run, tmp_path):
    for number in range(40):
        shutil.copy(music / "low.mp3", music / f"copy{number}.mp3")
    before, sound = state_of(music), packets(music / "low.mp3")
    run(music, "--plan", "plan.csv")
    words = [sys.executable, "-m", "genreclf.tag", "--apply", "plan.csv"]
    log, seed, written, kills = Path("plan.csv.log"), random.Random(1), 0, 0
    for _ in range(3):
        lines = len(log.read_bytes()) if log.exists() else 0
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": PATHS})
        while process.poll() is None and (not log.exists() or len(log.read_bytes()) == lines):
            time.sleep(0.01)
        time.sleep(seed.uniform(0, 0.1))
        kills += process.poll() is None
        process.kill()
        process.communicate()
        copies = [music / f"copy{number}.mp3" for number in range(40)]
        assert all(packets(path) == sound for path in copies)
        assert {read_tags(path).genres for path in copies} <= {(), ("ska",)}
        logged = {json.loads(line)["path"] for line in log.read_text().splitlines() if line}
        tagged = [path for path in copies if read_tags(path).genres]
        assert {str(path.absolute()) for path in tagged} <= logged and len(tagged) >= written
        written = len(tagged)
    assert kills
    assert run("--apply", "plan.csv")[0] == 0 and all(read_tags(path).genres == ("ska",) for path in copies)
    assert run("--undo", "plan.csv.log")[0] == 0
    assert genres_in(music)["low.mp3"] == () and not any(read_tags(path).genres for path in copies)
    assert state_of(music).keys() == before.keys()  # nothing is left over


PATHS = os.pathsep.join(sys.path)
WATCH = """
import sys
from tiny_model import tiny_predictor
from genreclf import command_options, tag, tag_plan
from genreclf.tags import arrivals
command_options.load_predictor, arrivals.STILL_SECONDS = tiny_predictor, 0.7
sys.exit(tag.main(sys.argv[1:]))
"""


def test_watching_adds_files_as_they_appear(made, music, tmp_path):
    pytest.importorskip("watchfiles")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    shutil.copy(made / "low.mp3", inbox / "first.mp3")
    script = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler){WATCH}"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "inbox", "--watch", "--plan", "plan.csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": PATHS},
    )
    try:
        assert "first.mp3" in process.stdout.readline()
        content = (made / "=cmd(),;\n.flac").read_bytes()
        (inbox / "new").mkdir()
        with (inbox / "new" / "slow.flac").open("wb") as file:  # slowly
            for start in range(0, len(content), len(content) // 4 + 1):
                file.write(content[start : start + len(content) // 4 + 1])
                file.flush()
                time.sleep(0.4)
        shutil.copy(made / "picture.png", inbox / "no song.png")
        assert "slow.flac" in process.stdout.readline()
        shutil.move(shutil.copytree(made, tmp_path / "moved"), inbox / "moved")  # a whole folder
        lines = [process.stdout.readline() for _ in (*SONGS, "bad.mp3")]
        (failed,) = (line for line in lines if line.startswith("skip") and "bad.mp3" in line)
        assert failed.count("bad.mp3") == 1 and not any("bad.mp3" in line for line in lines if line is not failed)
        assert all(line.count("inbox/moved/") == 1 for line in lines)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 128 + signal.SIGINT
        assert process.stderr.read().count("\n") == 3
    finally:
        process.kill()
        process.communicate()
    rows = read_plan(Path("plan.csv"))
    assert [(row.path, row.action, row.genre) for row in rows[:2]] == [
        ("inbox/first.mp3", "write", "ska"),
        ("inbox/new/slow.flac", "write", "dub"),
    ]
    assert {row.path for row in rows[2:]} == {f"inbox/moved/{name}" for name in (*SONGS, "bad.mp3")}

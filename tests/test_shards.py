"""A library in shards: a separate process predicts each, and the merged result equals that of a single run."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_pictures import write_noise_pictures

from genreclf import embed
from genreclf.files import write_once
from genreclf.inference.array_task import ArrayTask, Numbering, array_task, ranges
from genreclf.inference.predicted_rows import Contents
from genreclf.inference.predictor import Predictor
from genreclf.inference.shards import Manifest

COUNT = 7  # clips in the library, and a file that is not a clip
Run = Callable[..., tuple[int, str, str]]
MANIFEST = Manifest(1, Numbering(), "", Contents(), (), "", "", ())


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    write_noise_pictures(folder, [f"{number}.png" for number in range(COUNT)])
    (folder / "3a.wav").write_bytes(b"RIFF no sound")
    return folder


@pytest.fixture
def run(run_predict, monkeypatch) -> Run:
    """Like `run_predict`, but as a task of a job array if `task` gives its ID, COUNT, MIN, MAX and STEP."""

    def run(*words: object, task: tuple[int, ...] = (), **main: Callable[..., int]) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            for key, value in zip(("ID", "COUNT", "MIN", "MAX", "STEP"), task, strict=False):
                patch.setenv(f"SLURM_ARRAY_TASK_{key}", str(value))
            return run_predict(*words, **main)

    return run


@given(st.integers(0, 300), st.integers(1, 50))
def test_shards_divide_any_list_evenly(count, shards):
    files = tuple(map(str, range(count)))
    manifest = replace(MANIFEST, count=shards, files=files)
    parts = [files[manifest.part(number)] for number in range(1, shards + 1)]
    assert sum(parts, ()) == files
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 40), st.integers(0, 1500))
def test_each_task_of_an_array_has_a_shard_of_its_own(first, step, count, task):
    numbering, tasks = Numbering(first, step), range(first, first + count * step, step)
    assert [numbering.shard(number, count) for number in tasks] == list(range(1, count + 1))
    assert [numbering.task(shard) for shard in range(1, count + 1)] == list(tasks)
    if task not in tasks:
        with pytest.raises(Exception, match="--shard I/N"):
            numbering.shard(task, count)


@given(st.sets(st.integers(0, 60)))
def test_ranges_name_each_number_once(numbers):
    spans = [span.split("-") for span in ranges(sorted(numbers)).split(",") if span]
    named = [number for span in spans for number in range(int(span[0]), int(span[-1]) + 1)]
    assert named == sorted(numbers)


def test_the_array_is_read_from_slurms_variables():
    environment = {f"SLURM_ARRAY_TASK_{key}": value for key, value in {"ID": "12", "COUNT": "10"}.items()}
    assert array_task({}) is None
    assert array_task(environment) == ArrayTask(12, 10, Numbering(0, 1), 9)
    environment |= {"SLURM_ARRAY_TASK_MIN": "10", "SLURM_ARRAY_TASK_MAX": "28", "SLURM_ARRAY_TASK_STEP": "2"}
    assert array_task(environment) == ArrayTask(12, 10, Numbering(10, 2), 28)
    assert array_task(environment).shards() == 10
    with pytest.raises(Exception, match="--shard I/N"):  # --array=10,14,28
        array_task(environment | {"SLURM_ARRAY_TASK_COUNT": "3"}).shards()


@pytest.mark.parametrize("words", [["--csv"], ["--json"], ["--csv", "--segments"], []])
def test_the_merged_result_equals_a_single_run(words, library, run, tmp_path):
    paths = [library, library / "2.png"]  # one of the files twice
    code, single, _ = run(*paths, *words, "--parquet", tmp_path / "single.parquet")
    assert code == 1 and single.count("2.png") >= 2 * bool(words)
    segments = [word for word in words if word == "--segments"]
    for number in (2, 3, 1):
        code, out, error = run(*paths, "--shards", tmp_path / "shards", "--shard", f"{number}/3", *segments)
        assert (code, out) == (0, "") and f"shard {number} of 3" in error
    outputs = run("--shards", tmp_path / "shards", "--merge", *words, "--parquet", tmp_path / "merged.parquet")
    assert outputs[:2] == (1, single) and "3a.wav" in outputs[2]
    assert (tmp_path / "merged.parquet").read_bytes() == (tmp_path / "single.parquet").read_bytes()


def test_merged_embeddings_equal_a_single_run(library, run, tmp_path):
    assert run(library, "--out", tmp_path / "single.npz", main=embed.main)[0] == 1
    for number in (1, 2):
        code, *_ = run(library, "--shards", tmp_path / "shards", "--shard", f"{number}/2", main=embed.main)
        assert code == 0
    code, _, error = run("--shards", tmp_path / "shards", "--merge", "--out", tmp_path / "merged.npz", main=embed.main)
    assert code == 1 and "3a.wav" in error
    assert (tmp_path / "merged.npz").read_bytes() == (tmp_path / "single.npz").read_bytes()


def test_a_second_job_array_runs_only_the_missing_shards(library, run, tmp_path):
    """`sbatch --array=10-18:2`, of which tasks 12 and 18 fail, and then `sbatch --array=$(... --missing)`."""
    shards = ["--shards", tmp_path / "shards"]
    for task in (10, 14, 16):
        assert run(library, *shards, task=(task, 5, 10, 18, 2))[0] == 0
    assert run(*shards, "--missing")[:2] == (0, "12,18\n")
    code, out, error = run(*shards, "--merge", "--csv")
    assert (code, out) == (2, "") and error.count("\n") == 1
    assert "2,5 of 5" in error and "--array=12,18" in error
    code, _, error = run(library, *shards, task=(13, 2, 12, 13, 1))
    assert code == 2 and "SLURM_ARRAY_TASK_ID=13" in error
    for task in (12, 18):
        assert run(*shards, task=(task, 2, 12, 18, 1))[0] == 0  # with the manifest's files
    assert run(*shards, "--missing")[:2] == (0, "")
    assert run(*shards, "--merge", "--csv")[1] == run(library, "--csv", task=(3, 9, 0, 8, 1))[1]


def test_a_finished_shard_is_not_run_again(library, run, tmp_path, monkeypatch):
    words = [library, "--shards", tmp_path / "shards", "--shard", "1/1"]
    assert run(*words)[0] == 0
    monkeypatch.setattr(Predictor, "predict", None)  # fails if called
    code, _, error = run(*words)
    assert code == 0 and "already" in error


KILLED = """
import os, signal, sys
from genreclf.inference.predictor import Predictor
from genreclf.predict import main
left, predict = [4], Predictor.predict
def killed(*words):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return predict(*words)
Predictor.predict = killed
main(sys.argv[1:])
"""


def test_a_killed_shard_resumes_from_its_journal(library, run, tmp_path, monkeypatch):
    shards = tmp_path / "shards"
    words = [str(library), "--shards", str(shards), "--shard", "1/1", "--model", "a"]
    done = subprocess.run([sys.executable, "-c", KILLED, *words, "--workers", "1"], check=False)
    assert done.returncode == -signal.SIGKILL
    (journal,) = shards.glob("*/journal")
    kept = [json.loads(line)["path"] for line in journal.read_text().splitlines() if line]
    assert 0 < len(kept) < COUNT and run("--shards", shards, "--missing")[1] == "1\n"
    predicted: list[str] = []
    real = Predictor.predict_file
    monkeypatch.setattr(Predictor, "predict_file", lambda self, path: predicted.append(str(path)) or real(self, path))
    assert run(*words[:-2])[0] == 0
    names = sorted(str(path) for path in library.iterdir())
    assert sorted(kept + predicted) == names  # each file once
    (rows,) = shards.glob("*/rows.jsonl")
    assert [json.loads(line)["path"] for line in rows.read_text().splitlines()] == names
    assert run("--shards", shards, "--merge", "--csv")[1] == run(library, "--csv")[1]


def test_two_processes_do_not_run_one_shard_at_once(library, run, tmp_path):
    words = [library, "--shards", tmp_path, "--shard", "1/1"]
    (tmp_path / "shard-1-of-1").mkdir()
    with (tmp_path / "shard-1-of-1" / "journal").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, _, error = run(*words)
        assert code == 2 and error.count("\n") == 1 and "journal" in error and "wait" in error
    assert run(*words)[0] == 0


def test_other_shards_files_and_models_are_refused(library, run, tmp_path, monkeypatch):
    shards = ["--shards", tmp_path / "shards"]
    assert run(library, *shards, "--shard", "1/9")[0] == 0  # of eight files, this shard has none
    before = (tmp_path / "shards" / "manifest.json").read_bytes()
    for words, remedy in (
        ([library, *shards, "--shard", "1/8"], "continue with 9"),
        ([library / "1.png", *shards, "--shard", "2/9"], "leave FILE out"),
        ([library, *shards, "--shard", "2/9", "--segments"], "settings"),
        ([library, *shards, "--shard", "2/9", "--tta", "flip"], "settings"),
    ):
        code, _, error = run(*words)
        assert code == 2 and error.count("\n") == 1 and str(tmp_path) in error
        assert remedy in error and "another folder" in error
    assert (tmp_path / "shards" / "manifest.json").read_bytes() == before
    monkeypatch.chdir(library)
    assert run("1.png", "2.png", "--shards", tmp_path / "relative", "--shard", "1/2")[0] == 0
    monkeypatch.chdir(tmp_path)
    code, _, error = run("--shards", tmp_path / "relative", "--shard", "2/2")
    assert code == 2 and f"begun in {library}" in error


@pytest.mark.parametrize("damage", [lambda lines: lines[:-1], lambda lines: [*lines, lines[0]], lambda lines: ["{"]])
def test_a_damaged_shard_is_not_merged(damage, library, run, tmp_path):
    shards = ["--shards", tmp_path]
    assert run(library, *shards, "--shard", "1/1")[0] == 0
    (rows,) = tmp_path.glob("*/rows.jsonl")
    rows.write_text("\n".join(damage(rows.read_text().splitlines())) + "\n")
    code, _, error = run(*shards, "--merge")
    assert code == 2 and str(rows) in error and "shard 1" in error


def test_names_that_are_not_unicode_are_kept(library, run, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9\n.png")
    path.write_bytes((library / "1.png").read_bytes())
    assert run(path, "--shards", tmp_path / "shards", "--shard", "1/1")[0] == 0
    ((row,), _) = json.loads(run("--shards", tmp_path / "shards", "--merge", "--json")[1]), None
    assert row["path"] == str(path)


def test_a_file_system_without_links_suffices(tmp_path, monkeypatch):
    def fails(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", fails)
    write_once(tmp_path / "manifest.json", "content")
    assert (tmp_path / "manifest.json").read_text() == "content" and len(list(tmp_path.iterdir())) == 1


def test_one_of_many_processes_writes_a_file_once(tmp_path):
    file = tmp_path / "manifest.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_once(file, str(number) * 5000), range(8)))
    content = file.read_text()
    assert len(content) == 5000 and len(set(content)) == 1
    write_once(file, "later")
    assert file.read_text() == content and os.listdir(tmp_path) == [file.name]  # noqa: PTH208


@pytest.mark.parametrize(
    ("words", "key", "remedy"),
    [
        ([], "FILE", "give"),
        (["x.png", "--shard", "1/2"], "--shard", "--shards FOLDER"),
        (["--merge"], "FILE", "give"),
        (["--shards", "s", "--merge"], "manifest.json", "run a shard"),
        (["--shards", "s", "--merge", "--missing"], "--missing", "--merge"),
        (["x.png", "--shards", "s", "--merge"], "x.png", "leave it out"),
        (["--shards", "s", "--shard", "1/2"], "s: ", "give FILE"),
        (["x.png", "--shards", "s"], "--shards s", "--shard I/N"),
        (["x.png", "--shards", "s", "--shard", "0/2"], "0/2", "I from 1"),
        (["x.png", "--shards", "s", "--shard", "1/2", "--csv"], "--csv", "--merge"),
        (["x.png", "--shards", "s", "--shard", "1/2", "--journal", "j"], "--journal", "leave it out"),
    ],
)
def test_wrong_calls_are_one_line(words, key, remedy, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = run(*words)
    assert code == 2 and error.count("\n") == 1 and key in error and remedy in error
    assert not (tmp_path / "s").exists()

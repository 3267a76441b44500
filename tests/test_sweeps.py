"""Sweeps: the names of their folders, sweeps that are started again, and jobs in separate processes."""

from pathlib import Path

import numpy as np
import pytest
from command_line import NO_EXTRAS, Finished, command
from hydra.core.utils import JobReturn, JobStatus
from hypothesis import given
from hypothesis import strategies as st
from tiny_pictures import tiny_picture

from genreclf.errors import GenreclfError
from genreclf.frontend.picture import write_picture
from genreclf.hydra_command import run_command
from genreclf.sweeps import collected_exit_codes, folder_name, sweep_words

names = st.text(st.sampled_from("ab/é歌,="), min_size=1, max_size=200)


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Two genres of six pictures each."""
    folder, rng = tmp_path_factory.mktemp("music"), np.random.default_rng(0)
    for genre in ("high", "low"):
        (folder / genre).mkdir()
        for number in range(6):
            write_picture(folder / genre / f"{number}.png", tiny_picture(260, rng))
    return folder


def sweep(music: Path, cache: Path, *arguments: str) -> Finished:
    words = ["-m", "logger=none", "view=crop", "data=folder", "data.picture_seconds=6", f"data.path={music}"]
    return command("train", *words, *arguments, cache=cache, before=NO_EXTRAS)


@given(names, names)
def test_a_folder_name_is_one_short_unique_name(text, other):
    name = folder_name(text)
    assert "/" not in name and len(name.encode()) <= 120
    assert (name == folder_name(other)) == (text == other)
    assert name == text or "/" in text or len(text.encode()) > 120


def test_the_folder_of_a_job_is_named_after_the_keys_that_differ():
    words = ["-m", "model=a,b", "hydra/launcher=basic", "run=runs/x", "data.path=/music", "split.shares=[0.8,0.1,0.1]"]
    *given_words, excluded = sweep_words(words)
    assert given_words == [*words[:3], "hydra.sweep.dir=runs/x", *words[4:]]
    assert excluded.endswith('=["hydra/launcher","run","data.path","split.shares"]')


def test_a_sweep_started_again_does_only_what_is_missing(music, tmp_path):
    long = f"teacher={'x' * 300}"  # part of a folder's name
    words = ["run=sweep", "model=majority,svm", "seed=0"]
    first = sweep(music, tmp_path, *words, "batch_size=8")
    assert first.returncode == 0, first.stderr
    folders = sorted(path for path in (tmp_path / "sweep").iterdir() if path.is_dir())
    assert [folder.name for folder in folders] == ["model=majority", "model=svm"]
    written = {folder: (folder / "bundle" / "config.json").stat().st_mtime_ns for folder in folders}
    (folders[1] / "bundle" / "config.json").unlink()

    again = sweep(music, tmp_path, *words, "batch_size=8")
    assert again.returncode == 0 and again.stdout.count("finished before") == 1, again.stdout + again.stderr
    changed = [path for path in folders if (path / "bundle" / "config.json").stat().st_mtime_ns != written[path]]
    assert changed == [folders[1]]

    other = sweep(music, tmp_path, *words, "batch_size=4")
    lines = other.stderr.splitlines()
    assert other.returncode == 2 and len(lines) == 2
    assert all("batch_size=4, batch_size=8" in line and "run=FOLDER" in line for line in lines)
    named = sweep(music, tmp_path, "run=long", "model=majority", long)
    assert named.returncode == 0 and f"{long}: without effect: model=majority" in named.stderr  # no error in a sweep


def test_a_launcher_gives_each_job_a_process_and_a_failure_does_not_affect_the_others(monkeypatch, tmp_path, capsys):
    pytest.importorskip("submitit")
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.chdir(tmp_path)

    def task(config, overrides):  # does not make the jobs' processes import torch
        if config["seed"] == 1:
            raise GenreclfError("seed=1: wrong; give another")
        Path("done", str(config["seed"])).touch()

    Path("done").mkdir()
    code = run_command("train", task, ["-m", "hydra/launcher=submitit_local", "run=sweep", "seed=0,1,2"])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("genreclf: ")]
    assert code == 2 and sorted(path.name for path in Path("done").iterdir()) == ["0", "2"]
    assert len(lines) == 1 and "seed=1: wrong; give another" in lines[0] and "_log.err" in lines[0]
    assert {"seed=0", "seed=1", "seed=2"} < {path.name for path in Path("sweep").iterdir()}


def test_killed_jobs_are_reported_and_do_not_affect_the_others(monkeypatch, tmp_path, capsys):
    submitit = pytest.importorskip("submitit")

    class Job:
        job_id = "7"

        def __init__(self, returned):
            self.returned = returned
            self.paths = type("Paths", (), {"stderr": tmp_path / "err"})

    def results(job):
        if isinstance(job.returned, Exception):
            raise job.returned
        return [job.returned]

    bug = JobReturn(status=JobStatus.FAILED, _return_value=ZeroDivisionError("a bug"))
    fine = JobReturn(status=JobStatus.COMPLETED, _return_value=0)
    monkeypatch.setattr(submitit.Job, "results", results)
    codes: list[int] = []
    with collected_exit_codes(["hydra/launcher=submitit_slurm"], codes):
        for returned in (submitit.core.utils.UncompletedJobError("killed"), fine, bug):
            assert submitit.Job.results(Job(returned))[0].status == JobStatus.COMPLETED
    error = capsys.readouterr().err
    assert codes == [1, 0, 1] and "killed" in error and "a bug" in error
    assert submitit.Job.results is results


@pytest.mark.parametrize(
    ("launcher", "parts"), [("submitit_nowhere", ("submitit_nowhere: ", "slurm]")), ("nowhere", ("nowhere: ", "basic"))]
)
def test_a_launcher_that_is_not_installed_is_named(launcher, parts, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command("train", lambda config, _: None, ["-m", f"hydra/launcher={launcher}", "seed=0,1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and all(word in error for word in ("hydra/launcher=", *parts))


def test_a_machine_without_slurm_is_named(monkeypatch, tmp_path, capsys):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert run_command("train", lambda config, _: None, ["-m", "hydra/launcher=submitit_slurm", "seed=0,1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "srun" in error

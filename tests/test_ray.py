"""A library on a Ray cluster: the same rows as from threads, whatever becomes of the nodes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_pictures import tiny_picture

from genreclf import predict
from genreclf.frontend.picture import write_picture

ray_engine = pytest.importorskip("genreclf.inference.ray_engine")  # before Ray, to which it says what to print
from ray.cluster_utils import Cluster  # noqa: E402

COUNT = 24
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    folder, rng = tmp_path_factory.mktemp("library"), np.random.default_rng(0)
    for number in range(COUNT):
        write_picture(folder / f"{number:02}.png", tiny_picture(600, rng))
    (folder / "bad.wav").write_bytes(b"RIFF no sound")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes with a CPU each, of which tests may end the last."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture
def run(capsys, monkeypatch) -> Run:
    monkeypatch.setenv("COLUMNS", "200")

    monkeypatch.setattr(ray_engine, "_WAIT_SECONDS", 600)  # a busy machine starts actors slowly

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = predict.main([*map(str, words), "--model", "a"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def journaled(journal: Path) -> list[str]:
    """The names of the files with a row, as often as they have one."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return sorted(Path(json.loads(line)["path"]).name for line in lines if line.endswith("}"))


def test_a_node_that_ends_costs_no_file_and_repeats_none(library, cluster, run, monkeypatch, tmp_path):
    single = run(library, "--csv", "--segments")
    begun, lost, (*_, doomed) = [], [], cluster.worker_nodes
    has_begun, finished = ray_engine._Pool._has_begun, ray_engine._Pool._finished

    class Slow(ray_engine._Worker):
        def rows(self, paths):
            time.sleep(0.5)  # so that the node ends while its actor is at work
            return super().rows(paths)

    monkeypatch.setattr(ray_engine, "_Worker", Slow)

    def note_begin(pool, reference):
        has_begun(pool, reference)
        begun.append(reference)

    def note_loss(pool, reference, chunks):
        if len(begun) == 3 and not lost:
            lost.append("the node")  # whose actor is at work: each has a chunk as soon as it is free
            cluster.remove_node(doomed, allow_graceful=False)
        rows = finished(pool, reference, chunks)
        lost.extend([] if rows else ["a chunk"])
        return rows

    monkeypatch.setattr(ray_engine._Pool, "_has_begun", note_begin)
    monkeypatch.setattr(ray_engine._Pool, "_finished", note_loss)
    words = [library, "--csv", "--segments", "--ray", cluster.address, "--journal", tmp_path / "journal"]
    assert run(*words) == single  # no word of Ray's either
    assert lost == ["the node", "a chunk"]
    assert journaled(tmp_path / "journal") == sorted(path.name for path in library.iterdir())


def test_a_file_that_ends_its_processes_costs_no_other_file_its_row(library, cluster, run, monkeypatch, tmp_path):
    class Worker(ray_engine._Worker):
        def rows(self, paths):
            if any(path.name == "03.png" for path in paths):
                os.kill(os.getpid(), signal.SIGKILL)
            return super().rows(paths)

    monkeypatch.setattr(ray_engine, "_Worker", Worker)
    monkeypatch.setattr(ray_engine, "_ATTEMPTS", 2)
    paths = sorted(library.glob("*.png"))[:6]
    words = ["--json", "--ray", cluster.address, "--journal", tmp_path / "journal", "--workers", "1"]
    code, out, error = run(*paths, *words)
    assert code == 1 and [row["path"] for row in json.loads(out)] == list(map(str, paths))
    assert [Path(row["path"]).name for row in json.loads(out) if row["problem"]] == ["03.png"]
    assert "03.png" in error and "memory" in error
    assert journaled(tmp_path / "journal") == [path.name for path in paths if path.name != "03.png"]
    monkeypatch.undo()
    assert run(*paths, *words)[0] == 0  # it is tried again
    assert journaled(tmp_path / "journal") == [path.name for path in paths]


def test_ctrl_c_ends_it_and_its_actors(library, cluster, tmp_path):
    journal = tmp_path / "journal"
    words = [str(library), "--ray", cluster.address, "--journal", str(journal), "--model", "a", "--workers", "1"]
    command = [sys.executable, "-m", "genreclf.predict", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A suite in the background ignores Ctrl-C, and so would its child processes.
    process = subprocess.Popen(command, **pipes, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not journaled(journal) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", "stopped\n")
    assert 0 < len(set(journaled(journal))) < COUNT


def test_other_models_on_the_nodes_are_refused(library, cluster, run, monkeypatch):
    monkeypatch.setattr(ray_engine._Worker, "begin", lambda self, *_: ("another", ""))
    code, out, error = run(library, "--csv", "--ray", cluster.address)
    assert (code, out) == (2, "") and error.count("\n") == 1 and "another model" in error and "install" in error


@pytest.mark.parametrize("address", ["here", "127.0.0.1:1", "[::1]:1", "127.0.0.1:99999"])
def test_a_wrong_address_is_one_line(address, library, run):
    code, out, error = run(library, "--csv", "--ray", address)
    assert (code, out) == (2, "") and error.count("\n") == 1 and f"--ray {address}" in error and "HOST:PORT" in error

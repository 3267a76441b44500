"""A Ray cluster gives the same rows and spectrograms as threads, whatever happens to the nodes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_pictures import write_noise_pictures

from genreclf.data.build_store import build_store
from genreclf.data.sources import Source, list_sources
from genreclf.errors import GenreclfError
from genreclf.frontend.object_store import StoreError
from genreclf.inference.predictor import Predictor

ray_pool = pytest.importorskip("genreclf.inference.ray_pool")  # before Ray, because it configures Ray's messages
from ray.cluster_utils import Cluster  # noqa: E402

from genreclf.data import ray_clips  # noqa: E402
from genreclf.inference import ray_engine  # noqa: E402

COUNT = 24
# Runs a command without messages about actors, which a busy machine starts slowly.
PATIENT = """
import importlib, sys
from genreclf.inference import ray_pool
ray_pool._WAIT_SECONDS = 600
sys.exit(importlib.import_module(f"genreclf.{sys.argv.pop(1)}").main())
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    write_noise_pictures(folder, [f"{number:02}.png" for number in range(COUNT)], columns=600)
    (folder / "bad.wav").write_bytes(b"RIFF no sound")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes with one CPU each. Tests may add and end others."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(ray_pool, "_WAIT_SECONDS", 600)  # a busy machine starts actors slowly


def journaled(journal: Path) -> list[str]:
    """Returns the names of the files with a row, once per row."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return sorted(Path(json.loads(line)["path"]).name for line in lines if line.endswith("}"))


@pytest.fixture
def all_began(tmp_path) -> Path:
    """A file that exists as soon as three actors have begun."""
    return tmp_path / "three actors"


def slow(worker: type, all_began: Path) -> type:
    """Returns a slow worker, so that a node can end while its actor is working. It waits until all actors work."""

    class Slow(worker):  # sent to the nodes by value, because they cannot import it from here
        def results(self, items):
            while not all_began.exists():
                time.sleep(0.05)
            time.sleep(0.5)
            return super().results(items)

    return Slow


@pytest.fixture
def lost(cluster, all_began, monkeypatch) -> list[str]:
    """Ends a node as soon as it has a working actor, one of three; then names what was lost."""
    begun, lost, doomed = [], [], cluster.add_node(num_cpus=1)
    has_begun, finished = ray_pool._Pool._has_begun, ray_pool._Pool._finished

    def note_begin(pool, reference):
        has_begun(pool, reference)
        begun.append(reference)
        if len(begun) == 3:
            all_began.touch()

    def note_loss(pool, reference, chunks):
        if len(begun) == 3 and not lost:
            lost.append("the node")  # its actor is working: each gets a chunk as soon as it is free
            cluster.remove_node(doomed, allow_graceful=False)
        results = finished(pool, reference, chunks)
        lost.extend([] if results else ["a chunk"])
        return results

    monkeypatch.setattr(ray_pool._Pool, "_has_begun", note_begin)
    monkeypatch.setattr(ray_pool._Pool, "_finished", note_loss)
    return lost


def test_no_file_is_lost_or_repeated_if_a_node_ends(
    library, cluster, all_began, lost, run_predict, monkeypatch, tmp_path
):
    single = run_predict(library, "--csv", "--segments")
    monkeypatch.setattr(ray_engine, "_Worker", slow(ray_engine._Worker, all_began))
    words = [library, "--csv", "--segments", "--ray", cluster.address, "--journal", tmp_path / "journal"]
    assert run_predict(*words) == single  # also no message from Ray
    assert lost == ["the node", "a chunk"]
    assert journaled(tmp_path / "journal") == sorted(path.name for path in library.glob("*.png"))


def test_a_file_that_kills_its_processes_does_not_affect_other_rows(
    library, cluster, run_predict, monkeypatch, tmp_path
):
    class Worker(ray_engine._Worker):
        def results(self, paths):
            if any(path.name == "03.png" for path in paths):
                os.kill(os.getpid(), signal.SIGKILL)
            return super().results(paths)

    monkeypatch.setattr(ray_engine, "_Worker", Worker)
    monkeypatch.setattr(ray_pool, "_ATTEMPTS", 2)
    paths = sorted(library.glob("*.png"))[:6]
    words = ["--json", "--ray", cluster.address, "--journal", tmp_path / "journal", "--workers", "1"]
    code, out, error = run_predict(*paths, *words)
    assert code == 1 and [row["path"] for row in json.loads(out)] == list(map(str, paths))
    assert [Path(row["path"]).name for row in json.loads(out) if row["problem"]] == ["03.png"]
    assert "03.png" in error and "memory" in error
    assert journaled(tmp_path / "journal") == [path.name for path in paths if path.name != "03.png"]
    monkeypatch.undo()
    assert run_predict(*paths, *words)[0] == 0  # it is tried again
    assert journaled(tmp_path / "journal") == [path.name for path in paths]


def test_ctrl_c_ends_it_and_its_actors(library, cluster, tmp_path):
    journal = tmp_path / "journal"
    words = [str(library), "--ray", cluster.address, "--journal", str(journal), "--model", "a", "--workers", "1"]
    command = [sys.executable, "-c", PATIENT, "predict", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A suite in the background ignores Ctrl-C, and its child processes would, too.
    process = subprocess.Popen(command, **pipes, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not journaled(journal) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", "stopped\n")
    assert 0 < len(set(journaled(journal))) < COUNT


def test_other_models_on_the_nodes_are_refused(library, cluster, run_predict, monkeypatch):
    monkeypatch.setattr(Predictor, "digest", "another")
    code, out, error = run_predict(library, "--csv", "--ray", cluster.address)
    assert (code, out) == (2, "") and error.count("\n") == 1 and "another model" in error and "install" in error


@pytest.mark.parametrize("address", ["here", "127.0.0.1:1", "[::1]:1", "127.0.0.1:99999"])
def test_a_wrong_address_is_one_line(address, library, run_predict):
    code, out, error = run_predict(library, "--csv", "--ray", address)
    assert (code, out) == (2, "") and error.count("\n") == 1 and f"--ray {address}" in error and "HOST:PORT" in error


# --- prepare ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> tuple[Path, list[Source]]:
    """A folder of two genres with 20 clips and a file that is not a clip; and the clips."""
    folder = tmp_path_factory.mktemp("music")
    write_noise_pictures(folder, [f"{'ab'[number % 2]}/{number:02}.png" for number in range(20)], columns=100)
    (folder / "a" / "broken.wav").write_bytes(b"RIFF no sound")
    return folder, list_sources(folder)


@pytest.fixture(scope="module")
def local_store(music, tmp_path_factory) -> dict[str, bytes]:
    return content(build_store(*music, tmp_path_factory.mktemp("local"), 30.0).folder)


def content(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def test_a_store_is_the_same_if_a_node_ends(music, local_store, cluster, all_began, lost, monkeypatch, tmp_path):
    monkeypatch.setattr(ray_clips, "_Worker", slow(ray_clips._Worker, all_began))
    engine = ray_clips.read_on_ray(ray_pool.Cluster("ray=", cluster.address))
    assert content(build_store(*music, tmp_path, 30.0, engine=engine).folder) == local_store
    assert lost == ["the node", "a chunk"]


def test_a_clip_that_kills_its_processes_is_left_out(music, cluster, monkeypatch, tmp_path):
    class Worker(ray_clips._Worker):
        def results(self, sources):
            if any(source.path == "b/03.png" for source in sources):
                os.kill(os.getpid(), signal.SIGKILL)
            return super().results(sources)

    monkeypatch.setattr(ray_clips, "_Worker", Worker)
    monkeypatch.setattr(ray_pool, "_ATTEMPTS", 2)
    folder, sources = music
    engine = ray_clips.read_on_ray(ray_pool.Cluster("ray=", cluster.address), workers=1)
    store = build_store(folder, sources[-10:], tmp_path, 30.0, engine=engine)
    assert [row.path for row in store.rows] == [source.path for source in sources[-10:]]
    (row,) = [row for row in store.rows if not row.columns]
    assert row.path == "b/03.png" and str(folder / row.path) in row.problem and "memory" in row.problem and row.digest


def test_a_killed_prepare_on_a_cluster_resumes(music, local_store, cluster, tmp_path):
    folder, _ = music
    words = [f"data.path={folder}", "data=folder", f"ray={cluster.address}", f"cache={tmp_path}"]
    command = [sys.executable, "-c", PATIENT, "prepare", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not journaled_clips(tmp_path):
            time.sleep(0.01)
        process.kill()
    kept = journaled_clips(tmp_path)
    assert process.returncode == -signal.SIGKILL and 0 < kept < 21
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.count("\n") == 1 and "skipped a/broken.wav" in done.stderr  # no message from Ray
    (store,) = (tmp_path / "stores").iterdir()
    assert content(store) == local_store


def journaled_clips(cache: Path) -> int:
    return sum(path.read_bytes().count(b"\n") - 1 for path in cache.glob("stores/*/clips.csv.partial"))


def test_a_node_without_the_files_is_refused(music, cluster, monkeypatch, tmp_path):
    folder, sources = music
    there = str(Path.cwd())
    monkeypatch.chdir(folder.parent)
    engine = ray_clips.read_on_ray(ray_pool.Cluster("ray=", cluster.address))
    monkeypatch.setattr(Path, "cwd", lambda: Path(there))  # a relative path means another folder on the nodes
    with pytest.raises(GenreclfError, match=r"a node lacks music.*same paths"):
        build_store(Path(folder.name), sources, tmp_path, 30.0, engine=engine)


def test_errors_of_an_object_store_are_reported_as_by_threads(music, cluster, monkeypatch, tmp_path):
    class Worker(ray_clips._Worker):
        def results(self, sources):
            raise StoreError("s3://songs/1.mp3: broken off; run the command again")

    monkeypatch.setattr(ray_clips, "_Worker", Worker)
    engine = ray_clips.read_on_ray(ray_pool.Cluster("ray=", cluster.address), workers=1)
    with pytest.raises(StoreError, match=r"^s3://songs/1.mp3: broken off; run the command again$"):
        build_store(*music, tmp_path, 30.0, engine=engine)


def test_in_order_few_results_wait_for_a_slow_one(cluster):
    class Worker:
        def begin(self):
            return ""

        def results(self, items):
            time.sleep(2 if items == (0,) else 0)
            return [(item, time.time()) for item in items]

    place = ray_pool.Cluster("ray=", cluster.address)
    with ray_pool.connected(place):
        job = ray_pool.Job(Worker, (), lost=str, memory_bytes=2**20)
        results = list(ray_pool.results_in_order(place, job, range(15), workers=2))
    assert [item for item, _ in results] == list(range(15))
    assert all(when >= results[0][1] for _, when in results[2 * ray_pool._CHUNKS_AHEAD :])  # chunks of one item

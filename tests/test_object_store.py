"""Clips in an object store: a local S3 server gives the same results as the disk."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_pictures import write_noise_pictures

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

import fsspec
import s3fs
from data_config import data_config
from fsspec.registry import known_implementations
from moto.server import ThreadedMotoServer

from genreclf.data import clip_reader
from genreclf.data.build_store import prepared_store
from genreclf.data.store import open_store
from genreclf.errors import GenreclfError
from genreclf.frontend import object_store
from genreclf.frontend.clip import read_clip
from genreclf.frontend.object_store import StoreError, StorePath, in_memory, objects_below

NAMES = ("b/2.png", "a/1 ä+&%.png", "a/1.png", "sound.wav", "bad.wav", "empty.mp3")


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    write_noise_pictures(folder, NAMES[:3])
    soundfile.write(folder / "sound.wav", np.random.default_rng(0).normal(0, 0.1, 22_050), 22_050)
    (folder / "bad.wav").write_bytes(b"RIFF no sound")
    (folder / "empty.mp3").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server, set in the environment like that of any other."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "name")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def bucket(server, library) -> str:
    """The URL of a prefix with the library and files to ignore."""
    system = fsspec.filesystem("s3")
    system.mkdir("songs")
    system.put(f"{library}/", "songs/my music/", recursive=True)
    for name in ("notes.txt", ".hidden/x.png", "b/cover.jpg", "b/3.mp3"):
        system.pipe(f"songs/my music/{name}", b"x")
    system.rm("songs/my music/b/3.mp3")
    return "s3://songs/my music"


def test_objects_get_the_rows_of_files(library, bucket, run_predict):
    code, out, _ = run_predict(library, "--json", "--segments")
    stored = run_predict(f"{bucket}/", "--json", "--segments")
    rows = [json.loads(text.replace(str(library), bucket)) for text in (out, stored[1])]
    problems = [[row.pop("problem") for row in table] for table in rows]
    assert stored[0] == code == 1 and rows[0] == rows[1] and len(rows[0]) == len(NAMES)
    assert [bool(problem) for problem in problems[0]] == [bool(problem) for problem in problems[1]]
    assert f"{bucket}/bad.wav: " in stored[2] and f"{bucket}/empty.mp3: empty" in stored[2]
    assert "notes.txt" in stored[2] and "hidden" not in stored[2] and "/proc" not in stored[2]


def test_an_object_and_files_are_predicted_in_the_order_given(library, bucket, run_predict):
    words = [f"{bucket}/b/2.png", library / "a" / "1.png", f"{bucket}/a/1.png"]
    code, out, _ = run_predict(*words, "--json")
    assert code == 0 and [row["path"] for row in json.loads(out)] == list(map(str, words))


def test_a_journal_distinguishes_versions_of_objects(bucket, server, run_predict, tmp_path, monkeypatch):
    system = fsspec.filesystem("s3")
    system.copy("songs/my music/a", "songs/changing/", recursive=True)
    words = ["s3://songs/changing", "--json", "--journal", tmp_path / "journal"]
    first = run_predict(*words)
    read: list[str] = []
    real = object_store._pieces
    monkeypatch.setattr(object_store, "_pieces", lambda path: read.append(path.url) or real(path))
    assert run_predict(*words) == first and not read
    system.pipe("songs/changing/1.png", system.cat("songs/my music/b/2.png"))
    code, out, _ = run_predict(*words)
    assert code == 0 and read == ["s3://songs/changing/1.png"] and out != first[1]


def test_shards_of_a_bucket_give_the_result_of_a_single_run(bucket, run_predict, tmp_path):
    single = run_predict(bucket, "--csv")[:2]
    for number in (2, 1):
        words = [bucket] if number == 2 else []  # the second takes the objects from the manifest
        assert run_predict(*words, "--shards", tmp_path / "shards", "--shard", f"{number}/2")[0] == 0
    assert run_predict("--shards", tmp_path / "shards", "--merge", "--csv")[:2] == single


def test_temporary_errors_are_retried_later(bucket, run_predict, monkeypatch, tmp_path):
    """A broken connection leaves a file without a prediction, but neither the journal nor the shard keeps that row."""
    real, words = object_store._pieces, [bucket, "--shards", tmp_path / "shards", "--shard", "1/1"]

    def pieces(path: StorePath) -> Iterator[bytes]:
        yield from real(path)
        if path.url.endswith("/b/2.png"):
            raise StoreError(f"{path}: broken off; run the command again")

    monkeypatch.setattr(object_store, "_pieces", pieces)
    code, _, error = run_predict(*words)
    assert code == 1 and "1 of 6 files" in error and "run it again" in error
    assert run_predict("--shards", tmp_path / "shards", "--missing")[1] == "1\n"
    monkeypatch.undo()
    assert run_predict(*words)[0] == 0
    assert run_predict("--shards", tmp_path / "shards", "--merge", "--csv")[:2] == run_predict(bucket, "--csv")[:2]


def test_memory_is_bounded(bucket, monkeypatch):
    objects = objects_below(StorePath(bucket))
    monkeypatch.setattr(object_store, "MAX_STORED_BYTES", 100)
    with pytest.raises(GenreclfError, match="copy it to a disk"):
        read_clip(objects["sound.wav"], 30.0)
    held = object_store._Held(10)
    with held.bytes(6), held.bytes(4):
        assert held.count == 10
    with held.bytes(99):  # alone
        assert held.count == 99
    assert held.count == 0


def test_a_truncated_object_is_not_a_clip(bucket):
    objects = objects_below(StorePath(bucket))
    listed = {**objects["sound.wav"].listed, "size": 10**6}
    with pytest.raises(StoreError, match="44144 of 1000000 bytes"), in_memory(StorePath(f"{bucket}/sound.wav", listed)):
        pass


def test_a_key_is_not_a_path(bucket, library, run_predict):
    """Slashes in a key are ordinary characters."""
    fsspec.filesystem("s3").pipe("songs/keys//1.png", (library / "a" / "1.png").read_bytes())
    code, out, _ = run_predict("s3://songs/keys", "--json")
    assert code == 0 and [row["path"] for row in json.loads(out)] == ["s3://songs/keys//1.png"]


def test_a_store_of_objects_equals_a_store_of_files(library, bucket, tmp_path):
    stores = [prepared_store(data_config(path=path, cache=tmp_path)).folder for path in (str(library), f"{bucket}/")]
    files = [{path.name: path.read_bytes() for path in store.iterdir()} for store in stores]
    about = [json.loads(each.pop("store.json")) for each in files]
    assert files[0] == files[1] and len(open_store(stores[1]).rows) == 3
    assert [each.pop("folder") for each in about] == [str(library), bucket] and about[0] == about[1]
    assert prepared_store(data_config(path=bucket, cache=tmp_path)).folder == stores[1]


def test_only_a_changed_object_is_read_for_the_new_store(bucket, tmp_path, monkeypatch):
    system = fsspec.filesystem("s3")
    for name in ("a/1.png", "b/2.png"):
        system.copy(f"songs/my music/{name}", f"songs/edited/{name}")
    data = data_config(path="s3://songs/edited", cache=tmp_path)
    first = prepared_store(data).folder
    system.pipe("songs/edited/b/2.png", system.cat("songs/my music/a/1.png"))
    decoded: list[str] = []
    monkeypatch.setattr(clip_reader, "read_clip", lambda *_, **settings: decoded.append(settings["suffix"]))
    assert prepared_store(data).folder != first and not decoded  # another object has the same content


def test_no_clip_is_lost_if_the_object_store_fails(bucket, tmp_path, monkeypatch):
    real, data = object_store._pieces, data_config(path=bucket, cache=tmp_path)

    def pieces(path: StorePath) -> Iterator[bytes]:
        if path.url.endswith("/b/2.png"):
            raise StoreError(f"{path}: broken off; run the command again")
        return real(path)

    monkeypatch.setattr(object_store, "_pieces", pieces)
    with pytest.raises(StoreError, match="run the command again"):
        prepared_store(data)
    monkeypatch.undo()
    assert all(row.columns for row in prepared_store(data).rows)


@pytest.mark.parametrize("name", ["tags", "gtzan", "fma"])
def test_commands_that_need_a_disk_refuse_a_url(name, bucket, tmp_path):
    with pytest.raises(GenreclfError, match=r"data\.path=s3://songs/my music.*data=folder.*copy it to a disk"):
        prepared_store(data_config(name, path=bucket, cache=tmp_path))


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("s3://songs/nothing", "check the bucket"),
        ("s3://no-such-bucket/x", "check the bucket"),
        ("s4://songs/x", "s3://bucket/prefix"),
        ("s3://songs/notes/", "no audio file"),
    ],
)
def test_wrong_urls_are_one_line(url, remedy, bucket, run_predict):
    fsspec.filesystem("s3").pipe("songs/notes/x.txt", b"x")
    code, out, error = run_predict(url, "--csv")
    line = error.splitlines()[-1]
    assert (code, out) == (2, "") and line.startswith(f"genreclf: {url.rstrip('/')}: ") and remedy in line


def test_an_unreachable_server_is_one_line(bucket, run_predict, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    code, out, error = run_predict("s3://songs", "--csv")
    s3fs.S3FileSystem.clear_instance_cache()
    assert (code, out) == (2, "") and error.count("\n") == 1 and "check the network" in error


def test_a_missing_package_is_one_line(run_predict, monkeypatch):
    monkeypatch.setitem(known_implementations, "gs", {"class": "no_gcsfs.GCS", "err": "install it"})
    code, _, error = run_predict("gs://songs", "--csv")
    assert code == 2 and error.count("\n") == 1 and "gs://songs: no_gcsfs is not installed" in error

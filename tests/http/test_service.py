"""The service on a real socket: clients in parallel, broken uploads, too much at once, and a stop in the middle."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import uvicorn
from bundles import CLASSES, random_bundle
from command_line import command

from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.picture import write_picture
from genreclf.http.service import Limits, create_app
from genreclf.inference.predictor import Predictor
from genreclf.nets.torch_model import TorchModel

LIMITS = Limits(requests=8, max_bytes=2 * 1024**2, max_seconds=30)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(TorchModel(random_bundle("a"), "none", "cpu"))


@contextmanager
def running(predictor: Predictor, limits: Limits = LIMITS) -> Iterator[tuple[uvicorn.Server, int]]:
    config = uvicorn.Config(create_app(predictor, limits), port=0, log_level="error", timeout_graceful_shutdown=20)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def port(predictor) -> Iterator[int]:
    with running(predictor) as (_, port):
        yield port


def asked(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, dict, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> list[Path]:
    """Six sounds of 3 to 18 s in four formats, and a picture."""
    folder, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)
    for number, suffix in enumerate((".wav", ".flac", ".ogg", ".mp3", ".wav", ".flac"), 1):
        soundfile.write(folder / f"{number}{suffix}", rng.normal(0, 0.1, SAMPLE_RATE_HZ * 3 * number), SAMPLE_RATE_HZ)
    write_picture(folder / "7.png", rng.integers(0, 256, (128, 300), np.uint8))
    return sorted(folder.iterdir())


def test_clients_in_parallel_get_what_the_files_get_alone(port, predictor, songs):
    with ThreadPoolExecutor(7) as clients:
        for _ in range(2):
            bodies = [song.read_bytes() for song in songs]
            answers = list(clients.map(lambda body: asked(port, "POST", "/classify?segments=true", body), bodies))
            for song, (status, _, content) in zip(songs, answers, strict=True):
                assert status == 200, content
                answer, alone = json.loads(content), predictor.predict_file(song)
                assert answer["genre"] == alone.genre and answer["seconds"] == alone.seconds
                assert list(answer["probabilities"].values()) == pytest.approx(alone.probabilities, abs=1e-5)
                assert len(answer["segments"]) == len(alone.segments)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 422, "upload: empty"),
        (b"just text", 422, "upload: cannot be read as audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), 422, "upload: "),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", 422, "upload: "),
        (bytes(3 * 1024**2), 413, "upload: larger than 2 MiB"),
    ],
)
def test_broken_uploads_are_told_why(port, body, status, message):
    got, _, content = asked(port, "POST", "/classify", body)
    assert got == status and json.loads(content)["detail"].startswith(message)
    assert "/proc" not in json.loads(content)["detail"]


def test_a_sound_that_is_too_long_is_refused(port, tmp_path):
    soundfile.write(tmp_path / "x.ogg", np.zeros(31 * 8_000), 8_000)
    got, _, content = asked(port, "POST", "/classify", (tmp_path / "x.ogg").read_bytes())
    assert (got, json.loads(content)["detail"]) == (422, "upload: longer than 30 s; cut it into shorter files")


def test_an_upload_without_a_length_is_bounded_too(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"80000\r\n" + bytes(0x80000) + b"\r\n"
        answer = b""
        try:
            for _ in range(8):
                client.sendall(piece)
            answer = client.recv(4096)
        except OSError:  # hung up on while it was still sending
            answer = answer or b"HTTP/1.1 413"
        assert answer.startswith(b"HTTP/1.1 413")


def test_a_client_that_goes_away_takes_no_place(port):
    for _ in range(12):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
    deadline = time.monotonic() + 20
    while b"genreclf_requests_at_work 0.0" not in asked(port, "GET", "/metrics")[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_says_who_it_is_and_what_it_takes(port):
    status, _, content = asked(port, "GET", "/health")
    assert status == 200 and json.loads(content)["classes"] == list(CLASSES) and json.loads(content)["status"] == "ok"
    described = json.loads(asked(port, "GET", "/openapi.json")[2])
    assert {"200", "413", "422", "503"} <= described["paths"]["/classify"]["post"]["responses"].keys()
    assert "application/octet-stream" in described["paths"]["/classify"]["post"]["requestBody"]["content"]
    assert asked(port, "GET", "/docs")[0] == 200


def test_what_was_answered_is_counted(predictor, songs):
    with running(predictor) as (_, port):
        asked(port, "POST", "/classify", songs[0].read_bytes())
        asked(port, "POST", "/classify", songs[0].read_bytes())
        asked(port, "POST", "/classify", b"text")
        told = asked(port, "GET", "/metrics")[2].decode()
    assert 'genreclf_requests_total{status="200"} 2.0' in told and 'genreclf_requests_total{status="422"} 1.0' in told
    assert "genreclf_seconds_count 3.0" in told


class Held(Predictor):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__(TorchModel(random_bundle("a"), "none", "cpu"))
        self.let = threading.Event()

    def predict_many(self, clips):
        clips = list(clips)
        assert self.let.wait(30)
        yield from super().predict_many(clips)


def test_more_than_it_takes_is_told_to_come_again(songs):
    held, body = Held(), songs[0].read_bytes()
    with running(held, Limits(3, 2**20, 30)) as (_, port), ThreadPoolExecutor(3) as clients:
        waiting = [clients.submit(asked, port, "POST", "/classify", body) for _ in range(3)]
        while b"genreclf_requests_at_work 3.0" not in asked(port, "GET", "/metrics")[2]:
            time.sleep(0.02)
        status, headers, _ = asked(port, "POST", "/classify", body)
        assert status == 503 and headers["retry-after"] == "1"
        held.let.set()
        assert [answer.result()[0] for answer in waiting] == [200] * 3
        assert asked(port, "POST", "/classify", body)[0] == 200


def test_a_stop_answers_first_what_was_accepted(songs):
    held, body = Held(), songs[0].read_bytes()
    with ThreadPoolExecutor(5) as clients:
        with running(held) as (server, port):
            waiting = [clients.submit(asked, port, "POST", "/classify", body) for _ in range(5)]
            while b"genreclf_requests_at_work 5.0" not in asked(port, "GET", "/metrics")[2]:
                time.sleep(0.02)
            server.should_exit = True
            time.sleep(0.3)
            held.let.set()
        assert [answer.result()[0] for answer in waiting] == [200] * 5


class Failing(Predictor):
    """Has a defect."""

    def __init__(self) -> None:
        super().__init__(TorchModel(random_bundle("a"), "none", "cpu"))

    def predict_many(self, clips):
        raise RuntimeError("a defect")


def test_a_defect_is_an_answer_too_and_the_service_lives(songs):
    with running(Failing()) as (_, port):
        for _ in range(2):
            assert asked(port, "POST", "/classify", songs[0].read_bytes())[0] == 500
        assert b'genreclf_requests_total{status="500"} 2.0' in asked(port, "GET", "/metrics")[2]


def test_wrong_calls_are_one_line(cache, tmp_path):
    result = command("serve", "--run", tmp_path, cache=cache)
    assert result.returncode == 2 and result.stderr.startswith(f"genreclf: run={tmp_path}: is no run folder")
    missing = "import sys; sys.modules['uvicorn'] = None"
    result = command("serve", "--run", tmp_path, cache=cache, before=missing)
    assert result.returncode == 2 and "uvicorn is not installed; pip install 'genreclf[serve]'" in result.stderr

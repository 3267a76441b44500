"""The service on a real socket: parallel clients, broken uploads, too many requests, and a stop in between."""

import gzip
import http.client
import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import uvicorn
from tiny_pictures import tiny_picture
from tiny_sounds import music_like

from genreclf.__main__ import main as genreclf
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.picture import write_picture
from genreclf.http.connection import protocol_with_timeout
from genreclf.http.service import Limits, create_app
from genreclf.inference.predictor import Predictor, load_predictor
from genreclf.serve import main

LIMITS = Limits(requests=8, max_bytes=2 * 1024**2, total_bytes=2**24, max_seconds=30, stall_seconds=20)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load_predictor("a", device="cpu")


@contextmanager
def running(predictor: Predictor, limits: Limits = LIMITS) -> Iterator[tuple[uvicorn.Server, int]]:
    app, http = create_app(predictor, limits), protocol_with_timeout(limits.stall_seconds)
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=http, log_level="error", timeout_graceful_shutdown=20))
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


def request(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


def wait_for(port: int, requests: int) -> None:
    """Waits until the service works on this number of requests."""
    deadline = time.monotonic() + 20
    while f"genreclf_requests_at_work {requests}.0".encode() not in request(port, "GET", "/metrics")[2]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> list[Path]:
    """Six sounds of 3 to 18 s, in four formats, and a picture."""
    folder, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)
    for number, suffix in enumerate((".wav", ".flac", ".ogg", ".mp3", ".wav", ".flac"), 1):
        soundfile.write(folder / f"{number}{suffix}", music_like(3 * number, rng), SAMPLE_RATE_HZ)
    write_picture(folder / "7.png", tiny_picture(300, rng))
    return sorted(folder.iterdir())


def test_parallel_clients_get_the_predictors_predictions(port, predictor, songs):
    bodies, expected = [song.read_bytes() for song in songs], [predictor.predict_file(song) for song in songs]
    with ThreadPoolExecutor(7) as clients:
        for _ in range(2):
            responses = list(clients.map(lambda body: request(port, "POST", "/classify?segments=true", body), bodies))
            for alone, (status, _, content) in zip(expected, responses, strict=True):
                assert status == 200, content
                result = json.loads(content)
                assert (result["genre"] or "") == alone.genre and result["seconds"] == alone.seconds
                assert list(result["probabilities"].values()) == list(alone.probabilities)
                assert len(result["segments"]) == len(alone.segments)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 422, "empty"),
        (b"just text", 422, "audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), 422, "picture"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", 422, "audio"),
        (bytes(3 * 1024**2), 413, "2 MiB"),
    ],
)
def test_broken_uploads_get_the_reason(port, body, status, message):
    got, _, content = request(port, "POST", "/classify", body)
    detail = json.loads(content)["detail"]
    assert got == status and detail.startswith("upload: ") and message in detail and "/proc" not in detail


def test_audio_that_is_too_long_is_refused(port, tmp_path):
    soundfile.write(tmp_path / "x.ogg", np.zeros(31 * 8_000), 8_000)
    got, _, content = request(port, "POST", "/classify", (tmp_path / "x.ogg").read_bytes())
    assert got == 422 and "30 s" in json.loads(content)["detail"]


def test_an_upload_without_a_length_is_bounded_too(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"80000\r\n" + bytes(0x80000) + b"\r\n"
        response = b""
        try:
            for _ in range(8):
                client.sendall(piece)
            response = client.recv(4096)
        except OSError:  # the server closed the connection while this was still sending
            response = response or b"HTTP/1.1 413"
        assert response.startswith(b"HTTP/1.1 413")


UPLOAD = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nRIFF"


def answer(client: socket.socket) -> bytes:
    """Returns everything that the server sends until it closes the connection."""
    content = b""
    while piece := client.recv(4096):
        content += piece
    return content


def test_stalled_and_very_slow_clients_are_rejected_and_block_nobody(predictor, songs):
    body = songs[0].read_bytes()
    with running(predictor, replace(LIMITS, requests=2, stall_seconds=2)) as (_, port), ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(70)]
        still, silent, heads, dribbling = clients[:10], clients[10:20], clients[20:30], clients[30:]
        for client in still + dribbling:
            client.sendall(UPLOAD)
        for client in heads:
            client.sendall(UPLOAD[:20])
        stop = threading.Event()

        def dribble() -> None:
            while not stop.wait(0.3):
                for client in list(dribbling):
                    try:
                        client.sendall(b"x")
                    except OSError:  # the server has closed the connection
                        dribbling.remove(client)

        thread = threading.Thread(target=dribble)
        thread.start()
        assert request(port, "POST", "/classify", body)[0] == 200
        for client in still:
            found = answer(client)
            assert found.startswith(b"HTTP/1.1 408") and b"upload: " in found
        assert {answer(client) for client in silent + heads} == {b""}  # no request, no response
        deadline = time.monotonic() + 20
        while dribbling and time.monotonic() < deadline:
            time.sleep(0.1)
        stop.set()
        thread.join()
        assert not dribbling
        assert request(port, "POST", "/classify", body)[0] == 200
        metrics = request(port, "GET", "/metrics")[2]
        assert b'genreclf_requests_total{status="408"} 50.0' in metrics and b"at_work 0.0" in metrics


def test_a_client_that_closes_only_its_sending_side_gets_its_response(port, songs):
    body = songs[0].read_bytes()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(f"POST /classify HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        client.shutdown(socket.SHUT_WR)
        assert answer(client).startswith(b"HTTP/1.1 200")


def test_a_slow_but_steady_upload_is_classified(predictor, songs):
    body = songs[0].read_bytes()
    head = f"POST /classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    with (
        running(predictor, replace(LIMITS, stall_seconds=2)) as (_, port),
        socket.create_connection(("127.0.0.1", port), timeout=30) as client,
    ):
        client.sendall(head.encode())
        for piece in range(5):
            client.sendall(body[piece * len(body) // 5 : (piece + 1) * len(body) // 5])
            time.sleep(0.5)
        assert answer(client).startswith(b"HTTP/1.1 200")


def test_uploads_share_a_bounded_memory(predictor, songs):
    body = songs[0].read_bytes()
    with running(predictor, replace(LIMITS, total_bytes=len(body) + 100)) as (_, port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(UPLOAD + bytes(200))
            deadline = time.monotonic() + 20
            while (status := request(port, "POST", "/classify", body)[0]) != 503:
                assert status == 200 and time.monotonic() < deadline
        while request(port, "POST", "/classify", body)[0] != 200:
            assert time.monotonic() < deadline


def test_clients_that_disconnect_are_not_errors(port, songs, caplog):
    body = songs[0].read_bytes()
    with caplog.at_level(logging.INFO):
        for sent in (UPLOAD, UPLOAD[:9], UPLOAD.replace(b"1000000", str(len(body)).encode())[:-4] + body):
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                    client.sendall(sent)
        assert request(port, "POST", "/classify", body)[0] == 200
        wait_for(port, 0)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def form(*parts: tuple[str, bytes], boundary: str = "--x1") -> tuple[bytes, str]:
    """Returns the body and content type of a form with these parts, (disposition, content)."""
    body = b""
    for disposition, content in parts:
        body += f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@pytest.mark.parametrize(
    "disposition",
    [
        *('name="file"; filename="song.mp3"', 'name="x"; filename="a;\\"b.wav"', 'name="file"', "name=file"),
        'name=x; filename="../../song.mp3"',
    ],
)
def test_a_form_with_a_file_is_its_file(port, songs, disposition):
    for song in (songs[0], songs[6]):
        content = song.read_bytes()
        body, kind = form(('name="comment"', b"RIFF\r\n--x1"), (disposition, content), ('name="more"', b""))
        status, _, found = request(port, "POST", "/classify", body, Content_Type=kind)
        assert status == 200 and found == request(port, "POST", "/classify", content)[2]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        form(('name="comment"', b"RIFF")),
        form(('name="file"; filename="a"', b"RIFF"), ('name="file"; filename="b"', b"RIFF")),
        form(("name=file", b"not audio")),
        form(("name=file", b"")),
        (form(("name=file", b"RIFF"))[0], "multipart/form-data"),
        (form(("name=file", b"RIFF"))[0], "multipart/form-data; boundary=other"),
        (b"no form", form()[1]),
        (b"", form()[1]),
    ],
)
def test_other_forms_get_the_reason(port, body, kind):
    status, _, content = request(port, "POST", "/classify", body, Content_Type=kind)
    assert status == 422 and json.loads(content)["detail"].startswith("upload: ")


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"Content_Encoding": "gzip"}, "gzip"),
        ({"Content_Encoding": "br"}, "br"),
        ({"Content_Type": "multipart/mixed; boundary=x1"}, "multipart/mixed"),
    ],
)
def test_a_body_that_is_neither_a_file_nor_a_form_is_refused(port, songs, headers, word):
    status, _, content = request(port, "POST", "/classify", gzip.compress(songs[0].read_bytes()), **headers)
    detail = json.loads(content)["detail"]
    assert status == 415 and detail.startswith("upload: ") and word in detail and "send" in detail


def test_a_connection_stays_open_after_errors(port, songs):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    statuses = []
    for path, body, headers in [
        ("/classify", b"text", {}),
        ("/nothing", songs[0].read_bytes(), {}),
        ("/classify", bytes(3 * 1024**2), {}),
        ("/classify", b"text", {"Content-Encoding": "gzip"}),
        ("/classify", songs[0].read_bytes(), {}),
    ]:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        statuses.append(response.status)
        response.read()
    assert statuses == [422, 404, 413, 415, 200]


@pytest.mark.parametrize("lost_bytes", [1, 4, 9, 3_000])
def test_a_form_that_is_cut_off_is_refused(port, songs, lost_bytes):
    """The received part of the file could pass for the whole file."""
    body, kind = form(("name=file", songs[0].read_bytes()))
    whole = body.removesuffix(b"\r\n")
    assert request(port, "POST", "/classify", whole, Content_Type=kind)[0] == 200
    status, _, content = request(port, "POST", "/classify", whole[:-lost_bytes], Content_Type=kind)
    assert status == 422 and "cut off" in json.loads(content)["detail"]


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_a_head_request_gets_no_body(port, path):
    status, _, content = request(port, "HEAD", path)
    assert (status, content) == (200, b"")


def test_it_describes_itself(port, predictor):
    status, _, content = request(port, "GET", "/health")
    assert status == 200 and json.loads(content)["status"] == "ok"
    assert json.loads(content)["model"] == "a" and json.loads(content)["classes"] == list(predictor.info.classes)
    described = json.loads(request(port, "GET", "/openapi.json")[2])
    assert {"200", "408", "413", "415", "422", "503"} <= described["paths"]["/classify"]["post"]["responses"].keys()
    content = described["paths"]["/classify"]["post"]["requestBody"]["content"]
    assert content.keys() == {"application/octet-stream", "multipart/form-data"}
    assert request(port, "GET", "/docs")[0] == 200
    status, _, body = request(port, "GET", "/")
    assert status == 200 and all(path in str(body) for path in ("/classify", "/health", "/metrics", "/openapi.json"))


def test_responses_are_counted(predictor, songs):
    with running(predictor) as (_, port):
        for body in (songs[0].read_bytes(), songs[0].read_bytes(), b"text"):
            request(port, "POST", "/classify", body)
        text = request(port, "GET", "/metrics")[2].decode()
    assert 'genreclf_requests_total{status="200"} 2.0' in text and 'genreclf_requests_total{status="422"} 1.0' in text
    assert "genreclf_seconds_count 3.0" in text


class Paused(Predictor):
    """A predictor that waits until `resume` is set."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(predictor.model)
        self.resume = threading.Event()

    def predict(self, *arguments):
        assert self.resume.wait(30)
        return super().predict(*arguments)


def test_too_many_requests_are_refused_until_others_are_done(predictor, songs):
    paused, body = Paused(predictor), songs[0].read_bytes()
    with running(paused, replace(LIMITS, requests=3)) as (_, port), ThreadPoolExecutor(3) as clients:
        waiting = [clients.submit(request, port, "POST", "/classify", body) for _ in range(3)]
        wait_for(port, 3)
        status, headers, content = request(port, "POST", "/classify", body)
        assert status == 503 and headers["retry-after"] == "1" and "retry" in json.loads(content)["detail"]
        paused.resume.set()
        assert [response.result()[0] for response in waiting] == [200] * 3
        assert request(port, "POST", "/classify", body)[0] == 200


def test_a_stop_finishes_accepted_requests(predictor, songs):
    paused, body = Paused(predictor), songs[0].read_bytes()
    with ThreadPoolExecutor(5) as clients:
        with running(paused) as (server, port):
            waiting = [clients.submit(request, port, "POST", "/classify", body) for _ in range(5)]
            wait_for(port, 5)
            server.should_exit = True
            time.sleep(0.3)
            paused.resume.set()
        assert [response.result()[0] for response in waiting] == [200] * 5


class Failing(Predictor):
    """A predictor with a bug."""

    def predict(self, *_):
        raise RuntimeError("a bug")


def test_a_bug_gives_status_500_and_the_service_lives(predictor, songs):
    with running(Failing(predictor.model)) as (_, port):
        for _ in range(2):
            assert request(port, "POST", "/classify", songs[0].read_bytes())[0] == 500
        assert b'genreclf_requests_total{status="500"} 2.0' in request(port, "GET", "/metrics")[2]


@pytest.mark.parametrize(
    ("words", "key", "remedy"),
    [
        (["--model", "nowhere"], "nowhere", "pretrained"),
        (["--port", "70000"], "70000", "65,535"),
        (["--port", "{used}"], "--port", "another --port"),
        (["--requests", "0"], "--requests", "1 or more"),
        (["--total-mb", "1"], "--total-mb", "--max-mb"),
        (["--host", "a" * 70], "--host", "another --host"),
        (["--host", "203.0.113.7"], "203.0.113.7", "another --host"),  # from a block for documentation (RFC 5737)
    ],
)
def test_wrong_calls_are_one_line(capsys, port, words, key, remedy):
    assert main([word.format(used=port) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and key in error and remedy in error


def test_a_missing_package_is_one_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert genreclf(["serve"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "uvicorn" in error and "pip install" in error


def test_the_command_starts_the_server_with_its_options(monkeypatch):
    calls = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: calls.append((app.title, options)))
    assert main(["--host", "0.0.0.0", "--port", "0", "--quiet"]) == 0
    ((title, options),) = calls
    assert title == "genreclf" and (options["host"], options["port"]) == ("0.0.0.0", 0)
    assert options["log_level"] == "warning" and options["timeout_graceful_shutdown"] > 0


def test_damaged_forms_write_nothing_to_the_terminal(port, capsys, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])  # as in the command, without pytest's
    status, _, _ = request(port, "POST", "/classify", b"no form", Content_Type="multipart/form-data; boundary=other")
    assert status == 422 and capsys.readouterr().err == ""

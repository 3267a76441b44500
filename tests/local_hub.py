"""A hub on this machine in the real one's place, with the faults that a test asks for; or one that does not answer."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import huggingface_hub
import pytest


class LocalHub(http.server.ThreadingHTTPServer):
    """Serves `content` as every file, of the length `claimed`.

    Each of `faults` (drop, stall) breaks one download half way; `ranges` are the places at which downloads began.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.content, self.claimed = content, len(content)
        self.faults: list[str] = []
        self.ranges: list[int] = []


class _Requests(http.server.BaseHTTPRequestHandler):
    server: LocalHub

    def do_HEAD(self) -> None:
        self.head(200, self.server.claimed)

    def head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", '"abc"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()

    def do_GET(self) -> None:
        asked = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.server.ranges.append(asked)
        rest = self.server.content[asked:]
        self.head(206 if self.headers.get("Range") else 200, len(rest))
        fault = self.server.faults.pop(0) if self.server.faults else None
        self.wfile.write(rest[: len(rest) // 2] if fault else rest)
        self.wfile.flush()
        if fault == "stall":
            time.sleep(1.5)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def local_hub(patch: pytest.MonkeyPatch, content: bytes) -> Iterator[LocalHub]:
    with LocalHub(content) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        _go_to(patch, server.server_port)
        yield server
        server.shutdown()


def no_hub(patch: pytest.MonkeyPatch) -> None:
    """A port where nothing answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        _go_to(patch, free.getsockname()[1])


def _go_to(patch: pytest.MonkeyPatch, port: int) -> None:
    patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    url = f"http://127.0.0.1:{port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    patch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)

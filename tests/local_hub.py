"""A model hub on this machine instead of the real one, with the faults that a test requests; or one that is down."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
import pytest

REPOSITORY = "mine/music"


class LocalHub(http.server.ThreadingHTTPServer):
    """Serves equal bytes for every file, with the length `claimed`; or a folder's files as the repository mine/music.

    Each of `faults` (drop, stall) breaks one download halfway; `ranges` are the offsets at which downloads began.
    """

    def __init__(self, content: bytes | Path) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.folder = content if isinstance(content, Path) else None
        self.content = content if isinstance(content, bytes) else b""
        self.claimed = len(self.content)
        self.faults: list[str] = []
        self.ranges: list[int] = []


class _Requests(http.server.BaseHTTPRequestHandler):
    server: LocalHub

    def do_HEAD(self) -> None:
        content = self.content()
        if content is not None:
            self.head(200, self.server.claimed if self.server.folder is None else len(content), content)

    def content(self) -> bytes | None:
        """Returns the requested content; None after an error was sent."""
        if self.server.folder is None:
            return self.server.content
        file = self.server.folder / self.path.rpartition("/")[2]
        if self.path.startswith(f"/{REPOSITORY}/resolve/") and file.is_file():
            return file.read_bytes()
        self.send_error(404)
        return None

    def head(self, status: int, length: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", '"abc"' if self.server.folder is None else f'"{len(content)}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()

    def do_GET(self) -> None:
        content = self.content()
        if content is None:
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.server.ranges.append(start)
        if start >= len(content):
            self.send_error(416)
            return
        rest = content[start:]
        self.head(206 if self.headers.get("Range") else 200, len(rest), content)
        fault = self.server.faults.pop(0) if self.server.faults else None
        self.wfile.write(rest[: len(rest) // 2] if fault else rest)
        self.wfile.flush()
        if fault == "stall":
            time.sleep(1.5)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def local_hub(patch: pytest.MonkeyPatch, content: bytes | Path) -> Iterator[LocalHub]:
    with LocalHub(content) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        _go_to(patch, server.server_port)
        yield server
        server.shutdown()


def no_hub(patch: pytest.MonkeyPatch) -> None:
    """Points the Hub's client to a port on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        _go_to(patch, free.getsockname()[1])


def _go_to(patch: pytest.MonkeyPatch, port: int) -> None:
    patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    url = f"http://127.0.0.1:{port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    patch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)

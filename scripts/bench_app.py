"""Measures the app over its own connection, as a browser uses it: the first result, a second page run, and memory.

python scripts/bench_app.py [SESSIONS]     30 by default: open the page, upload 30 s of music, run the page again

Wall time depends on other processes (the load is printed). CPU seconds, and their ratio to prediction alone, depend on
them little.
"""

import http.client
import io
import math
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import soundfile
from costs import cpu_of
from rich.console import Console
from rich.table import Table
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from genreclf.data.demo import render
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.clip import read_upload
from genreclf.inference.predictor import load_predictor
from genreclf.inference.run_folder import DEFAULT_MODEL

SONG_SECONDS = 30.0
_ANSWER = 'class="genre"'  # in the HTML that shows the genre


class Times(NamedTuple):
    """Seconds until the page showed a genre (infinite if it showed none), and until it was complete."""

    answer: float
    page: float


class Session:
    """A page in a browser, as the app sees it."""

    def __init__(self, port: int, connection: ClientConnection) -> None:
        self._port, self._socket = port, connection
        self._states, self._widgets = BackMsg(), dict[str, Any]()
        self.run()

    def run(self) -> Times:
        """Runs the page."""
        start, answer = time.perf_counter(), math.inf
        self._states.rerun_script.query_string = ""
        self._send(self._states)
        while (message := self._received()).WhichOneof("type") != "script_finished":
            if message.WhichOneof("type") == "new_session":
                self._id = message.new_session.initialize.session_id
            element = message.delta.new_element
            kind = element.WhichOneof("type") or ""
            self._widgets[kind] = getattr(element, kind, None)
            assert kind != "exception", element.exception.message
            if _ANSWER in element.html.body or kind == "alert":  # it reports that there is no genre
                answer = time.perf_counter() - start
        return Times(answer, time.perf_counter() - start)

    def upload(self, content: bytes) -> Times:
        """Uploads a song and runs the page. The times include both."""
        start, request = time.perf_counter(), BackMsg()
        request.file_urls_request.file_names.append("song.wav")
        request.file_urls_request.session_id = self._id
        self._send(request)
        while (message := self._received()).WhichOneof("type") != "file_urls_response":
            pass
        (place,) = message.file_urls_response.file_urls
        head = f'--x\r\nContent-Disposition: form-data; name="{place.file_id}"; filename="song.wav"\r\n\r\n'
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        connection.request("PUT", place.upload_url, head.encode() + content + b"\r\n--x--\r\n", form)
        assert connection.getresponse().status == http.HTTPStatus.NO_CONTENT
        connection.close()
        state = self._states.rerun_script.widget_states.widgets.add(id=self._widgets["file_uploader"].id)
        file = state.file_uploader_state_value.uploaded_file_info.add(file_id=place.file_id, name="song.wav")
        file.size = len(content)
        file.file_urls.CopyFrom(place)
        sent, times = time.perf_counter() - start, self.run()
        return Times(sent + times.answer, sent + times.page)

    def _send(self, message: BackMsg) -> None:
        self._socket.send(message.SerializeToString())

    def _received(self) -> ForwardMsg:
        message = ForwardMsg()
        message.ParseFromString(self._socket.recv())
        return message


@contextmanager
def running() -> Iterator[tuple[int, int]]:
    """Runs the app without its protection against forged requests, which needs a browser's cookie.

    Yields its port and its process.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--server.headless", "true", "--server.enableXsrfProtection", "false", "--server.port", str(port)]
    server = subprocess.Popen([sys.executable, "-m", "genreclf.app", *flags], stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health")
                break
            except OSError:
                time.sleep(0.1)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait()


def song(number: int) -> bytes:
    """Returns a WAV file."""
    file, style = io.BytesIO(), "march"
    soundfile.write(file, render(style, number, 0, SONG_SECONDS), SAMPLE_RATE_HZ, format="WAV")
    return file.getvalue()


def main(sessions: int) -> None:
    songs = [song(number) for number in range(sessions)]
    predictor = load_predictor(DEFAULT_MODEL)
    alone: list[float] = []
    acts: dict[str, list[tuple[float, float, float]]] = {"upload": [], "again": []}  # answer, page, CPU seconds
    with running() as (port, process):
        for content in songs:
            start = time.process_time()
            predictor.predict(read_upload(content, predictor.info.picture_seconds, SONG_SECONDS + 1))
            alone.append(time.process_time() - start)
            with connect(f"ws://127.0.0.1:{port}/_stcore/stream", max_size=None, proxy=None) as connection:
                page = Session(port, connection)
                for name, act in (("upload", partial(page.upload, content)), ("again", page.run)):
                    before = cpu_of(process)
                    acts[name].append((*act(), cpu_of(process) - before))
        lines = [line.split() for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]]
        mib = {words[0]: int(words[1]) / 1024 for words in lines}
        memory = f"{mib['Rss:']:.0f} MiB, {mib['Anonymous:']:.0f} without mapped files"
    load, _, _ = os.getloadavg()
    title = f"load {load:.1f}, {sessions} sessions"
    table = Table("what", "to the answer, s", "to the end, s", "CPU seconds", "prediction alone", title=title)
    predicted = statistics.median(alone)
    for name, times in acts.items():
        answer, end, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        table.add_row(name, f"{answer:.2f}", f"{end:.2f}", f"{cpu:.2f}", f"{cpu / predicted:.1f}x")
    table.add_row("memory at the end", "", memory)
    Console().print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 30)

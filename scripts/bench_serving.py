"""Measures the service (requests per second, duration, CPU time), and the memory of a process that predicts many files.

python scripts/bench_serving.py            both parts
python scripts/bench_serving.py service    one of: service, memory
"""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from costs import cpu_of, load
from rich.console import Console
from rich.table import Table

from genreclf.data.demo import write_demo
from genreclf.inference.library import predict_files
from genreclf.inference.predictor import load_predictor
from genreclf.inference.run_folder import DEFAULT_MODEL

FILES = 5_000
CLIENTS = (1, 8, 64)
Row = tuple[str, ...]


def service(folder: Path) -> Iterator[Row]:
    """Measures requests with 30 s of music, from another process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    write_demo(folder, 1, 30.0, 0, None)
    body = next(folder.rglob("*.wav")).read_bytes()
    server = subprocess.Popen([sys.executable, "-m", "genreclf.serve", "--port", str(port), "--quiet"])

    def request(_: int) -> float:
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", "/classify", body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == http.HTTPStatus.OK, answer.status
        return time.perf_counter() - start

    try:
        while True:
            try:
                request(0)
                break
            except OSError:
                time.sleep(0.2)
        for clients in CLIENTS:
            number = max(100, 4 * clients)
            with ThreadPoolExecutor(clients) as threads:
                start, cpu_before = time.perf_counter(), cpu_of(server.pid)
                took = list(threads.map(request, range(number)))
                rate = number / (time.perf_counter() - start)
            cpu_each = (cpu_of(server.pid) - cpu_before) / number * 1e3
            middle, slow = np.percentile(took, [50, 99]) * 1e3
            figures = f"p50 {middle:.0f}, p99 {slow:.0f} ms: {slow / middle:.2f} p50; {cpu_each:.0f} CPU ms a request"
            yield f"service, {clients} clients", f"{rate:.1f} requests/s", figures, "p99 under 2 p50"
    finally:
        server.terminate()
        server.wait()


def memory(folder: Path) -> Iterator[Row]:
    """Measures the peak resident memory in the first and the last thousand of `FILES` files."""
    write_demo(folder, 4, 10.0, 0, None)
    songs = sorted(folder.rglob("*.wav"))
    paths = (songs * (1 + FILES // len(songs)))[:FILES]
    page, seen = os.sysconf("SC_PAGE_SIZE"), []
    for _ in predict_files(load_predictor(DEFAULT_MODEL, device="cpu"), paths, len(os.sched_getaffinity(0))):
        seen.append(int(Path("/proc/self/statm").read_text().split()[1]) * page / 1024**2)
    first, last = max(seen[:1_000]), max(seen[-1_000:])
    figures = f"first thousand {first:.0f}, last {last:.0f} MiB"
    yield f"memory over {FILES:,} files", figures, f"{last / first - 1:+.1%}", "under +5%"


PARTS = {"service": service, "memory": memory}


def main(names: list[str]) -> None:
    if unknown := [name for name in names if name not in PARTS]:
        sys.exit(f"scripts/bench_serving.py: {unknown[0]}: unknown; known: {', '.join(PARTS)}")
    table = Table("what", "measured", "in detail", "target", title=load())
    for name in names or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            for row in PARTS[name](Path(folder)):
                table.add_row(*row)
                print("  ".join(row), file=sys.stderr)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])

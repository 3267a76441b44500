"""Measures prediction against the plain way to do it, with the same weights; each ratio is of runs in turns.

python scripts/bench_serving.py              all parts
python scripts/bench_serving.py cold warm    some of: cold, warm, library, memory, service

The plain way: import lightning, load the checkpoint, librosa's spectrogram, the eager net in NCHW, one file at a time.
"""

import http.client
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from genreclf.data.demo import write_demo
from genreclf.exporters.torch_segments import column_index, cut
from genreclf.frontend.segments import spans
from genreclf.inference.library import predict_files
from genreclf.nets.bundle import load_bundle
from genreclf.nets.torch_model import torch_predictor
from genreclf.training.module import GenreModule

REQUESTS = 400
TURN = 100  # requests of one way before the other's
SETTLED = 5  # requests that a turn is given to settle
LIBRARY = 200
FILES = 5_000
CLIENTS = (1, 8, 64)


class PlainWay:
    """What one would write first; the net is the checkpoint's, in NCHW throughout."""

    def __init__(self, run: Path) -> None:
        module = GenreModule.load_from_checkpoint(run / "last.ckpt", map_location="cpu", weights_only=True).eval()
        self.net, self.view = module.net.to(memory_format=torch.contiguous_format), load_bundle(run / "bundle").view
        scaling = self.net.scaling

        def plain(levels: torch.Tensor) -> torch.Tensor:
            x = levels / 255 if scaling.standardize is None else scaling.standardize(levels)[0]
            x = (scaling.pool(x) - scaling.mean) / scaling.std
            return scaling.norm(x.transpose(1, 2)).transpose(1, 2).contiguous()

        scaling.forward = plain

    def __call__(self, path: Path) -> int:
        wave, _ = librosa.load(path, sr=22_050)
        power = librosa.feature.melspectrogram(y=wave, sr=22_050, n_fft=2048, hop_length=512, n_mels=128)
        decibels = librosa.power_to_db(power, ref=np.max)
        levels = np.round((decibels - decibels.min()) / np.ptp(decibels) * 255).astype(np.float32)
        frames, answers = torch.tensor([levels.shape[1]]), []
        with torch.no_grad():
            for start, length in spans(levels.shape[1], self.view):
                index = column_index(frames, frames, torch.tensor([start]), torch.tensor([length]))
                image = cut(torch.from_numpy(levels)[None], index)[:, None].repeat(1, 3, 1, 1)
                answers.append(self.net(image)[0].softmax(1))
        return int(torch.cat(answers).mean(0).argmax())


COLD = "import sys; sys.path.insert(0, sys.argv[1]); from bench_serving import PlainWay, Path; "
COLD += "print(PlainWay(Path(sys.argv[2]))(Path(sys.argv[3])))"


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def called(*words: object) -> None:
    subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def cold(run: Path, songs: list[Path]) -> Iterator[tuple[str, ...]]:
    """The first answer of a new process, for 30 s of music: of a run that was exported, and of a bundle alone."""
    ways = {
        "plain": lambda: called("-c", COLD, Path(__file__).parent, run, songs[0]),
        "exported": lambda: called("-m", "genreclf.predict", songs[0], "--run", run),
        "by torch": lambda: called("-m", "genreclf.predict", songs[0], "--run", bare),
    }
    bare = shutil.copytree(run / "bundle", run.with_name("bare"))
    rounds = [{name: seconds(way) for name, way in ways.items()} for _ in range(6)][1:]
    for name, floor in (("by torch", "4x"), ("exported", "10x")):
        mine, other = (statistics.median(took[key] for took in rounds) for key in (name, "plain"))
        ratio = statistics.median(took["plain"] / took[name] for took in rounds)
        yield f"first answer of a cold process, {name}, s", f"{mine:.2f}", f"{other:.2f}", f"{ratio:.1f}x", floor


def warm(run: Path, songs: list[Path]) -> Iterator[tuple[str, ...]]:
    """One song after another in a process that is up, by each way in turns of `TURN` songs: its threads spin on for a
    while after their work, which would disturb the other way at every song.
    """
    predictor, plain = torch_predictor(load_bundle(run / "bundle"), "none", "cpu"), PlainWay(run)
    paths = (songs * (1 + TURN // len(songs)))[:TURN]
    ways = predictor.predict_file, plain
    turns = [[[seconds(partial(way, path)) for path in paths] for way in ways] for _ in range(REQUESTS // TURN)]
    times = np.array(turns)[:, :, SETTLED:].transpose(0, 2, 1).reshape(-1, 2)  # (turns, ways, songs) -> (songs, ways)
    (mine, other), (slow, slow_other) = np.percentile(times, 50, axis=0), np.percentile(times, 99, axis=0)
    yield "a request, p50, ms", f"{mine * 1e3:.0f}", f"{other * 1e3:.0f}", f"{other / mine:.1f}x", "2x"
    yield "a request, p99, ms", f"{slow * 1e3:.0f}", f"{slow_other * 1e3:.0f}", f"{slow / mine:.2f} p50", "under 2 p50"


def library(run: Path, songs: list[Path]) -> Iterator[tuple[str, ...]]:
    """Many songs, on all cores."""
    predictor, plain = torch_predictor(load_bundle(run / "bundle"), "none", "cpu"), PlainWay(run)
    paths = (songs * (1 + LIBRARY // len(songs)))[:LIBRARY]
    pairs = []
    for part in (paths[:20], paths[:100], paths[100:]):
        mine = seconds(lambda part=part: list(predict_files(predictor, part, os.cpu_count())))
        pairs.append((len(part) / mine, len(part) / seconds(lambda part=part: [plain(path) for path in part])))
    mine, other = np.mean(pairs[1:], axis=0)
    yield f"a library of {LIBRARY}, clips/s", f"{mine:.1f}", f"{other:.1f}", f"{mine / other:.1f}x", "3x"


def memory(run: Path, songs: list[Path]) -> Iterator[tuple[str, ...]]:
    """The resident set while `FILES` files go through, at its largest in the first and in the last thousand."""
    predictor = torch_predictor(load_bundle(run / "bundle"), "none", "cpu")
    paths = (songs * (1 + FILES // len(songs)))[:FILES]
    page, seen = os.sysconf("SC_PAGE_SIZE"), []
    for _ in predict_files(predictor, paths, os.cpu_count()):
        seen.append(int(Path("/proc/self/statm").read_text().split()[1]) * page / 1024**2)
    first, last = max(seen[:1_000]), max(seen[-1_000:])
    yield (
        f"memory over {FILES:,} files, last thousand, MiB",
        f"{last:.0f}",
        f"{first:.0f}, first",
        "-",
        (f"{last / first - 1:+.1%}, under +5%"),
    )


def service(run: Path, songs: list[Path]) -> Iterator[tuple[str, ...]]:
    """HTTP from other processes' point of view: requests a second, and how long one takes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "genreclf.serve", "--run", run, "--port", port, "--quiet"]
    server = subprocess.Popen([str(word) for word in words])
    body = songs[0].read_bytes()

    def asked(_: int) -> float:
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", "/classify", body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        return time.perf_counter() - start

    try:
        while True:
            try:
                asked(0)
                break
            except OSError:
                time.sleep(0.2)
        for clients in CLIENTS:
            number = max(100, 4 * clients)
            with ThreadPoolExecutor(clients) as threads:
                start = time.perf_counter()
                took = list(threads.map(asked, range(number)))
                rate = number / (time.perf_counter() - start)
            middle, slow = np.percentile(took, [50, 99]) * 1e3
            yield (
                f"service, {clients} clients, requests/s",
                f"{rate:.1f}",
                "-",
                f"p50 {middle:.0f}, p99 {slow:.0f} ms",
                "-",
            )
    finally:
        server.terminate()
        server.wait()


PARTS = {"cold": cold, "warm": warm, "library": library, "service": service, "memory": memory}


def main(names: list[str]) -> None:
    table = Table("what", "ours", "plain way", "ratio", "floor", title=f"{torch.get_num_threads()} threads")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        sys.exit(f"scripts/bench_serving.py: {unknown[0]}: unknown; known: {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as folder:
        write_demo(Path(folder) / "long", 2, 30.0, 0, None)
        write_demo(Path(folder) / "short", 4, 10.0, 0, None)
        long, short = (sorted((Path(folder) / name).rglob("*.wav")) for name in ("long", "short"))
        run = Path(folder) / "run"
        environment = {**os.environ, "GENRECLF_CACHE": f"{folder}/cache"}
        words = ["model=a", "data=folder", f"data.path={folder}/short", f"run={run}", "trainer.max_epochs=1"]
        train = [sys.executable, "-m", "genreclf.train", *words, "logger=none", "split=all", "temperature=1"]
        export = [sys.executable, "-m", "genreclf.export", f"run={run}", "format=onnx", "input=picture"]
        for command in (train, export):
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in names or PARTS:
            for row in PARTS[name](run, short if name == "memory" else long):
                table.add_row(*row)
                print("  ".join(row), file=sys.stderr)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])

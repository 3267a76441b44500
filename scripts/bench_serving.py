"""Measures prediction against two baselines with the same weights; each ratio comes from alternating runs.

python scripts/bench_serving.py              all parts
python scripts/bench_serving.py cold cpu     some of: cold, warm, library, cpu, service, memory

The plain way: import lightning, load the checkpoint, librosa's spectrogram, the eager net in NCHW, one file at a time.
The torch way (part cpu): the torch front end in one thread per core, and the net in torch, in CPU seconds.
"""

import http.client
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from costs import cpu_of
from rich.console import Console
from rich.table import Table

from genreclf.data.demo import write_demo
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import load_bundle
from genreclf.exporters.torch_log_mel import LogMelSpectrogram
from genreclf.frontend.audio import read_audio
from genreclf.frontend.clip import Clip
from genreclf.frontend.segments import column_index, spans
from genreclf.inference.library import predict_files
from genreclf.inference.predictor import Predictor, load_predictor
from genreclf.inference.run_folder import BUNDLE, LAST_CHECKPOINT

REQUESTS = 400
TURN = 100  # requests to one way before the other's turn
SETTLED = 5  # warm-up requests at the start of a turn
LIBRARY = 200
FILES = 5_000
CLIENTS = (1, 8, 64)
WORKERS = len(os.sched_getaffinity(0))


class PlainWay:
    """The straightforward implementation, with the net of the checkpoint in NCHW throughout."""

    def __init__(self, run: Path) -> None:
        from genreclf.training.module import GenreModule

        module = GenreModule.load_from_checkpoint(run / LAST_CHECKPOINT, map_location="cpu", weights_only=True).eval()
        self.net = module.net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's stubs
        self.view = load_bundle(run / BUNDLE).info.view
        scaling = self.net.scaling

        def plain(levels: torch.Tensor) -> torch.Tensor:
            x = levels / 255 if scaling.standardize is None else scaling.standardize(levels)[0]
            x = (scaling.pool(x) - scaling.mean) / scaling.std
            return scaling.norm(x.transpose(1, 2)).transpose(1, 2).contiguous()

        scaling.forward = plain

    def __call__(self, path: Path) -> int:
        import librosa  # slow to import, so imported only in processes that run the plain way

        wave, _ = librosa.load(path, sr=22_050)
        power = librosa.feature.melspectrogram(y=wave, sr=22_050, n_fft=2048, hop_length=512, n_mels=128)
        decibels = librosa.power_to_db(power, ref=np.max)
        levels = np.round((decibels - decibels.min()) / np.ptp(decibels) * 255).astype(np.float32)
        frames, probabilities = levels.shape[1], []
        with torch.no_grad():
            for span in spans(frames, self.view):
                index = column_index(frames, frames, np.array([span]))  # (1, 256)
                segment = levels[:, index].transpose(1, 0, 2)  # (128, 1, 256) -> (1, 128, 256)
                image = torch.from_numpy(np.ascontiguousarray(segment))[:, None].repeat(1, 3, 1, 1)
                probabilities.append(self.net(image)[0].softmax(1))
        return int(torch.cat(probabilities).mean(0).argmax())


def by_torch(run: Path, paths: Sequence[Path]) -> None:
    """Predicts files with torch: front end and decoding in threads, the net in this one."""
    front_end, predictor = LogMelSpectrogram(), Predictor(TorchModel(load_bundle(run / BUNDLE), "cpu"))

    def read(path: Path) -> Clip:
        audio = read_audio(path)
        levels = front_end(torch.from_numpy(audio.waveform)[None])[0].numpy()  # (1, 128, frames) -> (128, frames)
        return Clip(levels, levels.shape[1], audio.source_rate_hz, audio.source_seconds, audio.problem)

    # One thread per clip is faster than several threads within a clip. The setting is per thread.
    with ThreadPoolExecutor(WORKERS, initializer=torch.set_num_threads, initargs=(1,)) as threads:
        for clip in threads.map(read, paths):
            predictor.predict(clip)


IMPORT = "import sys; sys.path.insert(0, sys.argv[1]); from bench_serving import PlainWay, Path, by_torch; "
COLD = IMPORT + "print(PlainWay(Path(sys.argv[2]))(Path(sys.argv[3])))"
BY_TORCH = IMPORT + "by_torch(Path(sys.argv[2]), [Path(word) for word in sys.argv[3:]])"


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def called(*words: object) -> None:
    subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Returns the CPU seconds, user and system, of the processes that `work` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cold(run: Path, songs: list[Path]) -> Iterator[tuple[str, ...]]:
    """Measures the first prediction of a new process, for 30 s of music."""
    plain = partial(called, "-c", COLD, Path(__file__).parent, run, songs[0])
    ours = partial(called, "-m", "genreclf", "predict", songs[0], "--model", run)
    pairs = [(seconds(ours), seconds(plain)) for _ in range(6)][1:]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    yield "first prediction of a cold process, s", f"{mine:.2f}", f"{other:.2f}", f"{ratio:.1f}x", "10x"


def cpu(run: Path, songs: list[Path]) -> Iterator[tuple[str, ...]]:
    """Measures CPU seconds of a process that predicts a library, against the torch way, including the start of both."""
    folder = run.with_name("library")
    folder.mkdir()
    paths = [folder / f"{number}.wav" for number in range(LIBRARY)]
    for number, path in enumerate(paths):
        path.symlink_to(songs[number % len(songs)])  # predict reads a file once, even if it is named several times
    ours = partial(called, "-m", "genreclf.predict", folder, "--model", run, "--device", "cpu")
    theirs = partial(called, "-c", BY_TORCH, Path(__file__).parent, run, *paths)
    pairs = [(cpu_seconds(ours), cpu_seconds(theirs)) for _ in range(3)]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    name = f"a library of {LIBRARY}, CPU seconds (baseline: the torch way)"
    yield name, f"{mine:.1f}", f"{other:.1f}", f"{ratio:.2f}x", "1x"


def warm(run: Path, songs: list[Path]) -> Iterator[tuple[str, ...]]:
    """Measures one song after another in a warm process; the ways take turns of `TURN` songs.

    torch's threads spin for a while after their work, which would disturb the other way if the turns were single songs.
    """
    predictor, plain = load_predictor(run, device="cpu"), PlainWay(run)
    paths = (songs * (1 + TURN // len(songs)))[:TURN]
    ways = predictor.predict_file, plain
    turns = [[[seconds(partial(way, path)) for path in paths] for way in ways] for _ in range(REQUESTS // TURN)]
    times = np.array(turns)[:, :, SETTLED:].transpose(0, 2, 1).reshape(-1, 2)  # (turns, ways, songs) -> (songs, ways)
    (mine, other), (slow, slow_other) = np.percentile(times, 50, axis=0), np.percentile(times, 99, axis=0)
    yield "a request, p50, ms", f"{mine * 1e3:.0f}", f"{other * 1e3:.0f}", f"{other / mine:.1f}x", "2x"
    yield "a request, p99, ms", f"{slow * 1e3:.0f}", f"{slow_other * 1e3:.0f}", f"{slow / mine:.2f} p50", "under 2 p50"


def library(run: Path, songs: list[Path]) -> Iterator[tuple[str, ...]]:
    """Measures many songs on all cores."""
    predictor, plain = load_predictor(run, device="cpu"), PlainWay(run)
    paths = (songs * (1 + LIBRARY // len(songs)))[:LIBRARY]
    pairs = []
    for part in (paths[:20], paths[:100], paths[100:]):
        mine = seconds(partial(_all, predictor, part))
        other = seconds(lambda files=part: [plain(path) for path in files])  # type: ignore[misc]  # mypy infers no default
        pairs.append((len(part) / mine, len(part) / other))
    mine, other = np.mean(pairs[1:], axis=0)
    yield f"a library of {LIBRARY}, clips/s", f"{mine:.1f}", f"{other:.1f}", f"{mine / other:.1f}x", "3x"


def _all(predictor: Predictor, paths: Sequence[Path]) -> None:
    for _ in predict_files(predictor, paths, WORKERS):
        pass


def memory(run: Path, songs: list[Path]) -> Iterator[tuple[str, ...]]:
    """Measures the peak resident memory in the first and the last thousand of `FILES` files."""
    predictor = load_predictor(run, device="cpu")
    paths = (songs * (1 + FILES // len(songs)))[:FILES]
    page, seen = os.sysconf("SC_PAGE_SIZE"), []
    for _ in predict_files(predictor, paths, WORKERS):
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
    """Measures HTTP requests per second and their duration, from another process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "genreclf.serve", "--model", run, "--port", port, "--quiet"]
    server = subprocess.Popen([str(word) for word in words])
    body = songs[0].read_bytes()

    def request(_: int) -> float:
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
            yield (
                f"service, {clients} clients, requests/s",
                f"{rate:.1f}",
                "-",
                f"p50 {middle:.0f}, p99 {slow:.0f} ms: {slow / middle:.2f} p50; {cpu_each:.0f} CPU ms a request",
                "under 2 p50",
            )
    finally:
        server.terminate()
        server.wait()


PARTS = {"cold": cold, "warm": warm, "library": library, "cpu": cpu, "service": service, "memory": memory}


def main(names: list[str]) -> None:
    title = f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at the start"
    table = Table("what", "ours", "plain way", "ratio", "floor", title=title)
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
        subprocess.run(train, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in names or PARTS:
            for row in PARTS[name](run, short if name == "memory" else long):
                table.add_row(*row)
                print("  ".join(row), file=sys.stderr)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])

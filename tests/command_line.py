"""Runs the commands as a user does, in separate processes that do not import torch each time."""

import csv
import gc
import importlib
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

# "genreclf" is `python -m genreclf` itself.
COMMANDS = (
    *("genreclf", "app", "audit", "compare", "convert", "embed", "evaluate", "export", "predict", "prepare", "serve"),
    *("search", "train"),
)
# Modules that the commands import only when needed
LATER = ["matplotlib.backends.backend_agg", "onnxscript", "pandas", "sklearn.svm", "timm", "torch.onnx", "torchaudio"]
TIMEOUT_SECONDS = 300
# `before` code that skips the translation to ONNX and the plots, which take longer than training in these tests
NO_EXTRAS = """
import genreclf.exporters.bundle, matplotlib.figure, tiny_pictures
genreclf.exporters.bundle.bundle_onnx = lambda net, digest: b""
matplotlib.figure.Figure.savefig = tiny_pictures.save_empty
"""


def _module(name: str) -> str:
    """Returns the module that `python -m` runs for a command."""
    return {"genreclf": "genreclf.__main__", "app": "genreclf.app.__main__"}.get(name, f"genreclf.{name}")


# --- The server -------------------------------------------------------------------------------------------------------
# It is a fork of the tests' process, which has imported almost all modules, from before any test has started a thread.
# Each command is a fork of it.

_fork = multiprocessing.get_context("fork")
_running: dict[int, "Process"] = {}  # by process id
_server: Connection


def start_server() -> None:
    """Forks the server. It ends with this process."""
    global _server
    _server, requests = multiprocessing.Pipe()
    if os.fork():
        requests.close()
        return
    _server.close()
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for name in [*map(_module, COMMANDS), *LATER]:
            importlib.import_module(name)
        gc.freeze()  # so that garbage collection does not visit these modules, which would also copy their memory
        _serve(requests)
    finally:
        os._exit(0)


def _serve(requests: Connection) -> None:
    """Starts a process for each (function, arguments). Sends its id, and when it ends (id, exit code)."""
    children: dict[int, multiprocessing.process.BaseProcess] = {}
    while True:
        for ready in wait([requests, *children]):
            if ready is requests:
                try:
                    function, arguments = requests.recv()
                except EOFError:  # the tests have ended
                    return
                child = _fork.Process(target=function, args=arguments)
                child.start()
                children[child.sentinel] = child
                requests.send((child.pid, None))
            else:
                child = children.pop(ready)
                child.join()
                requests.send((child.pid, child.exitcode))


@dataclass
class Process:
    """A process that the server has started; a negative `exitcode` is the signal that killed it."""

    pid: int
    exitcode: int | None = None  # None: not known to have ended

    def join(self, timeout: float | None = None) -> None:
        """Waits until it has ended, or for `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.exitcode is None and _server.poll(None if end is None else max(0, end - time.monotonic())):
            _receive()

    def is_alive(self) -> bool:
        self.join(0)
        return self.exitcode is None

    def kill(self) -> None:
        if self.is_alive():
            os.kill(self.pid, signal.SIGKILL)


def _receive() -> Process:
    pid, exitcode = _server.recv()
    if exitcode is None:
        _running[pid] = Process(pid)
        return _running[pid]
    process = _running.pop(pid)
    process.exitcode = exitcode
    return process


def start_process(function: Callable[..., object], *arguments: object) -> Process:
    """Starts `function(*arguments)` in a process of its own."""
    _server.send((function, arguments))
    while (process := _receive()).exitcode is not None:  # one that ended
        pass
    return process


# --- Commands ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """The result of a command; a negative `returncode` is the signal that killed it."""

    returncode: int
    stdout: str
    stderr: str


def command(name: str, *arguments: object, cache: Path, before: str = "") -> Finished:
    """Runs `python -m genreclf.NAME ARGUMENTS` in the folder `cache`; `before` is Python code that runs first."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        process = start(name, *arguments, cache=cache, before=before, outputs=outputs)
        process.join(TIMEOUT_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
        return Finished(process.exitcode, *(output.read_text() for output in outputs))


def start(name: str, *arguments: object, cache: Path, before: str = "", outputs: Sequence[Path]) -> Process:
    """Starts such a command without waiting; `outputs` are the files for standard output and error."""
    words = [str(argument) for argument in arguments]
    return start_process(_run, name, words, str(cache), [str(path) for path in outputs], before)


def _run(name: str, words: list[str], cache: str, outputs: list[str], before: str) -> None:
    for number, output in enumerate(outputs, 1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115
    # A suite in the background ignores Ctrl-C, and its child processes would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cache)
    os.environ.update(GENRECLF_CACHE=cache, OMP_NUM_THREADS="1", COLUMNS="200")
    warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
    exec(before, {})
    sys.argv = [name, *words]
    try:
        runpy.run_module(_module(name), run_name="__main__")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def signal_at(hook: str, calls: int, name: str) -> str:
    """Returns code to run before a training, which sends its process a signal in this call of the module's hook."""
    return (
        "import os, signal, genreclf.training.module as m\n"
        f"hook, left = m.GenreModule.{hook}, [{calls}]\n"
        "def counted(self, batch, i):\n"
        "    left[0] -= 1\n"
        f"    if not left[0]: os.kill(os.getpid(), signal.{name})\n"
        "    return hook(self, batch, i)\n"
        f"m.GenreModule.{hook} = counted\n"
    )


def epochs(run: Path) -> list[dict[str, str]]:
    """Returns the rows of a run's metrics.csv without the seconds."""
    with (run / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]

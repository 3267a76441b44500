"""Runs the commands as a user does, in separate processes that do not import torch each time."""

import csv
import gc
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# A server process imports the modules once. Each command is a fork of it, from before torch has started any thread.
# "genreclf" is `python -m genreclf` itself.
COMMANDS = (
    *("genreclf", "app", "audit", "compare", "convert", "embed", "evaluate", "export", "predict", "prepare", "serve"),
    *("search", "train"),
)
# Modules that the commands import only when needed
LATER = ["matplotlib.backends.backend_agg", "onnxscript", "pandas", "sklearn.svm", "timm", "torch.onnx", "torchaudio"]
TIMEOUT_SECONDS = 300
# `before` code for a command that must not need torch
NO_TORCH = """
import sys
for name in [name for name in sys.modules if name.split(".")[0] in ("torch", "torchaudio", "genreclf")]:
    del sys.modules[name]
sys.modules["torch"] = sys.modules["torchaudio"] = None  # importing it fails
"""
# `before` code that skips the translation to ONNX, which takes longer than training in these tests
NO_ONNX = "import genreclf.exporters.bundle as bundle\nbundle.bundle_onnx = lambda net, digest: b''\n"


def _module(name: str) -> str:
    """Returns the module that `python -m` runs for a command."""
    return {"genreclf": "genreclf.__main__", "app": "genreclf.app.__main__"}.get(name, f"genreclf.{name}")


PRELOADED = [*map(_module, COMMANDS), *LATER]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOADED)


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


def start(
    name: str, *arguments: object, cache: Path, before: str = "", outputs: Sequence[Path]
) -> multiprocessing.process.BaseProcess:
    """Starts such a command without waiting; `outputs` are the files for standard output and error."""
    words = [str(argument) for argument in arguments]
    process = _context.Process(target=_run, args=(name, words, str(cache), [str(path) for path in outputs], before))
    process.start()
    return process


def _run(name: str, words: list[str], cache: str, outputs: list[str], before: str) -> None:
    gc.freeze()  # so that garbage collection does not visit the server's modules, which would also copy their memory
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

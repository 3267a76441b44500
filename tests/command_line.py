"""Runs the project's commands as a user would, in processes of their own that need not import torch anew each time."""

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
from types import ModuleType

import pytest

# A server process imports these once; each command is a fork of it, before torch has started any thread.
COMMANDS = ("prepare", "train", "evaluate", "compare", "export", "predict", "audit", "serve", "convert")
# ... with what these import only when they need it, as most of them do here.
LATER = ["matplotlib.backends.backend_agg", "pandas", "sklearn.svm", "torchaudio"]
PRELOADED = [f"genreclf.{name}" for name in COMMANDS] + LATER
TIMEOUT_SECONDS = 300
# To go `before` a command that has to do without torch.
NO_TORCH = """
import sys
for name in [name for name in sys.modules if name.split(".")[0] in ("torch", "torchaudio", "genreclf")]:
    del sys.modules[name]
sys.modules["torch"] = sys.modules["torchaudio"] = None  # who imports it fails
"""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOADED)


@dataclass(frozen=True)
class Finished:
    """How a command ended; a negative `returncode` is the signal that killed it."""

    returncode: int
    stdout: str
    stderr: str


def command(module: str, *arguments: object, cache: Path, before: str = "") -> Finished:
    """`python -m genreclf.MODULE ARGUMENTS` in the folder `cache`; `before` is Python that runs first in it."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        process = start(module, *arguments, cache=cache, before=before, outputs=outputs)
        process.join(TIMEOUT_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
        return Finished(process.exitcode, *(output.read_text() for output in outputs))


def start(
    module: str, *arguments: object, cache: Path, before: str = "", outputs: Sequence[Path]
) -> multiprocessing.process.BaseProcess:
    """The same, left to run; `outputs` are the files for standard output and error."""
    words = [str(argument) for argument in arguments]
    process = _context.Process(target=_run, args=(module, words, str(cache), [str(path) for path in outputs], before))
    # What runs here as `__main__` is no business of the command's process: the app's tests put their page there.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        process.start()
    return process


def _run(module: str, words: list[str], cache: str, outputs: list[str], before: str) -> None:
    for number, output in enumerate(outputs, 1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115
    # A suite that runs in the background ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cache)
    os.environ.update(GENRECLF_CACHE=cache, OMP_NUM_THREADS="1", COLUMNS="200")
    warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
    exec(before, {})
    sys.argv = [module, *words]
    try:
        runpy.run_module(f"genreclf.{module}", run_name="__main__")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()

"""The `genreclf` command: `genreclf COMMAND ...` imports and runs only that command's module."""

import atexit
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import ModuleType

from genreclf import __version__
from genreclf.config import did_you_mean
from genreclf.errors import command, missing_package, user_error

COMMANDS = {
    "predict": "predict the genre of audio files and spectrogram pictures",
    "embed": "compute an embedding for each file",
    "tag": "write genres into the tags of audio files: plan, apply, undo; playlists",
    "similar": "find the songs most similar to one, by their embeddings",
    "train": "train a model",
    "search": "search for the best training settings",
    "evaluate": "score a run on held-out clips, or any model on your own labelled music",
    "compare": "compare runs with paired tests",
    "export": "write TorchScript, ONNX or exported-program files",
    "convert": "turn a checkpoint into a bundle",
    "prepare": "compute the spectrograms of a data set",
    "audit": "check a data set for leaks and faulty clips; compare collections",
    "serve": "classify over HTTP",
    "app": "classify in the browser",
    "space": "write the app and models as a Space of the Hugging Face Hub",
}
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `genreclf ARGUMENTS` and returns its exit code; reads `sys.argv` if `arguments` is None.

    Importing only the chosen module keeps torch out of commands that do not need it.
    """
    # On exit, Python searches all objects for cycles, which takes a fifth of the time of a first prediction.
    atexit.register(gc.freeze)
    # OpenBLAS's idle threads spin for 2^26 cycles, which takes a fifth of the CPU time of a first prediction. 2^4 is
    # the minimum. OpenBLAS reads the setting when NumPy is imported.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help", "help"):
        print("usage: genreclf COMMAND ...\n")
        for known, text in COMMANDS.items():
            print(f"  {known:<10}{text}")
        print("\ngenreclf COMMAND --help: its arguments · genreclf --version")
        return 0
    if name == "--version":
        print(f"genreclf {__version__}")
        return 0
    if name not in COMMANDS:
        hint = did_you_mean(name, COMMANDS, f"known: {', '.join(COMMANDS)}")
        return user_error(f"{name}: unknown command; {hint}")
    return _run(name, rest)


def _run(name: str, arguments: Sequence[str]) -> int:
    try:
        module = _imported("genreclf.app.__main__" if name == "app" else f"genreclf.{name}")
        code: int = module.main(arguments)
        return code
    except ModuleNotFoundError as error:
        if message := missing_package(error):
            return user_error(f"{name}: {message}")
        raise  # a bug in this package
    except KeyboardInterrupt:
        return INTERRUPTED


def _imported(name: str) -> ModuleType:
    """Imports a module. Python does not search the imported objects for cycles, neither now nor later.

    Meanwhile Ctrl-C ends the process at once: Python would wait until the libraries are loaded, which takes seconds.
    """
    handler = signal.getsignal(signal.SIGINT)
    ends_at_once = handler is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    gc.disable()
    try:
        if ends_at_once:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        return importlib.import_module(name)
    finally:
        if ends_at_once:
            signal.signal(signal.SIGINT, handler)
        gc.freeze()
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())

"""Starts the app: genreclf app. Streamlit's options are passed on: genreclf app --server.port 8600."""

import ctypes
import gc
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from genreclf.errors import missing_package, reason, user_error

_MAIN = Path(__file__).with_name("main.py")
_M_MMAP_THRESHOLD, _LARGE_BYTES = -3, 4 * 1024**2  # the number of this setting in glibc's malloc.h, and its value here


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs Streamlit's server until it is stopped. Returns 2 if it is not installed or cannot take its address."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in ("-h", "--help"):
        print(f"usage: genreclf app [--server.port PORT] [...]\n\n{__doc__}\n\nAll options: streamlit run --help")
        return 0
    if importlib.util.find_spec("streamlit") is None:
        return user_error(missing_package(ModuleNotFoundError(name="streamlit")))
    from streamlit.web import cli  # imported late, because --help does not need it

    # Loaded before the first page needs it, and then frozen. Streamlit collects garbage after each run of a page. With
    # these modules included, that took longer than the page itself.
    importlib.import_module("genreclf.app.timeline")  # and with it the front end and onnxruntime
    gc.freeze()
    _return_large_blocks()
    # Streamlit reads the settings and the theme from .streamlit/config.toml beside main.py.
    try:
        cli.main(["run", str(_MAIN), *words], prog_name="streamlit")  # exits the process
    except (OSError, OverflowError) as error:  # the server could not take its address
        return user_error(f"app: {reason(error)}; choose another --server.port or --server.address")
    return 0


def _return_large_blocks() -> None:
    """Makes glibc return an upload's memory to the system once it is free. By default it would learn to keep it."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # missing on macOS and in musl
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


if __name__ == "__main__":
    sys.exit(main())

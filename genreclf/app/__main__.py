"""Starts the app: genreclf app. Streamlit's options are passed on: genreclf app --server.port 8600."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from genreclf.errors import missing_package, user_error

_MAIN = Path(__file__).with_name("main.py")


def main(arguments: Sequence[str] | None = None) -> int:
    """Replaces this process by Streamlit's server. Returns 2 if Streamlit is not installed."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in ("-h", "--help"):
        print(f"usage: genreclf app [--server.port PORT] [...]\n\n{__doc__}\n\nAll options: streamlit run --help")
        return 0
    if importlib.util.find_spec("streamlit") is None:
        return user_error(missing_package(ModuleNotFoundError(name="streamlit")))
    sys.stdout.flush()
    # Streamlit reads the settings and the theme from .streamlit/config.toml beside main.py.
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(_MAIN), *words])


if __name__ == "__main__":
    sys.exit(main())

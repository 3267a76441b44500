"""Music genre classification: `from genreclf import Classifier`."""

import getpass
import os
import signal
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

from genreclf.errors import GenreclfError, missing_package, user_error

if TYPE_CHECKING:
    from genreclf.inference.classifier import Classifier

__version__ = "0.1.0"
__all__ = ["Classifier", "GenreclfError"]


# onnxruntime 1.32 reports each use to its makers unless this is set when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
try:
    getpass.getuser()
except (KeyError, OSError):  # a container's user may have only a number, but importing torch needs a name
    os.environ["LOGNAME"] = str(os.getuid())


def __getattr__(name: str) -> Any:
    """Imports `Classifier` on first use, so that commands that do not need it start faster."""
    if name == "Classifier":
        from genreclf.inference.classifier import Classifier

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if message := missing_package(error):
        sys.exit(user_error(message))
    if isinstance(error, KeyboardInterrupt):
        sys.exit(128 + signal.SIGINT)
    sys.__excepthook__(kind, error, traceback)


if sys.argv[:1] == ["-m"]:  # python -m genreclf.COMMAND is about to import the command's packages
    sys.excepthook = _excepthook

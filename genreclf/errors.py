"""Errors that a user can fix, and how commands report them."""

import errno
import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

from genreclf.outputs import lasting_outputs, lost_output, reader_is_gone
from genreclf.stopping import Stopped
from genreclf.text import one_line

USER_ERROR = 2  # the exit code for a usage error or an unusable input
BROKEN_PIPE = 141  # 128 + SIGPIPE, as shells report it
# The extra that brings each package; every other package is part of the full install.
_EXTRAS = {
    "streamlit": "app",
    **dict.fromkeys(("fastapi", "prometheus_client", "python_multipart", "uvicorn"), "serve"),
    **dict.fromkeys(("mutagen", "watchfiles"), "tag"),
}
# Those that scripts/setup does not install
_PIP_EXTRAS = {
    **{"optuna": "search", "submitit": "slurm", "mlflow": "mlflow", "wandb": "wandb"},
    "datasets": "hub",
    **{"ray": "ray", "fsspec": "s3", "s3fs": "s3", "gcsfs": "gs"},
}
_NO_SPACE, _NO_PERMISSION = "free some space", "change its permissions, or choose another place"
# What a user can do about the state of a file system, by the error's number.
_REMEDIES = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EROFS: _NO_PERMISSION,
    errno.ENOENT: "it is missing, or this place takes no files; choose another place",
    errno.ENOTDIR: "a part of this path is a file; choose another place",
    errno.EEXIST: "a file is in the way; choose another place",
    errno.EISDIR: "a folder is in the way; choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its links go in a circle; choose another place",
}

Arguments = ParamSpec("Arguments")


class GenreclfError(Exception):
    """One line that names the file or the key, says what is wrong and how to fix it.

    Commands print it without a traceback and exit with code 2. Any other exception is a bug of this package.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def reason(error: BaseException) -> str:
    """The first line of an exception's message, or the name of its class; of the system's errors without the path."""
    text = error.strerror if isinstance(error, OSError) and isinstance(error.strerror, str) else str(error)
    lines = text.strip().splitlines()
    return " ".join(lines[0].split()) if lines else type(error).__name__


def command(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Decorates a command: a GenreclfError becomes one line on standard error and the exit code 2.

    So does the state of a file system (full, read-only), where the command has not said more of it. A command whose
    standard output is no longer read finishes its work; its code is then 141, if it was 0. One that is asked to end
    returns 128 and the signal's number.
    """

    @functools.wraps(main)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        with lasting_outputs():
            try:
                code = main(*args, **kwargs)
                # A usage error has been reported; it may be that of the output, from a command within this one.
                output_code = 0 if code == USER_ERROR else _output_code()
                return code or output_code
            except GenreclfError as error:
                return user_error(error)
            except OSError as error:
                return user_error(file_system_error(error))
            except Stopped as stopped:
                return stopped.code

    return run


def file_system_error(error: OSError) -> GenreclfError:
    """The line for a file system that is full, read-only or the like; another error is raised again."""
    if error.errno not in _REMEDIES:
        raise error
    where = f"{error.filename}: " if error.filename is not None else ""
    return GenreclfError(f"{where}{error.strerror}; {remedy(error)}")


def remedy(error: OSError) -> str:
    """What a user can do about an error of the file system."""
    return _REMEDIES.get(error.errno or 0, "check the disk, or choose another place")


def _output_code() -> int:
    """The exit code of a command that did its work: not 0 if its output was lost."""
    error = lost_output()
    if error is None:
        return 0
    if reader_is_gone(error):
        return BROKEN_PIPE
    raise GenreclfError(f"standard output: {error.strerror}; {_REMEDIES.get(error.errno or 0, 'write it elsewhere')}")


def user_error(message: object) -> int:
    """Prints a user's mistake on standard error; returns the exit code."""
    print(f"genreclf: {one_line(str(message))}", file=sys.stderr)
    return USER_ERROR


def missing_package(error: BaseException | None) -> str:
    """What to install after an ImportError; empty for other errors, and where a module of genreclf is missing."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package in ("", "genreclf"):
        return ""
    if package in _PIP_EXTRAS:
        return f"{package} is not installed; run pip install 'genreclf[{_PIP_EXTRAS[package]}]'"
    extra = _EXTRAS.get(package)
    setup, wheel = (f"scripts/setup predict {extra}", f"genreclf[{extra}]") if extra else ("scripts/setup", "genreclf")
    return f"{package} is not installed; run {setup} in the checkout, or pip install '{wheel}'"

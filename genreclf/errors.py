"""Errors that a user can fix, and how commands report them."""

import errno
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

from genreclf.outputs import fault_tolerant_outputs, lost_output, reader_is_gone
from genreclf.stopping import Stopped
from genreclf.text import one_line, shell_command

USER_ERROR = 2  # the exit code for a usage error or an unusable input
BROKEN_PIPE = 141  # 128 + SIGPIPE, as shells report it
# The extra that installs each package; all other packages are part of the full install.
_EXTRAS = {
    "streamlit": "app",
    **dict.fromkeys(("fastapi", "prometheus_client", "python_multipart", "uvicorn"), "serve"),
    **dict.fromkeys(("mutagen", "watchfiles"), "tag"),
}
# Extras that scripts/setup does not install
_PIP_EXTRAS = {
    **{"optuna": "search", "submitit": "slurm", "mlflow": "mlflow", "wandb": "wandb"},
    "datasets": "hub",
    **{"ray": "ray", "fsspec": "s3", "s3fs": "s3", "gcsfs": "gs"},
}
_NO_SPACE, _NO_PERMISSION = "free some space", "change its permissions, or choose another path"
# What a user can do about a file system error, by its number.
_REMEDIES = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EROFS: _NO_PERMISSION,
    errno.ENOENT: "it does not exist, or no files can be created there; choose another path",
    errno.ENOTDIR: "a part of this path is a file; choose another path",
    errno.EEXIST: "a file of this name already exists; choose another path",
    errno.EISDIR: "a folder of this name already exists; choose another path",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its symbolic links form a loop; choose another path",
}

Arguments = ParamSpec("Arguments")


class GenreclfError(Exception):
    """An error that the user can fix: one line with the file or key, what is wrong, and the remedy.

    Commands print it without a traceback and exit with code 2. Any other exception is a bug in this package.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def reason(error: BaseException) -> str:
    """Returns the first line of an exception's message (without the path for an OSError), or the name of its class."""
    text = error.strerror if isinstance(error, OSError) and isinstance(error.strerror, str) else str(error)
    lines = text.strip().splitlines()
    return " ".join(lines[0].split()) if lines else type(error).__name__


@contextmanager
def explained(fault: str, remedy: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turns an error of these kinds, by default any, into the GenreclfError "FAULT (reason); REMEDY"."""
    converted = kinds or (Exception,)
    try:
        yield
    except GenreclfError:
        raise
    except converted as error:
        raise GenreclfError(f"{fault} ({reason(error)}); {remedy}") from error


def command(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Decorates a command: a GenreclfError becomes one line on standard error and exit code 2.

    So does a file system error (full, read-only) that the command has not handled itself. If nobody reads its standard
    output any more, a command still finishes its work, and an exit code of 0 becomes 141. A command that a signal stops
    returns 128 plus the signal's number.
    """

    @functools.wraps(main)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        with fault_tolerant_outputs():
            try:
                code = main(*args, **kwargs)
                # A usage error has been reported already; a nested command may have reported the lost output.
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
    """Returns the message for a file system that is full, read-only or the like, or for any error about a named file.

    Raises any other error again.
    """
    if error.errno not in _REMEDIES and error.filename is None:
        raise error
    where = f"{error.filename}: " if error.filename is not None else ""
    return GenreclfError(f"{where}{error.strerror}; {remedy(error)}")


def remedy(error: OSError) -> str:
    """Returns what a user can do about a file system error."""
    return _REMEDIES.get(error.errno or 0, "check the disk, or choose another path")


def _output_code() -> int:
    """Returns the exit code of a command that finished its work: 0, or 141 if nobody read its output.

    Raises GenreclfError if the output was lost for another reason.
    """
    error = lost_output()
    if error is None:
        return 0
    if reader_is_gone(error):
        return BROKEN_PIPE
    raise GenreclfError(f"standard output: {error.strerror}; {remedy(error)}")


def user_error(message: object) -> int:
    """Prints a user's mistake on standard error and returns the exit code."""
    print(f"genreclf: {one_line(str(message))}", file=sys.stderr)
    return USER_ERROR


def missing_package(error: BaseException | None) -> str:
    """Returns what to install after a ModuleNotFoundError; empty for other errors and for genreclf's own modules."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package in ("", "genreclf"):
        return ""
    if package in _PIP_EXTRAS:
        return f"{package} is not installed; run {_pip_install(_PIP_EXTRAS[package])}"
    extra = _EXTRAS.get(package)
    setup = f"scripts/setup predict {extra}" if extra else "scripts/setup"
    pip = _pip_install(extra) if extra else "pip install 'genreclf'"
    return f"{package} is not installed; run {setup} in the checkout, or {pip}"


def _pip_install(extra: str) -> str:
    """Returns the command that installs the packages of an extra.

    `pip install 'genreclf[EXTRA]'` would add the full install, with torch, to a small one.
    """
    from importlib.metadata import requires  # takes a while to import, and is only needed here

    lines = (line.replace('"', "'").partition("; extra == ") for line in requires("genreclf") or ())
    return shell_command("pip", "install", *(package for package, _, name in lines if name == f"'{extra}'"))

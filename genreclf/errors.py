"""Errors that a user can fix, and how commands report them."""

import functools
import io
import re
import sys
from collections.abc import Callable
from typing import ParamSpec

USER_ERROR = 2  # the exit code for a mistake in the call or the input
# The extra that brings each package; every other package is part of the full install.
_EXTRAS = {"streamlit": "app", "fastapi": "serve", "prometheus_client": "serve", "uvicorn": "serve"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # Unicode's categories Cc, Zl and Zp

Arguments = ParamSpec("Arguments")


class GenreclfError(Exception):
    """One line that names the file or the key, says what is wrong and how to fix it.

    Commands print it without a traceback and exit with code 2. Any other exception is a bug of this package.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """`text` with line breaks and other control characters escaped: file names may contain any of them."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def reason(error: BaseException) -> str:
    """The first line of an exception's message, or the name of its class."""
    lines = str(error).strip().splitlines()
    return " ".join(lines[0].split()) if lines else type(error).__name__


def command(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Decorates a command: a GenreclfError becomes one line on standard error and the exit code 2.

    Standard output escapes what its encoding lacks, as standard error does.
    """

    @functools.wraps(main)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        if isinstance(sys.stdout, io.TextIOWrapper):  # in a notebook it is none, and takes all characters
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return main(*args, **kwargs)
        except GenreclfError as error:
            return user_error(error)

    return run


def user_error(message: object) -> int:
    """Prints a user's mistake on standard error; returns the exit code."""
    print(f"genreclf: {message}", file=sys.stderr)
    return USER_ERROR


def missing_package(error: BaseException | None) -> str:
    """What to install after an ImportError; empty for other errors, and where a module of genreclf is missing."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package in ("", "genreclf"):
        return ""
    extra = _EXTRAS.get(package)
    setup, wheel = (f"scripts/setup predict {extra}", f"genreclf[{extra}]") if extra else ("scripts/setup", "genreclf")
    return f"{package} is not installed; run {setup} in the checkout, or pip install '{wheel}'"

"""Errors that a user can fix, and how commands report them."""

import io
import sys
import unicodedata

USER_ERROR = 2  # the exit code for a mistake in the call or the input


class GenreclfError(Exception):
    """One line that names the file or the key, says what is wrong and how to fix it.

    Commands print it without a traceback and exit with code 2. Any other exception is a bug of this package.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """`text` with line breaks and other control characters escaped: file names may contain any of them."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Zl", "Zp")
        else character
        for character in text
    )


def escape_unencodable() -> None:
    """Makes standard output escape what its encoding lacks, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # in a notebook it is none, and takes all characters
        sys.stdout.reconfigure(errors="backslashreplace")


def user_error(message: object) -> int:
    """Prints a user's mistake on standard error; returns the exit code."""
    print(f"genreclf: {message}", file=sys.stderr)
    return USER_ERROR

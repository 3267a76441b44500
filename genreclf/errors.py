"""What a user can mend, and how it is told."""

import io
import sys
import unicodedata

USER_ERROR = 2  # the exit code of a wrong call


class GenreclfError(Exception):
    """One line that names the file or the key, says what is wrong and how to mend it.

    Commands print it without a traceback and exit with code 2. Anything else that is raised is our defect.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """`text` with its line breaks and other control characters as escapes: names of files may hold any of them."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Zl", "Zp")
        else character
        for character in text
    )


def escape_unencodable() -> None:
    """From here on standard output shows what its encoding lacks as escapes, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a notebook's is none, and takes all
        sys.stdout.reconfigure(errors="backslashreplace")


def user_error(message: object) -> int:
    """Tells a user's mistake as every command does, and gives the exit code."""
    print(f"genreclf: {message}", file=sys.stderr)
    return USER_ERROR

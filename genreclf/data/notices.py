"""What a user should know of a data set, on standard error."""

import functools
import sys

from genreclf.text import one_line


@functools.cache  # a training lists its clips several times
def tell_once(line: str) -> None:
    """Prints a line, at its first call only."""
    print(one_line(line), file=sys.stderr)

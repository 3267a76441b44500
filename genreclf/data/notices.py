"""What a user should know of a data set, on standard error."""

import functools
import sys
from collections.abc import Sequence

from genreclf.text import one_line

NAMES_SHOWN = 3


@functools.cache  # a training lists its clips several times
def tell_once(line: str) -> None:
    """Prints a line, at its first call only."""
    print(one_line(line), file=sys.stderr)


def first_names(names: Sequence[str]) -> str:
    """The first of some names, in quotes."""
    return ", ".join(map(repr, names[:NAMES_SHOWN])) + (", ..." if len(names) > NAMES_SHOWN else "")

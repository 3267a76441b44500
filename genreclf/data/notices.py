"""What a user should know of a data set, on standard error."""

import functools
import sys

from genreclf.terminal import Kind, print_table
from genreclf.text import one_line


@functools.cache  # a training lists its clips several times
def tell_once(line: str) -> None:
    """Prints a line, at its first call only."""
    print(one_line(line), file=sys.stderr)


@functools.cache
def tell_table_once(line: str, columns: tuple[tuple[str, Kind], ...], rows: tuple[tuple[str, ...], ...]) -> None:
    """Prints a line and the table below it, at its first call only."""
    print(one_line(line), file=sys.stderr)
    print_table(columns, rows, stderr=True)

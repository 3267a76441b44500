"""Prints notices about a data set on standard error, each only once."""

import functools
import sys

from genreclf.terminal import Kind, print_table
from genreclf.text import one_line


@functools.cache  # a run lists its clips several times
def print_once(line: str) -> None:
    """Prints a line, but only the first time."""
    print(one_line(line), file=sys.stderr)


@functools.cache
def print_table_once(line: str, columns: tuple[tuple[str, Kind], ...], rows: tuple[tuple[str, ...], ...]) -> None:
    """Prints a line and a table below it, but only the first time."""
    print(one_line(line), file=sys.stderr)
    print_table(columns, rows, stderr=True)

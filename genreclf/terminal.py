"""Tables on the terminal."""

from collections.abc import Iterable, Sequence
from typing import Literal

from genreclf.text import one_line

Kind = Literal["text", "number"]  # the kind of a column

_LEAST_WIDTH = 12  # of a folded column, in characters: two of them and the numbers of `compare` fit into 80
_FRAME_WIDTH = 3  # per column: a line and two spaces


def print_table(
    columns: Sequence[tuple[str, Kind]], rows: Iterable[Sequence[str]], title: str = "", stderr: bool = False
) -> None:
    """Prints a table of plain text, with a heading and a kind for each column. Nothing is ever cut off.

    In a terminal, texts wrap if the table would be too wide; numbers do not. In a pipe or a file, each row is one line.
    """
    from rich.cells import cell_len  # imported only for a table: it takes a tenth of the time to a first prediction
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    title = one_line(title)
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip([name for name, _ in columns], *cells, strict=True)]
    least = [
        width if kind == "number" else min(width, _LEAST_WIDTH)
        for width, (_, kind) in zip(widths, columns, strict=True)
    ]
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if console.is_terminal:
        console.width = max(console.width, sum(least) + _FRAME_WIDTH * len(columns) + 1)
    else:
        console.width = max(cell_len(title), sum(widths) + _FRAME_WIDTH * len(columns) + 1)
    table = Table(title=Text(title) if title else None)
    for (name, kind), width in zip(columns, least, strict=True):
        number = kind == "number"
        justify: Literal["left", "right"] = "right" if number else "left"
        table.add_column(Text(name), justify=justify, no_wrap=number, overflow="fold", min_width=width)
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)

"""A progress bar on the terminal."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Report = Callable[[int, int], None]  # takes the number of finished parts and the number of all parts


def progress_map(function: Callable[[Item], Result], items: Sequence[Item], label: str, unit: str) -> list[Result]:
    """Returns the result of `function` for each item, while a progress bar shows how many are done."""
    results = []
    with progress_bar(label, unit) as report:
        for item in items:
            results.append(function(item))
            report(len(results), len(items))
    return results


@contextmanager
def progress_bar(label: str, unit: str, wanted: bool = True) -> Iterator[Report]:
    """Shows a progress bar, if `wanted`, on standard error if that is a terminal. Yields its `Report`."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda done, total: None
        return
    from rich import progress as rich  # slow to import, and not needed without a terminal
    from rich.console import Console
    from rich.text import Text

    class Rate(rich.ProgressColumn):
        def render(self, task: rich.Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:.1f} {unit}/s")

    text = rich.TextColumn("{task.description}", markup=False)
    columns = (text, rich.BarColumn(), rich.MofNCompleteColumn(), Rate(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)

"""Watches folders for new files."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from genreclf.errors import GenreclfError, missing_package
from genreclf.files import stamp

STILL_SECONDS = 5.0  # a file that has not grown for this long counts as complete
_LOOK_SECONDS = 60.0  # network drives send no events, so look at this interval anyway
_TICK_MILLISECONDS = 500


def check_watching() -> None:
    """Raises GenreclfError if the package that watches folders is not installed."""
    try:
        import watchfiles  # noqa: F401
    except ModuleNotFoundError as error:
        raise GenreclfError(missing_package(error)) from error


def arrivals(folders: Sequence[Path], find: Callable[[], Iterable[Path]]) -> Iterator[list[Path]]:
    """Yields batches of new files, each file as soon as it is complete. Never ends.

    `find` returns all files. It is called when something has changed in the folders, and once a minute.
    """
    from watchfiles import watch

    seen: set[Path] = set()
    growing: dict[Path, tuple[tuple[int, int] | None, float]] = {}  # `stamp` of a file, and when it last changed
    looked = -_LOOK_SECONDS
    ticks = watch(*folders, yield_on_timeout=True, rust_timeout=_TICK_MILLISECONDS, watch_filter=None)
    for changes in ticks:
        now = time.monotonic()
        if changes or now - looked >= _LOOK_SECONDS:
            looked = now
            new = set(find()) - seen
            seen |= new
            growing.update(dict.fromkeys(sorted(new), (None, now)))
        complete = _complete(growing, now)
        for path in complete:
            del growing[path]
        if complete:
            yield complete


def _complete(growing: dict[Path, tuple[tuple[int, int] | None, float]], now: float) -> list[Path]:
    """Returns the files that have not changed for STILL_SECONDS, and updates the entries of the others."""
    complete = []
    for path, (before, since) in growing.items():
        present = stamp(path)
        if present != before:
            growing[path] = (present, now)
        elif now - since >= STILL_SECONDS:
            complete.append(path)
    return complete

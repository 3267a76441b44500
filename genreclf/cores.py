"""The processor cores that this process may use, and work in threads on them."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Returns the number of cores that this process may use. A job on a cluster may have only some of a machine's."""
    return len(os.sched_getaffinity(0))


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int) -> Iterator[Result]:
    """Yields the result of `function` for each item, in order.

    At most `ahead` items per thread are taken before their results are, which bounds the memory. A caller that stops
    early does not wait for items in progress.
    """
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

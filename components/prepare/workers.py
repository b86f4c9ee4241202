"""The same work on many items, on threads, in order. What decodes and scales photographs lets go of the interpreter."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 8
"""Results for each worker that may wait for their turn; bounds the memory."""


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Generator[Result, None, None]:
    """Results of `work` in the order of `items`, a few ahead of where they are used, on threads.

    Close it where it may be left early.
    """
    queue = iter(items)
    pool = ThreadPoolExecutor(threads)
    try:
        pending = deque(pool.submit(work, item) for item in islice(queue, threads * AHEAD))
        while pending:
            yield pending.popleft().result()
            pending.extend(pool.submit(work, item) for item in islice(queue, 1))
    finally:
        pool.shutdown(cancel_futures=True)

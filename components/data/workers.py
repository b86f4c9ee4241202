"""The same work on many items, in processes, in order.

A process has one pipe and ends when it closes, so that none outlives the process that started it, however that ended.
"""

import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, TypeVar

from components.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 8
"""Results for each worker that may wait for their turn; bounds the memory."""


@dataclass(frozen=True)
class Failed:
    """What `work` raised, on its way back."""

    error: Exception


def answer(work: Callable[[Any], Any], item: object) -> object:
    """What `work` makes of `item`, or `Failed`."""
    try:
        return work(item)
    except Exception as error:
        return Failed(error)


def serve(pipe: Connection, work: Callable[[Any], Any]) -> None:
    """Answer each item that comes through the pipe, until it closes. Ctrl-C is for the process at its other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, ConnectionError):
        while True:
            pipe.send(answer(work, pipe.recv()))


@contextmanager
def processes(work: Callable[[Item], Result], count: int) -> Iterator[Callable[[Item], Result]]:
    """Yield `work` as a function that `count` threads may call at once: it runs in `count` processes.

    They are started anew (nothing is forked), and killed at the end. What `work` raises is raised here.

    Raises:
        InputError: (the function) a process was ended from outside.
    """
    context = get_context("spawn")
    idle: SimpleQueue[Connection] = SimpleQueue()
    started = []

    def ask(item: Item) -> Result:
        pipe = idle.get()
        try:
            pipe.send(item)
            result: Result | Failed = pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise InputError(
                "a worker process was ended from outside, expected it to work on; "
                "where memory ran out, close other programs or set fewer workers; run again"
            ) from error
        finally:
            idle.put(pipe)
        if isinstance(result, Failed):
            raise result.error
        return result

    try:
        for _ in range(count):
            here, there = context.Pipe()
            process = context.Process(target=serve, args=(there, work), daemon=True)
            process.start()
            started.append(process)
            there.close()
            idle.put(here)
        yield ask
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.join()


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

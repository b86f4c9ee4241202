"""Functions in processes of their own, one thread in each; they end with the process that started them.

One thread: what a function gives is then the same however many run at once, and the processes do not crowd each other.
Processes and not threads: a method's code is anybody's, and may hold the interpreter or share state.
"""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context

import psutil

from components.common.errors import InputError
from pipelines.system.environment import THREADS
from pipelines.system.processes import Owner, die_with


def begin(parent: Owner) -> None:
    """In a new process: end with `parent`, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes for the block, started anew (nothing is forked). Where it ends by an error, they are killed at once.

    Raises:
        InputError: a process was ended from outside.
    """
    before, others = dict(os.environ), active_children()
    os.environ.update(dict.fromkeys(THREADS, "1"))
    executor = ProcessPoolExecutor(workers, get_context("spawn"), begin, (Owner.of(psutil.Process()),))
    try:
        yield executor
    except BaseException as error:
        for process in active_children():
            if process not in others:
                process.kill()
        if isinstance(error, BrokenProcessPool):
            raise InputError(
                "a process that made maps was ended from outside, expected it to work on; where memory ran out, close "
                "other programs or set fewer cores (DBDFLOW_CORES=1); run again, what is done is kept"
            ) from error
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        for name in THREADS:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)

"""Locks on files: let go of when the process that holds them ends, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from components.common.errors import InputError


def take(path: Path) -> BaseFileLock | None:
    """The lock at `path`, held, for any thread to release; None if another process has it."""
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


@contextmanager
def held(path: Path, otherwise: str) -> Iterator[None]:
    """Hold the lock at `path`, whose folder is made.

    Raises:
        InputError: another process has it; `otherwise` is the message.
    """
    lock = take(path)
    if lock is None:
        raise InputError(otherwise)
    try:
        yield
    finally:
        lock.release()

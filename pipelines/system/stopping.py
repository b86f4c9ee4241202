"""How what runs is stopped, and how it ended.

A reproduction looks at its `Stop` (no lock: safe in a handler); a stage is interrupted where it is, by `Terminated`.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Literal

POLL = 0.1  # seconds
TRY_AGAIN = 75
"""Exit code of a stage: bad luck with a network or a server."""
NOT_AT_HAND = "not at hand: "
"""How the line begins by which a stage says what it lacks."""


class Stop:
    """Set once, by anyone; `reason` says by what, `code` is the exit code that goes with it."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.code = 1

    def set(self, reason: str, code: int = 1) -> None:
        if self.reason is None:
            self.code, self.reason = code, reason

    def is_set(self) -> bool:
        return self.reason is not None

    def wait(self, seconds: float) -> bool:
        """Sleep, but not beyond being set; whether it is set."""
        deadline = time.monotonic() + seconds
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, POLL))
        return self.is_set()


class Terminated(BaseException):
    """SIGTERM arrived."""


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: MLflow's word for it, the process's exit code, a message if it did not succeed."""

    status: Literal["FINISHED", "FAILED", "KILLED"]
    code: int
    message: str = ""


@contextmanager
def handling(handle: Callable[[int, FrameType | None], None], *numbers: signal.Signals) -> Iterator[None]:
    """Call `handle` for these signals inside the block."""
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def by_signals(stop: Stop) -> AbstractContextManager[None]:
    """SIGINT, SIGTERM and SIGHUP set `stop` inside the block, the first as all others (main thread only)."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set(f"stopped by {signal.Signals(number).name}", 128 + number)

    if threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return handling(handle, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def signals() -> AbstractContextManager[None]:
    """The first SIGTERM inside the block raises `Terminated`, further ones are ignored."""

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    return handling(handle, signal.SIGTERM)


@contextmanager
def later() -> Iterator[None]:
    """What of SIGINT and SIGTERM arrives inside the block comes after it (main thread only)."""
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        with handling(lambda number, frame: arrived.append(number), signal.SIGINT, signal.SIGTERM):
            yield
    finally:
        for number in arrived:
            signal.raise_signal(number)

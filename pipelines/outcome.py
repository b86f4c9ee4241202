"""How a stage ends: done, failed, refused, interrupted."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

NOT_AT_HAND = "not at hand: "
"""How the line begins by which a stage says what it lacks."""


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: MLflow's word for it, the process's exit code, a message if it did not succeed."""

    status: str
    code: int
    message: str = ""


class Terminated(BaseException):
    """SIGTERM arrived."""


@contextmanager
def signals() -> Iterator[None]:
    """The first SIGTERM inside the block raises `Terminated`, further ones are ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

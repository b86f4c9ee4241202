"""How a stage ended."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ran", "restored", "unchanged", "failed", "skipped", "interrupted"]
WELL: frozenset[Status] = frozenset({"ran", "restored", "unchanged"})


@dataclass(frozen=True)
class Done:
    """How a stage ended.

    Attributes:
        status: ran; restored (from DVC's run cache); unchanged (DVC found it up to date); failed; skipped (something
            before it did not succeed); interrupted.
        seconds: wall time of the last try.
        cause: one line for a person, where it did not succeed.
        stops: whether the whole reproduction has to stop: a process was killed from outside.
        again: whether another try may help: bad luck with a network or a server.
    """

    stage: str
    status: Status
    seconds: float = 0.0
    cause: str = ""
    stops: bool = False
    again: bool = False

    @property
    def well(self) -> bool:
        return self.status in WELL

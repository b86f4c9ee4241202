"""Walks a graph of stages: side by side what has no path between it, each with the slots that it needs.

Knows nothing of DVC, Prefect or processes: what runs a stage is handed in.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from typing import Literal

from pipelines.running.resources import Lease
from pipelines.system.stopping import Stop

POLL = 0.1  # seconds between two looks for slots that another reproduction holds

Status = Literal["ran", "restored", "unchanged", "failed", "skipped", "interrupted"]
WELL: frozenset[Status] = frozenset({"ran", "restored", "unchanged"})


@dataclass(frozen=True)
class Done:
    """How a stage ended.

    Attributes:
        status: ran; restored (from DVC's run cache); unchanged (DVC found it up to date); failed; skipped (something
            before it did not succeed); interrupted.
        seconds: wall time, slots held.
        cause: one line for a person, where it did not succeed.
        stops: whether the whole reproduction has to stop: a process was killed from outside.
    """

    stage: str
    status: Status
    seconds: float = 0.0
    cause: str = ""
    stops: bool = False

    @property
    def well(self) -> bool:
        return self.status in WELL


Run = Callable[[str, Lease], Done]
Take = Callable[[str], Lease | None]


class Walk:
    """One walk.

    Args:
        upstream: stage -> stages that it depends on directly; what is not a key itself is taken for done.
        seconds: how long stages took last time: the stage with the longest way to the end goes first.
        run: runs one stage, in a thread, holding the lease; never raises.
        take: slots for a stage, or None while there are none.
        jobs: stages at once.
        stop: set by anyone: nothing new begins, and `run` is expected to come back soon.
    """

    def __init__(
        self,
        *,
        upstream: Mapping[str, frozenset[str]],
        seconds: Mapping[str, float],
        run: Run,
        take: Take,
        jobs: int,
        stop: Stop,
    ) -> None:
        self.waiting = {stage: set(before & upstream.keys()) for stage, before in upstream.items()}
        self.run, self.take, self.jobs, self.stop = run, take, jobs, stop
        self.rank = ranks(self.waiting, seconds)
        self.running: set[Future[Done]] = set()
        self.done: dict[str, Done] = {}

    def go(self) -> dict[str, Done]:
        """Walk to the end; how each stage ended."""
        with ThreadPoolExecutor(max_workers=max(1, self.jobs), thread_name_prefix="stage") as pool:
            while self.waiting or self.running:
                self._begin(pool)
                # A short while: signals, and slots that another reproduction lets go of, have to be seen.
                ended = wait(self.running, timeout=POLL, return_when=FIRST_COMPLETED).done
                self.running -= ended
                for each in ended:
                    self._end(each.result())
                if not self.running and self.waiting and not ended:
                    time.sleep(POLL)
        return self.done

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        if self.stop.is_set():
            while self.waiting:
                stage = next(iter(self.waiting))
                self._end(Done(stage, "skipped", cause="not begun: the reproduction was stopped"))
            return
        ready = [stage for stage, before in self.waiting.items() if not before]
        for stage in sorted(ready, key=self.rank.__getitem__, reverse=True):
            if len(self.running) >= self.jobs:
                return
            if (lease := self.take(stage)) is not None:
                del self.waiting[stage]
                self.running.add(pool.submit(copy_context().run, self._one, stage, lease))

    def _one(self, stage: str, lease: Lease) -> Done:
        try:
            return self.run(stage, lease)
        except BaseException as error:
            return Done(stage, "failed", cause=f"{type(error).__name__}: {error}")
        finally:
            lease.release()

    def _end(self, done: Done) -> None:
        self.waiting.pop(done.stage, None)
        self.done[done.stage] = done
        if done.stops:
            self.stop.set(f"{done.stage}: {done.cause}")
        for stage, before in list(self.waiting.items()):
            if done.stage in before:
                before.discard(done.stage)
                if not done.well and stage in self.waiting:
                    self._end(Done(stage, "skipped", cause=f"needs {done.stage}"))


def ranks(upstream: Mapping[str, set[str]], seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds from a stage's start to the end of the longest chain that begins with it."""
    after: dict[str, set[str]] = {stage: set() for stage in upstream}
    for stage, before in upstream.items():
        for each in before:
            after[each].add(stage)
    rank: dict[str, float] = {}
    for stage in reversed(list(upstream)):  # in an order in which they could run, so that what follows is known
        rank[stage] = seconds.get(stage, 1.0) + max((rank[each] for each in after[stage]), default=0.0)
    return rank

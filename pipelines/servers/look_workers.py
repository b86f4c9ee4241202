"""The processes behind `dbdflow look`, and whose turn it is at them: what is slow does not hold up what is quick."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

from components.common.errors import TryAgainError
from pipelines.harness.pool import pool
from pipelines.servers.look_work import Made, warm

MOST = 8
"""Processes, however many cores there are: each holds its own models; a browser asks for six things at once."""


class Turns:
    """At most `most` at work at once.

    Next is, of those that wait, one of the kind with the fewest at work; of kinds with as many, the one whose last turn
    is longest ago; of its own, who waits longest. Whoever is cancelled waits no more.
    """

    def __init__(self, most: int) -> None:
        self.most, self.given = most, 0
        self.working: Counter[str] = Counter()
        self.last: Counter[str] = Counter()
        self.waiting: list[tuple[str, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, kind: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the block."""
        mine = asyncio.get_running_loop().create_future()
        self.waiting.append((kind, mine))
        self._give()
        try:
            await mine
            yield
        finally:
            if mine.done() and not mine.cancelled():
                self.working[kind] -= 1
            self._give()

    def _give(self) -> None:
        self.waiting = [each for each in self.waiting if not each[1].done()]
        while self.waiting and self.working.total() < self.most:
            kind, theirs = min(self.waiting, key=lambda each: (self.working[each[0]], self.last[each[0]]))
            self.waiting.remove((kind, theirs))
            self.given += 1
            self.working[kind] += 1
            self.last[kind] = self.given
            theirs.set_result(None)


class Workers:
    """Processes of one thread each, with these models at hand; at the end of the block they are killed.

    Raises:
        InputError: a model cannot be had.
    """

    def __init__(self, count: int, models: tuple[str, ...], device: str) -> None:
        self.count, self.models, self.device = min(count, MOST), models, device
        self.turns = Turns(self.count)
        self._pools = ExitStack()
        self._executor: ProcessPoolExecutor

    def __enter__(self) -> Self:
        try:
            next(as_completed(self._begin())).result()  # the others may come later
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pools.__exit__(kind, error, traceback)

    async def run(self, function: Callable[..., Made], *words: object) -> Made:
        """What a function gives, in one of the processes; called by who has a turn.

        Raises:
            TryAgainError: the process was ended from outside; another one is there for the next.
        """
        executor = self._executor
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, function, *words)
        except BrokenProcessPool as error:
            if executor is self._executor:
                self._begin()
            raise TryAgainError(
                "the process that made the map was ended from outside, as happens where memory runs out; close other "
                "programs or send a smaller photograph, and try again"
            ) from error

    def _begin(self) -> list[Future[None]]:
        """Start the processes; what comes when each has its models."""
        self._executor = self._pools.enter_context(pool(self.count))
        return [self._executor.submit(warm, self.models, self.device) for _ in range(self.count)]

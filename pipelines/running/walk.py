"""Steps of a graph as Dask's futures: side by side what has no path between it, each with the resources that it needs.

The one walk of this project: a reproduction's, a sweep's and a verification's differ in their steps. What a step does
goes to a worker, and so has to be pickled; what it says comes back as events, in order, and its `Done` among them.
"""

import queue
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.running.done import Done
from pipelines.running.engine import orphaned
from pipelines.running.gpus import one_gpu
from pipelines.running.resources import Need
from pipelines.system.environment import THREADS
from pipelines.system.progress import duration
from pipelines.system.stopping import Stop

if TYPE_CHECKING:
    from distributed import Client, Future, Worker

POLL = 0.1  # seconds

Tell = Callable[[str], None]
"""Takes a line that a step printed."""
Work = Callable[[Mapping[str, str], Tell, Stop], Done]
"""What a step does, on a worker: given more environment for its process, where its lines go, and what ends it early."""


@dataclass(frozen=True)
class Step:
    """A step of a walk.

    Attributes:
        name: unlike any other's of the walk.
        work: what it does; never raises where it can say why in a `Done`.
        need: what it needs while it runs.
        units: the same as Dask's resources.
        upstream: steps that have to be done before; names that are none of the walk's are taken for done.
        log: file that gets every line that it prints, here, wherever it runs.
    """

    name: str
    work: Work
    need: Need
    units: Mapping[str, int]
    upstream: frozenset[str]
    log: Path | None = None

    @property
    def group(self) -> str:
        """Its name without what stands behind an @; a sweep's goes on with its values.

        >>> Step("predict@dffnet seed=1", None, Need(), {}, frozenset()).group
        'predict'
        """
        return self.name.partition(" ")[0].partition("@")[0]


class Watcher(Protocol):
    """Sees a walk."""

    def begin(self, step: str) -> None: ...
    def line(self, step: str, line: str) -> None: ...
    def end(self, done: Done) -> None: ...


@dataclass(frozen=True)
class Order:
    """What is asked of Dask: a step of a walk, its resources, its place in the queue."""

    walk: str
    step: Step
    priority: float

    def how(self) -> dict[str, Any]:
        return {"resources": dict(self.step.units), "priority": self.priority}


class Submit(Protocol):
    """Hands steps to Dask."""

    def client(self, started: "Client") -> "Client":
        """The client that is used, of the same scheduler as the engine's."""

    def __call__(self, client: "Client", order: Order, before: "Sequence[Future[Any]]") -> "Future[Any]":
        """Hand over a step, to begin after others' futures."""


class Plainly:
    """Dask alone runs the steps, and tries them again where that may help."""

    def client(self, started: "Client") -> "Client":
        return started

    def __call__(self, client: "Client", order: Order, before: "Sequence[Future[Any]]") -> "Future[Any]":
        key = f"{order.step.group}-{uuid.uuid4().hex}"  # Dask keeps books by what stands before the number
        return client.submit(perform, order, *before, key=key, pure=False, **order.how())


plainly = Plainly()


class Walk:
    """One walk.

    Args:
        client: of the scheduler whose workers do it.
        steps: each after those that it needs.
        seconds: how long steps took last time: the step with the longest way to the end goes first.
        watcher: sees steps begin, print and end, in this thread.
        stop: set by anyone: nothing new begins, and what runs is ended.
        submit: who decides of a step.
    """

    def __init__(
        self,
        client: "Client",
        steps: Sequence[Step],
        *,
        seconds: Mapping[str, float],
        watcher: Watcher,
        stop: Stop,
        submit: Submit = plainly,
    ) -> None:
        self.client, self.watcher, self.stop, self.submit = submit.client(client), watcher, stop, submit
        self.name = f"walk-{uuid.uuid4().hex}"
        self.steps = {step.name: step for step in steps}
        self.rank = ranks({step.name: step.upstream & self.steps.keys() for step in steps}, seconds)
        self.futures: dict[str, Future[Any]] = {}
        self.again: set[str] = set()
        self.done: dict[str, Done] = {}
        self.news: queue.SimpleQueue[tuple[str, str, Any]] = queue.SimpleQueue()

    def go(self) -> dict[str, Done]:
        """Walk to the end; how each step ended."""
        self._listen()
        try:
            for step in self.steps.values():
                self._hand_over(step, self.submit)
            while len(self.done) < len(self.steps):
                self._hear()
        except BaseException as error:
            self._end_all(f"{type(error).__name__}: {error}", 1)
            raise
        finally:
            self.client.unsubscribe_topic(self.name)
            self._tell_workers(forget, self.name)
        return self.done

    def _hand_over(self, step: Step, submit: Submit) -> None:
        before = [self.futures[name] for name in sorted(step.upstream & self.steps.keys())]
        future = submit(self.client, Order(self.name, step, self.rank[step.name]), before)
        self.futures[step.name] = future
        future.add_done_callback(lambda over: self.news.put(("over", step.name, over)))

    def _hear(self) -> None:
        """Take in one piece of news; a short while: signals have to be seen."""
        if self.stop.is_set():
            self._end_all(str(self.stop.reason), self.stop.code)
        try:
            kind, name, what = self.news.get(timeout=POLL)
        except queue.Empty:
            return
        if name in self.done:
            return
        if kind == "begin":
            self.watcher.begin(name)
        elif kind == "line":
            self._line(self.steps[name], what)
        elif kind == "end":
            self._end(Done(**what))
        elif what is self.futures[name]:
            self._over(self.steps[name], what)

    def _line(self, step: Step, line: str) -> None:
        if step.log:
            with step.log.open("a", encoding="utf-8", errors="replace") as log:
                log.write(f"{line}\n")
        self.watcher.line(step.name, line)

    def _end_all(self, reason: str, code: int) -> None:
        """Have the workers, also those that came since it was said before, end what they do of this walk."""
        self._tell_workers(stop_here, self.name, reason, code)

    def _tell_workers(self, function: Callable[..., None], *words: object) -> None:
        """Call a function on every worker, as far as they can be reached."""
        if self.client.status == "running":
            with suppress(OSError, RuntimeError):  # the scheduler went away this moment
                self.client.run(function, *words, on_error="ignore")

    def _over(self, step: Step, future: "Future[Any]") -> None:
        """A step's future is over, and nothing was heard of its end: it did not begin, or was lost on the way."""
        ill = next((name for name in step.upstream if name in self.done and not self.done[name].well), None)
        if future.status == "finished" and isinstance(done := future.result(), Done):
            self._end(done)
        elif ill is not None:
            self._end(Done(step.name, "skipped", cause=f"needs {ill}"))
        elif step.name in self.again or not (self.submit is not plainly or future.status == "cancelled"):
            self._end(Done(step.name, "failed", cause=lost(self.client, future)))
        else:
            self.again.add(step.name)
            why = f" ({lost(self.client, future)})" if future.status == "error" else ""
            self._line(step, f"warning: lost by Prefect or the scheduler{why}; it begins again")
            self._listen()
            self._hand_over(step, plainly)

    def _listen(self) -> None:
        """Have what steps say sent here; again, if need be, by a scheduler that was started anew."""
        self.client.subscribe_topic(self.name, lambda event: self.news.put(event[1]))

    def _end(self, done: Done) -> None:
        self.done[done.stage] = done
        self.watcher.end(done)
        if done.stops:
            self.stop.set(f"{done.stage}: {done.cause}")


def lost(client: "Client", future: "Future[Any]") -> str:
    """Why a step has no end of its own."""
    from distributed import KilledWorker

    if future.status == "cancelled" or client.status != "running":
        return "the scheduler went away; the same command goes on where it was"
    error = future.exception()
    if isinstance(error, KilledWorker):
        return f"its workers died, {error.allowed_failures + 1} times; see their logs"
    return " ".join(f"{type(error).__name__}: {error}".split())


def ranks(upstream: Mapping[str, frozenset[str]], seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds from a step's start to the end of the longest chain that begins with it; `upstream` in walking order."""
    after: dict[str, set[str]] = {step: set() for step in upstream}
    for step, before in upstream.items():
        for each in before:
            after[each].add(step)
    rank: dict[str, float] = {}
    for step in reversed(list(upstream)):  # so that what follows is known
        rank[step] = seconds.get(step, 1.0) + max((rank[each] for each in after[step]), default=0.0)
    return rank


# ---- on a worker

stops: dict[str, Stop] = {}
"""What ends the walks that this process takes part in, by their names."""


def stop_here(walk: str, reason: str, code: int) -> None:
    stops.setdefault(walk, Stop()).set(reason, code)


def forget(walk: str) -> None:
    stops.pop(walk, None)


class Ends(Stop):
    """Ends a step: its walk was stopped, or who asked for it, or the scheduler, has gone."""

    def __init__(self, walk: str, worker: "Worker", key: str) -> None:
        super().__init__()
        self.walk, self.worker, self.key = stops.setdefault(walk, Stop()), worker, key

    def is_set(self) -> bool:
        if self.reason is None and self.walk.reason is not None:
            self.set(self.walk.reason, self.walk.code)
        if self.reason is None and self.orphaned():
            self.set("who asked for it has gone")
        return self.reason is not None

    def orphaned(self) -> bool:
        """Whether nobody waits for the step here."""
        return orphaned(self.worker, self.key)


def perform(order: Order, *before: object) -> Done | None:
    """Do a step, again where that may help; `before`: what came of the steps that it needs (a `Done`, or Prefect's)."""
    if any(each is None or (isinstance(each, Done) and not each.well) for each in before):
        return None
    done = attempt(order)
    for seconds in order.step.need.retries:
        if not done.again:
            break
        done = attempt(order, after=(seconds, done.cause))
    report(order, "end", asdict(done))
    return done


def attempt(order: Order, after: tuple[float, str] | None = None, given: Mapping[str, str] | None = None) -> Done:
    """Try a step once.

    Args:
        order: the step.
        after: not the first time: seconds to wait first, and why it did not succeed before.
        given: more environment for its process.

    Raises:
        Reschedule: nobody waits for it here; on another worker it is begun anew.
    """
    from distributed import Reschedule, get_worker

    worker, step = get_worker(), order.step
    stop = Ends(order.walk, worker, worker.get_current_task())
    tell = partial(report, order, "line")
    if after:
        tell(f"tried again in {duration(after[0])}: {after[1]}")
        stop.wait(after[0])
    if stop.is_set():
        return Done(step.name, "skipped", cause="not begun: the reproduction was stopped")
    if not after:
        report(order, "begin")
    try:
        with ExitStack() as held:
            gpu = held.enter_context(one_gpu(stop, tell)) if step.units.get("gpu") else ""
            own = {"CUDA_VISIBLE_DEVICES": gpu, **threads(step, worker), **(given or {})}
            done = step.work(own, tell, stop)
    except Exception as error:
        return Done(step.name, "failed", cause=f"{type(error).__name__}: {error}")
    if stop.orphaned():
        raise Reschedule
    return done


def threads(step: Step, worker: "Worker") -> dict[str, str]:
    """How many threads a step's process uses: its cores, and of `any` also those that nobody has when it begins."""
    free = worker.state.available_resources.get("core", 0) if step.need.cores == "any" else 0
    return dict.fromkeys(THREADS, str(max(1, step.units.get("core", 0) + int(free))))


def report(order: Order, kind: str, what: object = None) -> None:
    """Tell who asked for a step of it."""
    from distributed import get_worker

    get_worker().log_event(order.walk, (kind, order.step.name, what))

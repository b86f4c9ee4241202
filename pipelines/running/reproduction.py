"""One reproduction of a checkout: every stage that is out of date, side by side, as plain functions.

Prefect is not needed (`pipelines.flows.reproduce` is the flow around it); DVC decides what is out of date, runs every
stage and keeps what comes out.
"""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.repo import costs, dag, recovery
from pipelines.repo.dag import Dag
from pipelines.repo.params_check import check_params
from pipelines.running import apart, engine, entries
from pipelines.running.console import Console, plan
from pipelines.running.done import Done, Status
from pipelines.running.launch import StageRun
from pipelines.running.resources import Limits, read_needs, stage_need
from pipelines.running.walk import Step, Submit, Walk, Work, plainly
from pipelines.system import environment
from pipelines.system.progress import duration
from pipelines.system.stopping import Stop

LOGS_KEPT = 20  # reproductions
WORDS: dict[Status, str] = {
    "ran": "ran",
    "restored": "from the run cache",
    "unchanged": "found up to date",
    "failed": "failed",
    "interrupted": "interrupted",
    "skipped": "not begun",
}


@dataclass(frozen=True)
class Summary:
    """How a reproduction ended.

    Attributes:
        done: every stage that was out of date.
        stages: number of all stages.
        seconds: wall time.
        logs: folder of the stages' logs, None if nothing ran.
        stop: what stopped it, if anything did.
    """

    done: Mapping[str, Done]
    stages: int
    seconds: float
    logs: Path | None
    stop: Stop

    @property
    def status(self) -> str:
        """FINISHED, FAILED or KILLED (stopped from outside)."""
        found = {done.status for done in self.done.values()}
        if "failed" in found:
            return "FAILED"
        return "KILLED" if self.stop.is_set() else "FINISHED"

    @property
    def code(self) -> int:
        return {"FINISHED": 0, "FAILED": 1, "KILLED": self.stop.code}[self.status]

    def lines(self) -> list[str]:
        """In words: counts, and for whatever did not succeed its cause and its log."""
        if not self.done:
            return [self.stop.reason or f"nothing to do: all {self.stages} stages are up to date"]
        counts = Counter(done.status for done in self.done.values())
        words = ", ".join(f"{counts[status]} {word}" for status, word in WORDS.items() if counts[status])
        lines = [self.stop.reason] if self.stop.reason else []
        lines += [f"{self.stages} stages, {len(self.done)} out of date: {words}, in {duration(self.seconds)}"]
        for done in self.done.values():
            if done.status in ("failed", "interrupted"):
                lines.append(f"  {done.stage}: {done.cause}; log: {self.log(done.stage)}")
        return lines + [f"  {done.stage}: {done.cause}" for done in self.done.values() if done.status == "skipped"]

    def log(self, stage: str) -> Path | None:
        return self.logs / f"{stage}.log" if self.logs else None


def look(root: Path, only: Sequence[str]) -> Dag:
    """The part of the graph that was asked for, as it is now.

    Raises:
        InputError: params.yaml is wrong, no such stage, or a file of the project cannot be read.
    """
    check_params(root)
    found = dag.read(root)
    return found.only(only) if only else found


Look = Callable[[Path, Sequence[str]], Dag]


def plan_lines(root: Path, only: Sequence[str]) -> list[str]:
    """What a reproduction would do, without doing it."""
    found = look(root, only)
    return list(plan(found.to_do(), len(found.upstream), costs.left()))


def reproduce(
    root: Path,
    *,
    only: Sequence[str] = (),
    jobs: int | None = None,
    say: Callable[[str], None] = print,
    submit: Submit = plainly,
    stop: Stop | None = None,
    look: Look = look,
) -> Summary:
    """Bring a checkout up to date, what `look` finds out of date in it. `stop` ends it early.

    Raises:
        InputError: params.yaml is wrong, no such stage, or a file of the project cannot be read.
    """
    begun, stop = time.monotonic(), stop or Stop()
    with recovery.alone(root, say, stop):
        recovery.repair(root, say)
        found = look(root, only)
        if not found.to_do():
            return Summary({}, len(found.upstream), time.monotonic() - begun, None, stop)
        logs = new_logs()
        try:
            done = walk(root, found, logs, jobs, stop=stop, submit=submit)
        finally:
            recovery.repair(root, say)
            entries.put_in_order(root, list(found.upstream))
        costs.keep(root, [stage for stage, each in done.items() if each.status == "ran"])
        return Summary(done, len(found.upstream), time.monotonic() - begun, logs, stop)


def walk(root: Path, found: Dag, logs: Path, jobs: int | None, *, stop: Stop, submit: Submit) -> dict[str, Done]:
    """Run all that is out of date."""
    why, needs, limits = found.to_do(), read_needs(), Limits.of(root)
    console = Console(why)
    with engine.started(jobs) as started:
        console.say(f"{len(why)} stages out of date; {started.words}; logs in {logs}")
        steps = []
        for stage in why:
            need, upstream = stage_need(stage, needs), found.upstream[stage]
            here = StageRun(root, stage, stage, need.hours, child_environment(console.terminal))
            work: Work = apart.Anywhere(here, upstream, started.seen) if started.seen else here
            units = limits.units(need, started.machine)
            steps.append(Step(stage, work, need, units, upstream, logs / f"{stage}.log"))
        if started.seen:
            apart.leave(started.client, started.seen.name, root)
        seconds = costs.seconds()
        done = Walk(started.client, steps, seconds=seconds, watcher=console, stop=stop, submit=submit).go()
        if started.seen and started.client.status == "running":
            entries.fetch(root, apart.made_apart(started.client, started.seen.name))
        return done


def child_environment(terminal: bool) -> dict[str, str]:
    """What every stage's process is told: whose state it uses, how often it says how far it is."""
    return {"DVC_ROOT": str(environment.root()), "DBDFLOW_PROGRESS_SECONDS": "1" if terminal else "30"}


def new_logs(kind: str = "reproduce") -> Path:
    """A folder for the logs of one reproduction (or other command); the oldest ones go."""
    folder = environment.state() / "logs" / kind
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.iterdir())[: -LOGS_KEPT + 1]:
        shutil.rmtree(old, ignore_errors=True)
    logs = folder / f"{datetime.now():%Y%m%dT%H%M%S}-{os.getpid()}"
    logs.mkdir()
    return logs

"""Stages computed again from the inputs that `dvc.lock` records, and held against the outputs that it records.

All happens in a clone under `.dbdflow/verify` with a state folder of its own: no checkpoint, no run in MLflow or
Prefect, no output, no object of the cache is touched (DVC hashes what comes out, and does not keep it).
"""

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from components.common.errors import InputError
from components.common.yaml_files import read_text
from pipelines.repo import dag
from pipelines.repo.clone import Clone, cache_of, changed_files
from pipelines.repo.fingerprint import load, overlap
from pipelines.repo.outputs import Output, Outputs, md5, recorded
from pipelines.repo.revisions import git
from pipelines.running import engine
from pipelines.running.console import Console
from pipelines.running.done import Done
from pipelines.running.engine import Engine
from pipelines.running.launch import StageRun
from pipelines.running.numbers import SAME, Apart, apart
from pipelines.running.reproduction import child_environment, new_logs
from pipelines.running.resources import Limits, read_needs, stage_need
from pipelines.running.walk import Step, Walk
from pipelines.system import environment, locks
from pipelines.system.stopping import Stop

OPTIONS = ("--force", "--no-commit", "--no-run-cache")

Kind = Literal["same bytes", "same numbers", "different", "failed", "not checked"]


@dataclass(frozen=True)
class Verdict:
    """What came of one stage."""

    stage: str
    kind: Kind
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind} ({self.detail})" if self.detail else self.kind


@dataclass(frozen=True)
class Asked:
    """What to compute again.

    Attributes:
        words: stages, or what stands before their @, or outputs; none: all that `dvc.lock` records.
        sample: that many of them, at random; None: all.
        seed: of the choice.
        tolerance: largest difference between two numbers that are taken for the same (`pipelines.running.numbers`).
    """

    words: tuple[str, ...]
    sample: int | None
    seed: int
    tolerance: float


def recompute(root: Path, asked: Asked, stop: Stop) -> Iterator[Verdict]:
    """Compute stages again, one after another; what cannot be checked does not count for the sample.

    Raises:
        InputError: no `dvc.lock`, no such stage, another `dbdflow verify` runs in this checkout.
    """
    stages = list(dict.fromkeys(out.stage for out in recorded(root, asked.words)))
    if asked.sample is not None:
        random.Random(asked.seed).shuffle(stages)
    wanted = min(asked.sample or len(stages), len(stages))
    console, left = Console({stage: ["computed again"] for stage in stages}, wanted), wanted
    with alone() as folder, engine.started(1) as started:
        clone = Clone(
            root,
            folder / "clone",
            git(root, "rev-parse", "HEAD").strip(),
            changed_files(root),
            read_text(root / "params.yaml"),
            lock=root / "dvc.lock",
            everything=False,
        )
        clone.make(lambda line: None)
        console.say(f"{wanted} of {len(stages)} stages are computed again in {clone.folder}; nothing else is touched")
        bench = Bench(clone, started, console, stop, asked.tolerance)
        for stage in stages:
            if left == 0 or stop.is_set():
                return
            if verdict := bench.check(stage):
                left -= verdict.kind != "not checked"
                yield verdict


@contextmanager
def alone() -> Iterator[Path]:
    """The folder for the clone, empty; removed in the end."""
    folder = environment.state() / "verify"
    folder.mkdir(parents=True, exist_ok=True)
    busy = f"{environment.root()}: another `dbdflow verify` runs here; wait for it, or end it"
    with locks.held(environment.state() / "verify.lock", busy):
        shutil.rmtree(folder)  # what one that was killed has left
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Bench:
    """The clone, and what its stages share."""

    def __init__(self, clone: Clone, started: Engine, console: Console, stop: Stop, tolerance: float) -> None:
        self.root, self.engine, self.console, self.stop, self.tolerance = (
            clone.folder,
            started,
            console,
            stop,
            tolerance,
        )
        self.lock = (clone.folder / "dvc.lock").read_bytes()
        self.recorded = Outputs(recorded(clone.folder), cache_of(clone.root))
        self.needs, self.limits, self.logs = read_needs(), Limits.of(clone.folder), new_logs("verify")
        self.variables = {**child_environment(console.terminal), **dict.fromkeys(SERVERS, "")}
        self.variables |= {"DVC_ROOT": str(clone.folder), "DBDFLOW_MLFLOW": "off"}

    def check(self, stage: str) -> Verdict | None:
        """Compute one stage again; None when stopped."""
        if why := self._prepare(stage):
            self.console.say(f"{stage}: not checked ({why})")
            return Verdict(stage, "not checked", why)
        begun, log = time.monotonic(), self.logs / f"{stage}.log"
        done = self._run(stage, log)
        if self.stop.is_set():
            return None
        verdict = self._compare(stage) if done.well else Verdict(stage, "failed", f"{done.cause}; log: {log}")
        self.console.end(Done(stage, done.status, time.monotonic() - begun), str(verdict))
        self._clear(stage)
        return verdict

    def _run(self, stage: str, log: Path) -> Done:
        need = stage_need(stage, self.needs)
        work = StageRun(self.root, stage, stage, need.hours, self.variables, OPTIONS)
        step = Step(stage, work, need, self.limits.units(need, self.engine.machine), frozenset(), log)
        watcher = Beginning(self.console)
        return Walk(self.engine.client, [step], seconds={}, watcher=watcher, stop=self.stop).go()[stage]

    def _prepare(self, stage: str) -> str | None:
        """Put the stage's inputs in place as they are recorded; what keeps it from being checked."""
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        entry = load(self.root / "dvc.lock")["stages"][stage]
        deps = [dep["path"] for dep in entry.get("deps", ())]
        inputs = [path for path in self.recorded.outs if any(overlap(path, dep) for dep in deps)]
        if lacking := [path for path in inputs if not self.recorded.top(path).place.exists()]:
            return f"its input {lacking[0]} is not in the cache; `dbdflow pull {lacking[0]}` fetches it"
        try:
            with Repo(str(self.root), _wait_for_lock=True) as repo:
                if inputs:
                    repo.checkout([str(self.root / path) for path in inputs], force=True)
                (known,) = [each for each in repo.index.stages if dag.named(each.addressing) == stage] or [None]
                with repo.lock:
                    status = known.status() if known else {stage: [f"dvc.yaml has no stage {stage}"]}
        except DvcException as error:
            return str(error).replace("\n", " ").strip()
        entries = [each for found in status.values() for each in found if set(each) != {"changed outs"}]
        return f"out of date: {', '.join(dag.reasons(entries, entry, self.root))}" if entries else None

    def _compare(self, stage: str) -> Verdict:
        now = {out.path: out.oid for out in recorded(self.root)}
        changed = [out for out in self._outs(stage) if now[out.path] != out.oid]
        if not changed:
            return Verdict(stage, "same bytes")
        found = sorted((each for out in changed for each in self._differences(out)), reverse=True)
        others = f", and {len(found) - 1} more files differ" if len(found) > 1 else ""
        largest = f"{found[0].where}{others}"
        if found[0].size > self.tolerance:
            return Verdict(stage, "different", largest)
        return Verdict(stage, "same numbers", f"largest difference {found[0].size:.1e}: {largest}")

    def _differences(self, out: Output) -> Iterator[Apart]:
        """For each file of an output that has other bytes now, how far it is from the recorded one."""
        try:
            before = self.recorded.files(out.path)
        except InputError:
            yield Apart(float("inf"), f"{out.path}: other bytes; the recorded ones are not in the cache to compare")
            return
        top = self.root / out.path
        now = {file.relative_to(self.root).as_posix(): file for file in (top, *top.rglob("*")) if file.is_file()}
        for path in sorted(before.keys() | now.keys()):
            if path not in now or path not in before:
                yield Apart(float("inf"), f"{path} is {'gone' if path in before else 'new'}")
            elif md5(now[path]) != before[path].oid:
                found = apart(before[path].place, now[path], PurePosixPath(path).suffix)
                yield Apart(found.size, f"{path}: {found.where}" if found != SAME else f"{path}: layout only")

    def _outs(self, stage: str) -> list[Output]:
        return [out for out in self.recorded.outs.values() if out.stage == stage]

    def _clear(self, stage: str) -> None:
        """Take what came out away, so that the next stage gets the recorded one."""
        for out in self._outs(stage):
            path = self.root / out.path
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (self.root / "dvc.lock").write_bytes(self.lock)


SERVERS = ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID")
"""What tells a stage of servers; one that is only checked reports to none."""


@dataclass(frozen=True)
class Beginning:
    """Shows a stage's beginning and lines; its end is shown once its outputs are compared."""

    console: Console

    def begin(self, step: str) -> None:
        self.console.begin(step)

    def line(self, step: str, line: str) -> None:
        self.console.line(step, line)

    def end(self, done: Done) -> None:
        """Nothing yet."""

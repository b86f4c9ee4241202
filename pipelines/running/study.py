"""The study's trainings side by side, each a process of one thread (`study_run`), in the order of `claims.yaml`.

What is shared (photographs, depth teacher, a seed's first stage) is made once. A run is done when its scores are there,
which appear whole; whatever is killed goes on after its last whole epoch when the study is started again.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import InputError
from pipelines.running.study_plan import Plan, Task
from pipelines.system.environment import THREADS
from pipelines.system.locks import held
from pipelines.system.processes import end_group, start_tied
from pipelines.system.progress import duration
from pipelines.system.stopping import Stop

EVERY = 60.0  # seconds between lines of progress
POLL = 0.5  # seconds
BAD_INPUT = 2
"""Exit code of a process that says in one line what a person has to put right."""
SURE = 20.0  # minutes that the jobs have had, after which their pace is known


@dataclass
class Clock:
    """What a study's processes have had, and have done with it.

    Attributes:
        spent: minutes of a core that runs had taken when it began.
        had: minutes that its processes have been running since, all together.
    """

    spent: float
    had: float = 0.0

    def left(self, quiet: float, spent: float) -> str:
        """How long it will take what takes so many minutes on quiet cores, by what was done in the minutes had."""
        done = spent - self.spent
        if self.had < SURE:
            return f"about {duration(60 * quiet)} left"
        if not done:
            return "the time left is not known: others have the cores"
        return f"about {duration(60 * quiet * max(1.0, self.had / done))} left"


@dataclass
class Study(Plan):
    """A plan that is carried out.

    Attributes:
        jobs: processes at once.
        say: prints a line.
    """

    jobs: int
    say: Callable[[str], None]

    def run(self, stop: Stop) -> int:
        """Make all that is left; the exit code.

        Raises:
            InputError: another process is at it, or something is lacking.
        """
        self.check()
        self.folder.mkdir(parents=True, exist_ok=True)
        with held(
            self.folder / "lock", f"{self.folder}: another study runs there; wait for it, or name another folder"
        ):
            for name in ("data", "depth_teacher"):
                self._alone(name, stop)
            if self.left() and self.minutes([]) is None:
                self._alone("probe", stop)
            if stop.is_set():
                return stop.code
            return self._side_by_side(stop)

    def _alone(self, name: str, stop: Stop) -> None:
        done = {task.name: task.done for task in self.tasks()}.get(name, self.places.probe)
        if done.exists() or stop.is_set():
            return
        self.say(f"{name}: begins")
        process, shown = self._start(name), time.monotonic()
        while process.poll() is None and not stop.wait(POLL):
            if time.monotonic() - shown > EVERY:
                shown = time.monotonic()
                self.say(self._last_line(name))
        end_group(process)
        if process.returncode and not stop.is_set():
            raise InputError(self._failed(name, process.returncode))

    def _side_by_side(self, stop: Stop) -> int:
        left, shown, begun = self.left(), 0.0, time.monotonic()
        clock = Clock(sum(self.spent().values()))
        self.say(self._projection(left))
        running: dict[Task, subprocess.Popen[bytes]] = {}
        code = 0
        try:
            while (left or running) and not stop.is_set():
                waiting = {task.name for task in (*left, *running)}
                for task in [each for each in left if not waiting.intersection(each.needs)]:
                    if len(running) < self.jobs:
                        left.remove(task)
                        running[task] = self._start(task.name)
                for task in [each for each, process in running.items() if process.poll() is not None]:
                    if failed := running.pop(task).returncode:
                        self.say(self._failed(task.name, failed))
                        left, code = [each for each in left if task.name not in each.needs], 1
                if time.monotonic() - shown > EVERY:
                    shown = time.monotonic()
                    self.say(self._progress(left, list(running), clock))
                before = time.monotonic()
                stop.wait(POLL)
                clock.had += len(running) * (time.monotonic() - before) / 60
        finally:
            for process in running.values():
                end_group(process)
        self.say(f"{self._counted(len(self.left()))} are there, after {duration(time.monotonic() - begun)}")
        return stop.code if stop.is_set() else code

    def _counted(self, left: int) -> str:
        total = len(self.tasks()) - 2
        return f"{total - left} of {total} runs"

    def _projection(self, left: Sequence[Task]) -> str:
        minutes = self.minutes(left) or {}
        each, quiet = sum(minutes.values()) / max(1, len(left)), duration(60 * self.quiet(minutes))
        return (
            f"{len(left)} runs to go, about {each:.1f} minutes of a core each: {quiet} with {self.jobs} at once on as "
            "many quiet cores"
        )

    def quiet(self, minutes: Mapping[Task, float]) -> float:
        """How long runs of so many minutes take on quiet cores: their share of the jobs, or a run and what it needs."""
        by_name = {task.name: each for task, each in minutes.items()}
        chains = [each + sum(by_name.get(name, 0.0) for name in task.needs) for task, each in minutes.items()]
        return max([sum(minutes.values()) / self.jobs, *chains])

    def _progress(self, left: Sequence[Task], running: Sequence[Task], clock: Clock) -> str:
        now = ", ".join(self._last_line(task.name) for task in running)
        quiet = self.quiet(self.minutes([*left, *running]) or {})
        wall = clock.left(quiet, sum(self.spent().values()))
        return f"{self._counted(len(left) + len(running))}; {wall}; {now}"

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _last_line(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").splitlines()
        told = [line for line in lines if line.startswith(f"{name}: ")]
        return told[-1].partition(", loss")[0] if told else f"{name}: begins"

    def _failed(self, name: str, code: int) -> str:
        last = (self._log(name).read_text(errors="replace").splitlines() or ["it was ended from outside"])[-1]
        if code == BAD_INPUT:
            return f"{name}: {last}"
        return f"{name}: failed ({last}); all of it in {self._log(name)}; say the same again to go on"

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        self._log(name).parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pipelines.running.study_run", str(self.folder), self.scale, name]
        alone = os.environ | dict.fromkeys(THREADS, "1")
        with self._log(name).open("wb") as log:
            return start_tied(command, stdout=log, stderr=subprocess.STDOUT, env=alone)

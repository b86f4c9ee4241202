"""The study's trainings side by side, each a process of one thread (`study_run`), in the order of `claims.yaml`.

What is shared (photographs, depth teacher, a seed's first stage) is made once. A run is done when its scores are there,
which appear whole; whatever is killed goes on after its last whole epoch when the study is started again.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from components.common.errors import InputError
from components.common.storage import read_json
from components.common.yaml_files import read_yaml
from components.params import parse_params
from components.study.design import SCORES, Places, Row, design
from pipelines.system.environment import THREADS
from pipelines.system.locks import held
from pipelines.system.processes import end_group, start_tied
from pipelines.system.progress import duration
from pipelines.system.stopping import Stop

PRESET = Path("presets/study.yaml")
INBOX = Path("data/archives")
TIME = "time.json"
"""Of a run: seconds of a core that each epoch took."""
Say = Callable[[str], None]
SECOND_STAGE = 1.2
"""How long a run with two teachers takes, in runs without, before one has been timed."""
EVERY = 60.0  # seconds between lines of progress
POLL = 0.5  # seconds
SURE = 10.0  # minutes of a core


def preset() -> dict[str, Any]:
    """The values of the quick scale.

    Raises:
        InputError: it is not there, or is no params file.
    """
    values: dict[str, Any] = read_yaml(PRESET)
    parse_params(values, str(PRESET))
    return values


def places(folder: Path, values: dict[str, Any]) -> Places:
    """Where the study has its things; photographs and depth teacher of other values of the preset lie elsewhere."""
    told = repr([values[key] for key in ("image_size", "download", "prepare", "depth_teacher")])
    shared = folder / f"shared-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    return Places(shared / "prepared", INBOX, shared / "depth_teacher", folder / "runs")


@dataclass(frozen=True)
class Task:
    """One process: what it makes, where that is when it is done, and the tasks that come before."""

    name: str
    done: Path
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clock:
    """When a study began to train, in seconds, and the minutes of a core that it had spent by then."""

    begun: float
    spent: float

    def pace(self, spent: float, jobs: int) -> float:
        """Minutes that pass for a minute of a core's work: 1 on quiet cores; told once ten have been spent."""
        done = spent - self.spent
        return max(1.0, (time.monotonic() - self.begun) / 60 * jobs / done) if done > SURE else 1.0


@dataclass
class Study:
    """The study in a folder.

    Attributes:
        folder: for all that it makes.
        jobs: processes at once.
        say: prints a line.
        rows: rows and seeds, in order.
    """

    folder: Path
    jobs: int
    say: Say
    rows: Sequence[tuple[Row, int]]

    def __post_init__(self) -> None:
        self.preset = preset()
        self.places = places(self.folder, self.preset)

    def out(self, row: Row, seed: int) -> Path:
        """Folder of a run."""
        return self.places.run(row, seed, row.params(self.preset, seed))

    def tasks(self) -> list[Task]:
        """All processes, in order; a row that a later one builds on comes before it."""
        teacher = Task("depth_teacher", self.places.depth_teacher, ("data",))
        shared = [Task("data", self.places.prepared / "cuhk"), teacher]
        runs: dict[str, Task] = {}
        for row, seed in self.rows:
            first = [f"{row.first}-{seed}"] if row.first else []
            if first and first[0] not in runs:
                runs[first[0]] = Task(first[0], self.out(design().row(row.first), seed) / SCORES, ("depth_teacher",))
            runs[f"{row.name}-{seed}"] = Task(
                f"{row.name}-{seed}", self.out(row, seed) / SCORES, ("depth_teacher", *first)
            )
        return [*shared, *runs.values()]

    def left(self) -> list[Task]:
        """What is not done."""
        return [task for task in self.tasks() if not task.done.exists()]

    def spent(self) -> dict[Path, float]:
        """Minutes of a core that each run has taken, by its folder."""
        return {path.parent: sum(read_json(path)["seconds"]) / 60 for path in (self.folder / "runs").glob(f"*/{TIME}")}

    def minutes(self, tasks: Sequence[Task]) -> float | None:
        """Minutes of a core that runs will take: as their row took, else as such rows did, else as probed."""
        known: dict[str, list[float]] = {}
        spent = self.spent()
        for folder in [each for each in spent if (each / SCORES).exists()]:
            known.setdefault(folder.name.rsplit("-", 2)[0], []).append(spent[folder])
        first = mean(mean(known[name]) / self.weight(name) for name in known) if known else self.probed()
        if first is None:
            return None
        rows = [(task, task.name.rpartition("-")[0]) for task in tasks]
        whole = sum(mean(known[name]) if name in known else first * self.weight(name) for _, name in rows)
        return whole - sum(spent.get(task.done.parent, 0.0) for task, _ in rows)

    def weight(self, name: str) -> float:
        """A row's cost beside a first stage's."""
        return SECOND_STAGE if design().row(name).first else 1.0

    def probed(self) -> float | None:
        """Minutes of a first stage, by the probe; None before it has run."""
        path = self.folder / "probe.json"
        if not path.exists():
            return None
        stage1 = self.preset["stage1"]
        steps: int = 604 // stage1["batch_size"] * stage1["epochs"]
        seconds: float = read_json(path)["seconds_a_step"]
        return seconds * steps / 60

    def check(self) -> None:
        """Refuse to begin without what a person brings in.

        Raises:
            InputError: it is not there; says what to do.
        """
        data = self.places.prepared / "cuhk"
        for what, path in {"cuhk FOLDER": INBOX / "cuhk", "mobilenetv2_100 FILE": INBOX / "backbones"}.items():
            if not path.exists() and not (what.startswith("cuhk") and data.exists()):
                raise InputError(f"{path}: not there; say `dbdflow import {what}` first (docs/cuhk.md says what of)")

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
            if self.minutes([]) is None:
                self._alone("probe", stop)
            if stop.is_set():
                return stop.code
            return self._side_by_side(stop)

    def _alone(self, name: str, stop: Stop) -> None:
        done = {task.name: task.done for task in self.tasks()}.get(name, self.folder / "probe.json")
        if done.exists() or stop.is_set():
            return
        self.say(f"{name}: begins")
        process = self._start(name)
        while process.poll() is None and not stop.wait(POLL):
            pass
        end_group(process)
        if process.returncode and not stop.is_set():
            raise InputError(self._failed(name))

    def _side_by_side(self, stop: Stop) -> int:
        left, shown = self.left(), 0.0
        clock = Clock(time.monotonic(), sum(self.spent().values()))
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
                    if running.pop(task).returncode:
                        self.say(self._failed(task.name))
                        left, code = [each for each in left if task.name not in each.needs], 1
                if time.monotonic() - shown > EVERY:
                    shown = time.monotonic()
                    self.say(self._progress(left, list(running), clock))
                stop.wait(POLL)
        finally:
            for process in running.values():
                end_group(process)
        self.say(f"{self._counted(len(self.left()))} are there, after {duration(time.monotonic() - clock.begun)}")
        return stop.code if stop.is_set() else code

    def _counted(self, left: int) -> str:
        total = len(self.tasks()) - 2
        return f"{total - left} of {total} runs"

    def _projection(self, left: Sequence[Task]) -> str:
        minutes = self.minutes(left) or 0.0
        hours = duration(60 * minutes / self.jobs)
        return (
            f"{len(left)} runs to go, about {minutes / max(1, len(left)):.1f} minutes of a core each: {hours} with "
            f"{self.jobs} at once on as many quiet cores"
        )

    def _progress(self, left: Sequence[Task], running: Sequence[Task], clock: Clock) -> str:
        now = ", ".join(self._last_line(task.name) for task in running)
        minutes = self.minutes([*left, *running]) or 0.0
        wall = duration(60 * minutes * clock.pace(sum(self.spent().values()), self.jobs) / self.jobs)
        return f"{self._counted(len(left) + len(running))}; about {wall} left; {now}"

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _last_line(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").splitlines()
        told = [line for line in lines if line.startswith(f"{name}: epoch")]
        return told[-1].partition(", loss")[0] if told else f"{name}: begins"

    def _failed(self, name: str) -> str:
        last = (self._log(name).read_text(errors="replace").splitlines() or ["it was ended from outside"])[-1]
        return f"{name}: failed ({last}); all of it in {self._log(name)}; say the same again to go on"

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        self._log(name).parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pipelines.running.study_run", str(self.folder), name]
        alone = os.environ | dict.fromkeys(THREADS, "1")
        with self._log(name).open("wb") as log:
            return start_tied(command, stdout=log, stderr=subprocess.STDOUT, env=alone)

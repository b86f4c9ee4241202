"""One stage as a process: `dvc --wait-for-lock repro -s STAGE`, and what its end means."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pipelines.repo import recovery
from pipelines.running.done import Done, Status
from pipelines.running.walk import Tell
from pipelines.system import environment, processes
from pipelines.system.progress import duration
from pipelines.system.stopping import TRY_AGAIN, Stop

POLL = 0.1  # seconds
BUSY_RETRIES = (1.0, 2.0, 4.0, 8.0)  # seconds; DVC's path locks do not wait
ENDED = re.compile(r"^ERROR: failed to reproduce .*exited with (-?\d+)\s*$", re.MULTILINE)
FAILED = re.compile(r"^ERROR: (failed to reproduce .*)$", re.MULTILINE)
BUSY = re.compile(r"is busy, it is being blocked by|Unable to acquire lock")
BAD_INPUT = re.compile(r"^error: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its code (None: it exceeded its time), what it printed, whether it was stopped."""

    code: int | None
    text: str
    stopped: bool

    @property
    def stage_code(self) -> int | None:
        """Exit code of the stage's own process, as DVC tells it."""
        found = ENDED.search(self.text)
        return int(found[1]) if found else None

    @property
    def signal(self) -> int | None:
        """The signal that ended DVC or the stage, if one did (a shell tells it as 128 + number)."""
        for code in (self.code, self.stage_code):
            if code is not None and (code < 0 or 128 < code < 255):
                return -code if code < 0 else code - 128
        return None


@dataclass(frozen=True)
class StageRun:
    """Runs one stage of a checkout, on the machine where it is called.

    Attributes:
        root: the checkout.
        stage: as dvc.yaml names it.
        name: as the walk names it.
        hours: after which it is ended.
        environment: of its process, besides the worker's.
        options: of `dvc repro`, before the stage.
    """

    root: Path
    stage: str
    name: str
    hours: float
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    def __call__(self, given: Mapping[str, str], tell: Tell, stop: Stop) -> Done:
        """Run it to its end, again while others hold its paths."""
        own = {"DBDFLOW_REPRODUCTION": str(processes.Owner.of(psutil.Process())), "PYTHONUNBUFFERED": "1"}
        variables = {**environment.for_children(), **own, **self.environment, **given}
        begun, busy = time.monotonic(), list(BUSY_RETRIES)
        while True:
            ended = self._once(variables, tell, stop)
            if ended.code == 0 or ended.stopped or not busy or not BUSY.search(ended.text):
                done = self._done(ended, time.monotonic() - begun)
                if done.well:
                    recovery.keep_lock_file(self.root)
                return done
            seconds = busy.pop(0)
            tell(f"tried again in {duration(seconds)}: {cause(ended)}")
            stop.wait(seconds)

    def _once(self, variables: dict[str, str], tell: Tell, stop: Stop) -> Ended:
        """Run DVC on a stage; SIGTERM to both, then SIGKILL, when stopped or out of time."""
        if stop.is_set():
            return Ended(None, "", stopped=True)
        process = processes.start_tied(
            [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "-s", *self.options, self.stage],
            cwd=self.root,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        lines: list[str] = []
        reader = threading.Thread(target=copy_context().run, args=(self._read, process, lines, tell), daemon=True)
        reader.start()
        deadline = time.monotonic() + self.hours * 3600
        while process.poll() is None and not stop.wait(POLL) and time.monotonic() < deadline:
            pass
        running = process.poll() is None
        processes.end_below(process)  # DVC killed from outside leaves its stage to us
        reader.join(timeout=5)
        late = running and not stop.is_set()
        return Ended(None if late else process.returncode, "".join(lines), stopped=running and not late)

    def _read(self, process: "subprocess.Popen[bytes]", lines: list[str], tell: Tell) -> None:
        assert process.stdout is not None
        with process.stdout:
            for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip("\r\n").rpartition("\r")[2]
                lines.append(f"{line}\n")
                tell(line)

    def _done(self, ended: Ended, seconds: float) -> Done:
        if ended.stopped and ended.code != 0:
            return Done(self.name, "interrupted", seconds, "stopped; it goes on from its last checkpoint")
        if ended.code == 0:
            return Done(self.name, verdict(ended.text), seconds)
        if ended.code is None:
            limit = f"it took longer than {self.hours:g} h (`hours` in pipelines/running/resources.yaml)"
            why = f"{limit} and was ended; started again it goes on from its checkpoint"
            return Done(self.name, "failed", seconds, why)
        if ended.signal is not None:
            name = signal.Signals(ended.signal).name
            return Done(self.name, "interrupted", seconds, f"killed from outside ({name})", stops=True)
        return Done(self.name, "failed", seconds, cause(ended), again=ended.stage_code == TRY_AGAIN)


def verdict(text: str) -> Status:
    """What DVC did, by what it printed."""
    if "Running stage '" in text:
        return "ran"
    return "restored" if "is cached - skipping run" in text else "unchanged"


def cause(ended: Ended) -> str:
    """Why a stage failed, in one line: its own message, the last line of its traceback, or what DVC says."""
    if said := BAD_INPUT.findall(ended.text):
        return str(said[-1])
    before, found, _ = ended.text.rpartition("ERROR: failed to reproduce")
    lines = [line.strip() for line in before.splitlines() if line.strip()]
    if "Traceback (most recent call last)" in before and lines:
        return lines[-1]
    failed = FAILED.search(ended.text)
    return str(failed[1]) if found and failed else f"DVC ended with code {ended.code}"

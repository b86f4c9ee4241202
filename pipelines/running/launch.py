"""One stage: `dvc --wait-for-lock repro -s STAGE` by a DVC process that is kept, and what its end means."""

import json
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pipelines.repo import recovery
from pipelines.running import dvc_kept
from pipelines.running.done import Done, Status
from pipelines.running.walk import Tell
from pipelines.system import environment, processes
from pipelines.system.progress import duration
from pipelines.system.stopping import TRY_AGAIN, Stop

POLL = 0.1  # seconds
_THREADS = threading.local()
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
        command = Command(kept_dvc(variables), tell)
        command.begin(self.root, variables, ["--wait-for-lock", "repro", "-s", *self.options, self.stage])
        deadline = time.monotonic() + self.hours * 3600
        while command.runs() and not stop.wait(POLL) and time.monotonic() < deadline:
            pass
        running = command.runs()
        if command.code is None:
            command.end()  # DVC killed from outside leaves its stage to us
        late = running and not stop.is_set()
        return Ended(None if late else command.code, "".join(command.lines), stopped=running and not late)

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


@dataclass(eq=False)
class Command:
    """A command of a DVC process that is kept.

    Attributes:
        dvc: the process, which has nothing else to do.
        tell: hears each line of what is said.
        lines: what was said.
        code: of the command, once it has ended; of the process, where that has.
    """

    dvc: "subprocess.Popen[bytes]"
    tell: Tell
    lines: list[str] = field(default_factory=list)
    code: int | None = None
    _reader: threading.Thread = field(init=False)

    def begin(self, folder: Path, variables: Mapping[str, str], words: list[str]) -> None:
        """Have the process begin it."""
        mark = secrets.token_hex(16)
        asked = {"cwd": str(folder), "environment": dict(variables), "words": words, "mark": mark}
        assert self.dvc.stdin is not None
        with suppress(BrokenPipeError):  # killed meanwhile
            self.dvc.stdin.write(json.dumps(asked).encode() + b"\n")
            self.dvc.stdin.flush()
        self._reader = threading.Thread(target=copy_context().run, args=(self._read, mark.encode()), daemon=True)
        self._reader.start()

    def runs(self) -> bool:
        """Whether it has not ended, nor its process."""
        return self.code is None and self.dvc.poll() is None

    def end(self) -> None:
        """End it, its process and all below that."""
        assert self.dvc.stdin is not None
        with suppress(BrokenPipeError):
            self.dvc.stdin.close()
        processes.end_below(self.dvc)
        self._reader.join(timeout=5)
        if self.code is None:
            self.code = self.dvc.returncode

    def _read(self, mark: bytes) -> None:
        assert self.dvc.stdout is not None
        for raw in self.dvc.stdout:
            said, ended, code = raw.partition(mark)
            if said:
                line = said.decode(errors="replace").rstrip("\r\n").rpartition("\r")[2]
                self.lines.append(f"{line}\n")
                self.tell(line)
            if ended:
                self.code = int(code)
                return


class Kept:
    """A thread's DVC process; both end together."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        weakref.finalize(self, leave, process)


def kept_dvc(variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """This thread's DVC process, begun if there is none or it has ended."""
    kept: Kept | None = getattr(_THREADS, "dvc", None)
    if kept is None or kept.process.poll() is not None:
        kept = _THREADS.dvc = Kept(
            processes.start_tied(
                [sys.executable, "-P", dvc_kept.__file__],
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
    return kept.process


def leave(process: "subprocess.Popen[bytes]") -> None:
    """Let a DVC process end, which it does with its input."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    if process.poll() is None:  # the number of one that has ended may be another's by now
        processes.end_group(process)
    process.stdout.close()


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

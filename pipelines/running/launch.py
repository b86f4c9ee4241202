"""One stage of the walk as a process: `dvc --wait-for-lock repro -s STAGE`, and what its end means."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path

from pipelines.running.resources import Lease, Need
from pipelines.running.walk import Done, Status
from pipelines.system import processes
from pipelines.system.progress import duration
from pipelines.system.stopping import TRY_AGAIN, Stop

POLL = 0.1  # seconds
BUSY_RETRIES = (1.0, 2.0, 4.0, 8.0)  # seconds; DVC's path locks do not wait
ENDED = re.compile(r"^ERROR: failed to reproduce .*exited with (-?\d+)\s*$", re.MULTILINE)
FAILED = re.compile(r"^ERROR: (failed to reproduce .*)$", re.MULTILINE)
BUSY = re.compile(r"is busy, it is being blocked by|Unable to acquire lock")
BAD_INPUT = re.compile(r"^error: (.+)$", re.MULTILINE)

Tell = Callable[[str, str], None]
"""Takes a stage and a line that it printed."""


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
class Launcher:
    """Runs stages of one checkout.

    Attributes:
        root: the checkout.
        logs: folder; each stage's output goes to `<stage>.log`.
        stop: set: what runs is ended.
        environment: of every stage's process.
        tell: gets every line.
        options: of `dvc repro`, before the stage.
    """

    root: Path
    logs: Path
    stop: Stop
    environment: Mapping[str, str]
    tell: Tell
    options: tuple[str, ...] = ()

    def log(self, stage: str) -> Path:
        return self.logs / f"{stage}.log"

    def run(self, stage: str, need: Need, lease: Lease, extra: Mapping[str, str]) -> Done:
        """Run a stage to its end, again where that may help."""
        begun = time.monotonic()
        busy, again = list(BUSY_RETRIES), list(need.retries)
        while True:
            ended = self._once(stage, need, {**self.environment, **lease.environment(), **extra})
            waits = again if ended.stage_code == TRY_AGAIN else busy if BUSY.search(ended.text) else []
            if ended.code == 0 or ended.stopped or not waits:
                return self._done(stage, need, ended, time.monotonic() - begun)
            seconds = waits.pop(0)
            self.tell(stage, f"tried again in {duration(seconds)}: {cause(ended)}")
            self.stop.wait(seconds)

    def _once(self, stage: str, need: Need, environment: dict[str, str]) -> Ended:
        """Run DVC on a stage; SIGTERM to both, then SIGKILL, when stopped or out of time."""
        if self.stop.is_set():
            return Ended(None, "", stopped=True)
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "-s", *self.options, stage]
        process = processes.start_tied(
            command,
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        lines: list[str] = []
        reader = threading.Thread(target=copy_context().run, args=(self._read, stage, process, lines), daemon=True)
        reader.start()
        deadline = time.monotonic() + need.hours * 3600
        while process.poll() is None and not self.stop.wait(POLL) and time.monotonic() < deadline:
            pass
        running = process.poll() is None
        processes.end_below(process)  # DVC killed from outside leaves its stage to us
        reader.join(timeout=5)
        late = running and not self.stop.is_set()
        return Ended(None if late else process.returncode, "".join(lines), stopped=running and not late)

    def _read(self, stage: str, process: "subprocess.Popen[bytes]", lines: list[str]) -> None:
        assert process.stdout is not None
        with process.stdout, self.log(stage).open("ab") as log:
            for raw in process.stdout:
                log.write(raw)
                log.flush()
                line = raw.decode(errors="replace").rstrip("\r\n").rpartition("\r")[2]
                lines.append(f"{line}\n")
                self.tell(stage, line)

    def _done(self, stage: str, need: Need, ended: Ended, seconds: float) -> Done:
        if ended.stopped and ended.code != 0:
            return Done(stage, "interrupted", seconds, "stopped; it goes on from its last checkpoint")
        if ended.code == 0:
            return Done(stage, verdict(ended.text), seconds)
        if ended.code is None:
            limit = f"it took longer than {need.hours:g} h (`hours` in pipelines/running/resources.yaml)"
            return Done(
                stage, "failed", seconds, f"{limit} and was ended; started again it goes on from its checkpoint"
            )
        if ended.signal is not None:
            name = signal.Signals(ended.signal).name
            return Done(stage, "interrupted", seconds, f"killed from outside ({name})", stops=True)
        return Done(stage, "failed", seconds, cause(ended))


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

"""Who runs a stage, who still lives, and dying with the parent."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

PR_SET_PDEATHSIG = 1
CLOCK_TOLERANCE = 5.0  # seconds by which a process's start may seem to move when the clock is set
GRACE = 4.0  # seconds that a stage has to end by itself after its parent died

LOG_SIZE = 1_000_000  # bytes

TIE = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that started this one is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""What a process that is not ours runs first, so that it ends with the one that started it (Linux)."""


@dataclass(frozen=True)
class Owner:
    """One process of this machine, told apart from a later one with the same number by its start (unix seconds)."""

    pid: int
    created: float

    @classmethod
    def of(cls, process: psutil.Process) -> "Owner":
        return cls(process.pid, process.create_time())

    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < CLOCK_TOLERANCE
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def __str__(self) -> str:
        return f"{socket.gethostname()}-{self.pid}-{self.created:.0f}"


def parse_owner(text: str) -> Owner | None:
    """The owner that `str(owner)` names, if it is one of this machine."""
    host, _, numbers = text.rpartition("-")[0].rpartition("-")
    created = text.rpartition("-")[2]
    if host != socket.gethostname() or not (numbers.isdecimal() and created.isdecimal()):
        return None
    return Owner(int(numbers), float(created))


def is_dvc(command: list[str]) -> bool:
    """Whether a command line is DVC's: `dvc ...`, `python .../bin/dvc ...`, `python -m dvc ...`, or the one we keep."""
    return any(Path(word).name in ("dvc", "dvc_kept.py") for word in command[:3])


def dvc_ancestor() -> psutil.Process | None:
    """The DVC process that this one descends from, the nearest if there are several."""
    for process in psutil.Process().parents():
        try:
            if is_dvc(process.cmdline()):
                return process
        except psutil.Error:
            continue
    return None


def die_with_parent() -> None:
    """Get SIGTERM when the process that started this one dies (the kernel's own signal, Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def die_with(parent: Owner) -> None:
    """Get SIGTERM when `parent` dies (SIGKILL if still here after a while), so that no trainer is left behind.

    DVC runs commands through a shell, so the one that matters may be a grandparent: the kernel's own signal
    (Linux) is for the usual case and the moment, the thread for every other one, a parent already gone included.
    """
    die_with_parent()
    threading.Thread(target=_watch, args=(parent,), name="die-with-parent", daemon=True).start()


def die_with_worker() -> None:
    """A flow run that a Prefect worker started ends with the worker, however that ends."""
    parent = psutil.Process().parent()
    if "PREFECT__FLOW_RUN_ID" in os.environ and parent is not None:
        if parent.pid == 1:
            sys.exit("the worker, which started this flow run, is gone: it does not start")
        die_with(Owner.of(parent))


def _watch(parent: Owner) -> None:
    while parent.alive():
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)


def open_log(path: Path) -> IO[bytes]:
    """A log to append to, its folder made; begun anew when it has grown long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    log = path.open("ab")
    if log.tell() > LOG_SIZE:
        log.truncate(0)
    return log


def start_tied(command: list[str], **options: Any) -> "subprocess.Popen[bytes]":  # noqa: ANN401 (Popen's)
    """Start a command in a session of its own that gets SIGTERM when the calling *thread* dies.

    Ctrl-C at the terminal reaches the caller alone, which decides what becomes of the command. `options` are Popen's.
    """
    tie = [sys.executable, "-S", "-E", "-c", TIE, str(os.getpid()), *command]
    return subprocess.Popen(tie, start_new_session=True, **options)


def end_below(process: "subprocess.Popen[bytes]") -> None:
    """End what a process started, and let itself finish what it is about (DVC may be writing `dvc.lock`).

    SIGTERM to each process below it, also to those that it starts meanwhile; after `GRACE` seconds, all by force.
    """
    asked: set[int] = set()
    deadline = time.monotonic() + GRACE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(psutil.Error):
            for below in psutil.Process(process.pid).children(recursive=True):
                if below.pid not in asked:
                    asked.add(below.pid)
                    below.terminate()
        time.sleep(0.05)
    end_group(process, grace=1.0)


def end_group(process: "subprocess.Popen[bytes]", grace: float = GRACE) -> None:
    """End a process that leads a session and all that it started there: SIGTERM, and SIGKILL after `grace` seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + grace
        while group(process.pid) and time.monotonic() < deadline:
            process.poll()  # a dead leader has to be waited for, or the group stays
            time.sleep(0.02)
        if not group(process.pid):
            break
    process.wait()


def group(leader: int) -> bool:
    """Whether any process of a process group lives."""
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True

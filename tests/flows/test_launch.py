"""Stages by a DVC process that is kept from one to the next: real DVC, stages of the shell."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from pipelines.running.done import Done
from pipelines.running.launch import StageRun
from pipelines.system.stopping import Stop
from tests.flows.conftest import Checkout, until

YAML = """
stages:
  one: {cmd: 'cat; echo by $PPID in $WHERE'}
  two: {cmd: 'echo by $PPID in $WHERE'}
  fails: {cmd: 'printf half; exit 7'}
  kills: {cmd: 'kill -9 $PPID; sleep 60'}
  sleeps: {cmd: 'echo by $PPID in $WHERE; sleep 60'}
"""


def run(root: Path, stage: str, hours: float = 1.0, stop: Stop | None = None) -> tuple[Done, list[str]]:
    """How a stage ends, and what is said."""
    said: list[str] = []
    ends = StageRun(root, stage, stage, hours, environment={"WHERE": root.name})
    return ends({}, said.append, stop or Stop()), said


def by(said: list[str]) -> int:
    """The DVC process that ran a stage."""
    (line,) = [line for line in said if line.startswith("by ")]
    return int(line.split()[1])


@pytest.fixture
def shell(checkout: Checkout) -> Checkout:
    checkout.write("dvc.yaml", YAML)
    return checkout


def test_one_process_runs_stage_after_stage(shell: Checkout, tmp_path: Path) -> None:
    """Of any checkout, each in its own environment, with nothing to read; it ends with its thread."""
    other = Checkout(tmp_path / "other")
    other.write("dvc.yaml", YAML)
    other.write(".dvc/config", "[core]\n    analytics = false\n    no_scm = true\n")
    with ThreadPoolExecutor(1) as thread:
        first, second, failed, third = (
            thread.submit(run, root, stage).result()
            for root, stage in ((shell.root, "one"), (other.root, "two"), (shell.root, "fails"), (shell.root, "two"))
        )
        pid = by(first[1])
        assert [by(said) for _, said in (second, third)] == [pid, pid]
        assert f"by {pid} in checkout" in first[1]
        assert f"by {pid} in other" in second[1]
        assert [each[0].status for each in (first, second, failed, third)] == ["ran", "ran", "failed", "ran"]
        assert "half" in failed[1][-2], "a line that does not end is heard"
        assert psutil.pid_exists(pid)
    until(lambda: not psutil.pid_exists(pid), 10)


def test_a_killed_process_is_told_and_the_next_stage_has_another(shell: Checkout) -> None:
    with ThreadPoolExecutor(1) as thread:
        pid = by(thread.submit(run, shell.root, "two").result()[1])
        killed, _ = thread.submit(run, shell.root, "kills").result()
        assert (killed.status, killed.cause, killed.stops) == ("interrupted", "killed from outside (SIGKILL)", True)
        after = by(thread.submit(run, shell.root, "two").result()[1])
        os.kill(after, signal.SIGKILL)  # while it has nothing to do
        until(lambda: len(list(Path(f"/proc/{after}/task").glob("*"))) <= 1)  # its threads end one by one
        until(lambda: psutil.Process(after).status() == psutil.STATUS_ZOMBIE)
        assert len({pid, after, by(thread.submit(run, shell.root, "two").result()[1])}) == 3


def test_a_stage_without_end_is_ended_with_its_process(shell: Checkout) -> None:
    with ThreadPoolExecutor(1) as thread:
        late, said = thread.submit(run, shell.root, "sleeps", hours=1.5 / 3600).result()
        assert late.status == "failed"
        assert "it took longer than" in late.cause
        assert not psutil.pid_exists(by(said))
        stop = Stop()
        running = thread.submit(run, shell.root, "sleeps", stop=stop)
        until(lambda: any(b"sleep" in each for each in commands(shell)))
        stop.set("enough")
        stopped, said = running.result(timeout=15)
        assert stopped.status == "interrupted"
        assert not psutil.pid_exists(by(said))


def commands(shell: Checkout) -> list[bytes]:
    """Command lines of the processes that work in a checkout."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if (each / "cwd").readlink() == shell.root:
                found.append((each / "cmdline").read_bytes())
        except OSError:
            continue
    return found

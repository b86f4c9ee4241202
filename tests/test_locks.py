"""Locks on files: one process has one, and lets go of it however it ends, whatever it has started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.errors import InputError
from pipelines.system import locks

HOLDS = """
import os, sys, time
from pathlib import Path
from pipelines.system.locks import take
lock = take(Path(sys.argv[1]))
if not os.fork():
    print("held", flush=True)
time.sleep(60)
"""
"""Takes a lock and forks; the child, which has let go of it, speaks, and goes on when the other is killed."""


def free(path: Path) -> bool:
    lock = locks.take(path)
    if lock is not None:
        lock.release()
    return lock is not None


def test_a_lock_goes_with_the_process_that_took_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, path], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert not free(path)
        with pytest.raises(InputError, match=r"^somebody has it$"), locks.held(path, "somebody has it"):
            raise AssertionError("held twice")
        holder.kill()
        holder.wait()
        assert free(path)
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        assert holder.stdout is not None
        holder.stdout.close()


def test_a_lock_that_is_held_is_let_go_of_after_the_block(tmp_path: Path) -> None:
    path = tmp_path / "b.lock"
    with locks.held(path, "somebody has it"):
        assert not free(path)
    assert free(path)

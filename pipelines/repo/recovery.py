"""One reproduction of a checkout at a time, and what a killed one leaves behind.

DVC writes `dvc.lock` and `.dvc/tmp/rwlock` in place: a kill -9 in that moment leaves half a file, which DVC then
refuses for good. A copy of the last whole `dvc.lock` lies in `.dbdflow/`; what it lacks, DVC's run cache has.
"""

import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import psutil
from filelock import BaseFileLock, FileLock

from components.common.errors import InputError
from components.common.storage import atomic_path, write_json
from components.common.yaml_files import read_yaml
from pipelines.repo.lock_file import check_merged
from pipelines.system import environment, processes
from pipelines.system.locks import take
from pipelines.system.stopping import Stop

Say = Callable[[str], None]

POLL = 0.5  # seconds
PATIENCE = 10.0  # seconds that processes of a killed reproduction have to end by themselves


@contextmanager
def alone(root: Path, say: Say, stop: Stop) -> Iterator[None]:
    """Hold a checkout; wait, and say for whom, while another reproduction holds it.

    Raises:
        InputError: stopped while waiting.
    """
    path = folder(root) / "reproduce.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    said = None
    while (lock := take(path)) is None:
        if (holder := path.read_text(encoding="utf-8") or "just begun") != said:
            say(f"{root}: waiting for the reproduction that holds it ({holder}); Ctrl-C to give up")
            said = holder
        if stop.wait(POLL):
            raise InputError(f"{root}: {stop.reason} while waiting for the reproduction that holds it")
    try:
        owner = f"process {os.getpid()} since {datetime.now():%Y-%m-%d %H:%M:%S}: {shlex.join(sys.argv)}"
        path.write_text(owner, encoding="utf-8")
        wait_for_leftovers(say)
        yield
    finally:
        lock.release()


def folder(root: Path) -> Path:
    """Where a checkout's own lock and copies lie: beside its `.dvc`, also in an experiment's temporary checkout."""
    return root / ".dbdflow"


def wait_for_leftovers(say: Say) -> None:
    """Let the stages of a killed reproduction end, by force after a while: they would hold their checkpoints."""
    deadline, said = time.monotonic() + PATIENCE, False
    while left := leftovers():
        if not said:
            say(f"waiting for {len(left)} processes of a reproduction that was killed to end")
            said = True
        if time.monotonic() > deadline:
            for process in left:
                with suppress(psutil.Error):
                    process.send_signal(signal.SIGKILL)
        time.sleep(POLL / 5)


def leftovers() -> list[psutil.Process]:
    """Processes of this checkout's reproductions whose own process is gone."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            variables = process.environ()
            owner = processes.parse_owner(variables.get("DBDFLOW_REPRODUCTION", ""))
            here = variables.get("DVC_ROOT") == str(environment.root())
            if here and owner is not None and not owner.alive():
                found.append(process)
    return found


def repair(root: Path, say: Say) -> None:
    """Put right what a killed DVC left half-written. Waits for DVC's own lock where something is amiss."""
    if not lock_file_is_whole(root / "dvc.lock"):
        with dvc_lock(root):
            restore_lock_file(root, say)
    release_paths(root / ".dvc" / "tmp", say)


def dvc_lock(root: Path) -> BaseFileLock:
    """DVC's lock of a repository, as DVC takes it (a lock of the kernel's on `.dvc/tmp/lock`)."""
    path = root / ".dvc" / "tmp" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def lock_file_is_whole(path: Path) -> bool:
    """Whether DVC will read it; one that is not there is whole."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    if not path.exists():
        return True
    try:
        COMPILED_LOCKFILE_SCHEMA(read_yaml(path))
    except (InputError, Invalid):
        return False
    return True


def restore_lock_file(root: Path, say: Say) -> None:
    """Put the last whole `dvc.lock` in the place of half a one; without it, none (the run cache remembers).

    Raises:
        InputError: it is a person who has to choose: a merge is left open in it.
    """
    path, kept = root / "dvc.lock", folder(root) / "dvc.lock"
    if lock_file_is_whole(path):  # it was only being written
        return
    check_merged(path)
    broken = folder(root) / "dvc.lock.broken"
    shutil.copy2(path, broken)
    if kept.exists():
        copy_whole(kept, path)
        say(f"{path} was half-written by a process that was killed: the last whole one is back ({broken} is the other)")
    else:
        path.unlink()
        say(f"{path} was half-written by a process that was killed: removed ({broken} is a copy)")


def keep_lock_file(root: Path) -> None:
    """Keep a copy of `dvc.lock`, taken while no DVC process writes."""
    with dvc_lock(root):
        if lock_file_is_whole(root / "dvc.lock") and (root / "dvc.lock").exists():
            copy_whole(root / "dvc.lock", folder(root) / "dvc.lock")


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file over another in one step."""
    with atomic_path(target) as staged:
        shutil.copyfile(source, staged)


def release_paths(tmp: Path, say: Say) -> None:
    """Take entries of processes that are gone out of DVC's list of paths in use; begin it anew if it is half a one."""
    path = tmp / "rwlock"
    if not path.exists():
        return
    with FileLock(tmp / "rwlock.lock"):
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            path.unlink()
            say(f"{path} was half-written by a process that was killed: removed")
            return
        kept = {
            "write": {name: info for name, info in listed.get("write", {}).items() if in_use(info)},
            "read": {
                name: using for name, infos in listed.get("read", {}).items() if (using := [*filter(in_use, infos)])
            },
        }
        write_json(path, kept)


def in_use(info: dict[str, object]) -> bool:
    """Whether the process that an entry names lives, and is one that uses DVC."""
    try:
        command = psutil.Process(int(str(info["pid"]))).cmdline()
        return any("dvc" in word or "dbdflow" in word for word in command)
    except (psutil.Error, KeyError, ValueError):
        return False

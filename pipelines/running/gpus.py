"""GPUs of this machine, each one stage's alone, whatever the number of checkouts, users' sessions and schedulers.

A GPU that is used is a locked file in the user's runtime folder; the kernel lets go of it when its process dies.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.system import locks
from pipelines.system.stopping import Stop

POLL = 0.5  # seconds between two looks whether another reproduction has let go of a GPU


def gpus() -> list[str]:
    """The GPUs that may be used, as `CUDA_VISIBLE_DEVICES` names them; asked without importing torch (2 s)."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    if shutil.which("nvidia-smi") is None:
        return []
    done = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False, timeout=60)
    return [str(number) for number, line in enumerate(done.stdout.splitlines()) if line.startswith("GPU ")]


def folder() -> Path:
    """Where the locks of this user on this machine lie."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    made = Path(runtime, "dbdflow") if runtime else Path(tempfile.gettempdir(), f"dbdflow-{os.getuid()}")
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    return made


@contextmanager
def one_gpu(stop: Stop, tell: Callable[[str], None]) -> Iterator[str]:
    """Hold a GPU, its name; wait, and say so once, while other reproductions have all. Stopped: none (empty)."""
    said = False
    while not stop.is_set():
        for name in gpus():
            if lock := locks.take(folder() / f"gpu-{name.replace(os.sep, '-')}.lock"):
                try:
                    yield name
                finally:
                    lock.release()
                return
        if not said:
            tell("waits for a GPU: other reproductions on this machine have all")
            said = True
        stop.wait(POLL)
    yield ""

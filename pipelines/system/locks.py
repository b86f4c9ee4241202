"""Locks of the kernel's on files: let go of when the process that holds them ends, however it ends."""

import fcntl
from pathlib import Path
from typing import IO


def taken(file: IO[str] | IO[bytes]) -> bool:
    """Lock an open file if nobody else has; whether it is now this process's."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take(path: Path) -> IO[bytes] | None:
    """The file at `path`, opened and locked; None if another process has it. Closing it lets go."""
    file = path.open("wb")
    if taken(file):
        return file
    file.close()
    return None
